package client_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

// Guardian 4 is down and 2 and 3 take nothing, so that no push is acknowledged,
// and each one that is tried displaces something. What was acknowledged must
// outlive as many tries as the owner makes, and be enough without those that
// refused once guardian 4 is back.
func TestHostileRefusalsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]front{
		"over a quota":                on(api.RoutePush, refusing(api.ErrQuotaExceeded)),
		"over ever higher versions":   conflicting(rising()),
		"over the highest version":    conflicting(func(uint64) uint64 { return math.MaxUint64 }),
		"as done, not saying of what": on(api.RoutePush, answering(http.StatusOK, `{"status":"ok"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			vault := ownedVault(t, cluster)
			version := storeEverywhere(t, vault, longSecret)
			cluster.Front(4, refusing(api.ErrTokenInvalid))
			frontAll(cluster, refusal, 2, 3)
			for range 2 {
				report, err := ownedVault(t, cluster).Store(within(t, 700*time.Millisecond), owned, []byte("not acknowledged"))
				if _, ok := errors.AsType[*client.QuorumError](err); !ok {
					t.Fatalf("Store: %+v, %v", report, err)
				}
				wantPulled(inTime(t), t, vault, longSecret, version)
			}
			cluster.Start(4)
			frontAll(cluster, refusing(api.ErrTokenInvalid), 2, 3)
			wantPulled(inTime(t), t, vault, longSecret, version)
		})
	}
}

// rising claims a higher version each time.
func rising() func(uint64) uint64 {
	var claims atomic.Uint64
	return func(version uint64) uint64 { return version + claims.Add(1) }
}

// K-1 liars of six leave just as many honest guardians as must acknowledge.
// They neither keep the owner from storing nor take the versions from him.
func TestHostileClaimsDoNotStopStore(t *testing.T) {
	t.Parallel()
	const near = 17 // what one claim may move the next version by
	fixed := func(claim uint64) func(uint64) uint64 { return func(uint64) uint64 { return claim } }
	for name, test := range map[string]struct {
		lie  front
		step uint64
	}{
		"refuse over ever higher versions":  {conflicting(rising()), 1},
		"refuse over far higher versions":   {conflicting(fixed(1 << 40)), 1},
		"refuse over the highest version":   {conflicting(fixed(math.MaxUint64)), 1},
		"show one more each time":           {claiming(rising()), near},
		"show one more, and then refuse":    {chain(conflicting(oneAhead), claiming(oneAhead)), near},
		"show and refuse over the highest":  {chain(conflicting(fixed(math.MaxUint64)), claiming(fixed(math.MaxUint64))), 1},
		"show and refuse over far higher":   {chain(conflicting(fixed(1<<40)), claiming(fixed(1<<40))), 1},
		"show what is not there any longer": {refusing(api.ErrNotFound), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 6)
			version := storeEverywhere(t, ownedVault(t, cluster), longSecret)
			frontAll(cluster, test.lie, 1, 4)
			for i := range 3 {
				vault, secret := ownedVault(t, cluster), fmt.Sprint("secret ", i)
				report := mustStore(inTime(t), t, vault, secret)
				if report.Version <= version || report.Version > version+test.step {
					t.Errorf("version %d after %d, want at most %d more", report.Version, version, test.step)
				}
				version = report.Version
				wantPulled(inTime(t), t, vault, secret, version)
			}
		})
	}
}

// All guardians are past version 1, at pushes that were given up, and retain it
// below. Of five Store spares one after the other. Of four too few would be left
// with either version: it sends nothing, and the owner has a way out.
func TestHostileStoreOverWhatIsRetained(t *testing.T) {
	t.Parallel()
	for n := 4; n <= 5; n++ {
		cluster := guardiantest.New(t, n)
		vault := ownedVault(t, cluster)
		all := []int{0, 1, 2, 3, 4}[:n]
		reach(t, cluster, 1, longSecret, all...)
		reach(t, cluster, 2, "cut short", 0, 1)
		reach(t, cluster, 2, "cut short", all[2:4]...)
		if n == 5 {
			reach(t, cluster, 2, "cut short", 4)
			mustStore(inTime(t), t, vault, "after")
			wantPulled(inTime(t), t, vault, "after", 3)
			continue
		}
		requests := record(cluster)
		ctx, ending := untilTried(t)
		cluster.Front(3, ending)
		_, err := vault.Store(ctx, owned, []byte("after"))
		wantQuorumError(t, err, 4, 0)
		wantKept(t, cluster, err, all...)
		if slices.ContainsFunc(requests(), func(r sent) bool { return r.route == api.RoutePush }) {
			t.Error("a share was sent although none can be spared")
		}
		if report := wantPulled(inTime(t), t, vault, longSecret, 1); !report.Fallback || report.Used != 4 {
			t.Errorf("Pull: %+v", report)
		}
		if report, err := vault.Delete(inTime(t), owned); err != nil {
			t.Fatalf("Delete: %+v, %v", report, err)
		}
		mustStore(inTime(t), t, vault, longSecret)
		wantPulled(inTime(t), t, vault, longSecret, 3)
	}
}

// Version 1 is with all, below a given up one with four of them. Two of these
// lie and refuse: then the others of them must not be asked to drop it.
func TestHostileKeepersThatRefuse(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := ownedVault(t, cluster)
	reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4)
	reach(t, cluster, 2, "cut short", 0, 1)
	reach(t, cluster, 2, "cut short", 2, 3)
	frontAll(cluster, on(api.RoutePush, refusing(api.ErrQuotaExceeded)), 0, 1)
	ctx, ending := untilTried(t)
	cluster.Front(4, ending)
	_, err := vault.Store(ctx, owned, []byte("not acknowledged"))
	wantQuorumError(t, err, 4, 1, cluster.URLs()[:4]...)
	wantKept(t, cluster, err, 2, 3)
	wantPulled(inTime(t), t, vault, longSecret, 1)
	// Nor may the two that refuse be needed for it: they may say nothing next.
	frontAll(cluster, refusing(api.ErrNotFound), 0, 1)
	wantPulled(inTime(t), t, vault, longSecret, 1)
	cluster.Start(0)
	cluster.Start(1)
	report := mustStore(inTime(t), t, vault, "after")
	wantPulled(inTime(t), t, vault, "after", report.Version)
}

// Two honest guardians keep version 1 below a given up one, and one or both are
// slower to say so than Store has time, or than it waits where others can rebuild
// it. Three take no push, two of which lie: then version 1 is with the honest ones.
func TestHostileRefusalsLoseNothingOfTheSlow(t *testing.T) {
	t.Parallel()
	slow, full := onOlder(silence), on(api.RoutePush, refusing(api.ErrQuotaExceeded))
	for name, test := range map[string]struct {
		fronts [5]front
		time   time.Duration
		times  int
	}{
		"there is no time":         {[5]front{slow, slow, full, full, refusing(api.ErrTokenInvalid)}, 1500 * time.Millisecond, 3},
		"the others' shares do it": {[5]front{slow, full, full, full, chain()}, 10 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4)
			reach(t, cluster, 2, "cut short", 0, 1)
			for i, front := range test.fronts {
				cluster.Front(i, front)
			}
			for range test.times {
				_, err := ownedVault(t, cluster).Store(within(t, test.time), owned, []byte("not acknowledged"))
				if _, ok := errors.AsType[*client.QuorumError](err); !ok {
					t.Fatalf("Store: %v", err)
				}
			}
			for i := range 5 {
				cluster.Start(i)
			}
			frontAll(cluster, refusing(api.ErrTokenInvalid), 2, 3)
			wantPulled(inTime(t), t, ownedVault(t, cluster), longSecret, 1)
		})
	}
}

// The guardian that is asked first may hang at whatever it is asked.
func TestHostileSilenceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]front{
		"at all":                       silence,
		"at older versions":            onOlder(silence),
		"one ahead, at older versions": chain(onOlder(silence), on(api.RouteHistory, silence), claiming(oneAhead)),
		"one ahead, at writing":        chain(on(api.RouteStatus, silence), on(api.RoutePush, silence), claiming(oneAhead)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			version := storeEverywhere(t, ownedVault(t, cluster), longSecret)
			cluster.Front(0, lie)
			vault := ownedVault(t, cluster)
			hurried(t, "Pull", 5*time.Second, func() { wantPulled(inTime(t), t, vault, longSecret, version) })
			hurried(t, "Store", 8*time.Second, func() { version = mustStore(inTime(t), t, vault, "after").Version })
			cluster.Start(0)
			wantPulled(inTime(t), t, vault, "after", version)
		})
	}
}

// Clients that store at the same time never get one version acknowledged twice,
// and what was acknowledged last is there.
func TestHostileStoresAtOnce(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]front{
		"all honest":      nil,
		"one refuses":     conflicting(rising()),
		"one is ahead":    claiming(oneAhead),
		"one forgets all": refusing(api.ErrNotFound),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 7)
			storeEverywhere(t, ownedVault(t, cluster), "before")
			if lie != nil {
				cluster.Front(2, lie)
			}
			acked := map[uint64]string{}
			for round := range 2 {
				storeAtOnce(t, cluster, acked, fmt.Sprint("A", round), fmt.Sprint("B", round))
				last := uint64(0)
				for version := range acked {
					last = max(last, version)
				}
				secret, report, err := ownedVault(t, cluster).Pull(within(t, 10*time.Second), owned)
				if err != nil || report.Version < last || report.Version == last && last > 0 && string(secret) != acked[last] {
					t.Fatalf("Pull: %q of version %d, %v; acknowledged last was %q of version %d", secret, report.Version, err, acked[last], last)
				}
			}
		})
	}
}

// storeAtOnce stores secrets side by side and notes which were acknowledged.
func storeAtOnce(t *testing.T, cluster *guardiantest.Cluster, acked map[uint64]string, secrets ...string) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, secret := range secrets {
		vault, ctx := ownedVault(t, cluster), within(t, 10*time.Second)
		group.Go(func() {
			report, err := vault.Store(ctx, owned, []byte(secret))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				return
			}
			if other, twice := acked[report.Version]; twice {
				t.Errorf("version %d was acknowledged for %q and for %q", report.Version, other, secret)
			}
			acked[report.Version] = secret
		})
	}
	group.Wait()
}

// Of two URLs that lead to one guardian the second share is refused over the
// very version that was pushed. The owner is told why, and only then.
func TestHostileTwins(t *testing.T) {
	t.Parallel()
	same := func(pushed uint64) uint64 { return pushed }
	for name, test := range map[string]struct {
		node  string
		claim func(uint64) uint64
		told  bool
	}{
		"listed twice":             {"node-3", same, true},
		"a conflict of its own":    {"node-4", same, false},
		"another one's, elsewhere": {"node-9", same, false},
		"over another version":     {"node-3", oneAhead, false},
	} {
		cluster := guardiantest.New(t, 5)
		cluster.Front(4, chain(changingStatus(test.node), conflicting(test.claim)))
		report, err := ownedVault(t, cluster).Push(inTime(t), owned, 1, []byte(longSecret))
		if err != nil || report.Got != 4 || len(report.Lacking) != 1 || !errors.Is(report.Lacking[0], api.ErrVersionConflict) {
			t.Fatalf("%s: Push: %+v, %v", name, report, err)
		}
		text := report.Lacking[0].Error()
		told := strings.Contains(text, "is one guardian listed twice?")
		names := strings.HasPrefix(text, cluster.URLs()[4]) && strings.Contains(text, "node-3") && strings.Contains(text, cluster.URLs()[3])
		if told != test.told || told && !names {
			t.Errorf("%s: the owner is told %q", name, text)
		}
	}
}

// A context that has ended ends Store, whatever the guardians do.
func TestHostileStoreEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	frontAll(cluster, silence, 0, 1, 2)
	start := time.Now()
	_, err := ownedVault(t, cluster).Store(within(t, time.Second), owned, []byte("after"))
	if took := time.Since(start); err == nil || took > 4*time.Second {
		t.Errorf("Store took %v: %v", took, err)
	}
}
