package limit_test

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/limit"
)

const identity = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func from(address string) limit.Caller { return limit.Caller{Address: netip.MustParseAddr(address)} }

// alice has an address and an actor that are not exempt from anything.
var alice = limit.Caller{Address: netip.MustParseAddr("192.0.2.1"), Actor: "alice"}

// budgets are the limits that refill, with one call of each.
var budgets = []struct {
	name   string
	window time.Duration
	config func(most int) limit.Config
	call   func(*limit.Limits) (time.Duration, bool)
}{
	{
		limit.NameAddress, time.Minute,
		func(most int) limit.Config { return limit.Config{PerAddress: most} },
		func(l *limit.Limits) (time.Duration, bool) { return l.Address(alice) },
	},
	{
		limit.NameWrites, time.Minute,
		func(most int) limit.Config { return limit.Config{Writes: most} },
		func(l *limit.Limits) (time.Duration, bool) { return l.Write(identity) },
	},
	{
		limit.NameReads, time.Minute,
		func(most int) limit.Config { return limit.Config{Reads: most} },
		func(l *limit.Limits) (time.Duration, bool) { return l.Read(identity) },
	},
	{
		limit.NameNewIdentities, time.Hour,
		func(most int) limit.Config { return limit.Config{NewIdentities: most} },
		func(l *limit.Limits) (time.Duration, bool) { return create(l, alice) },
	},
}

// create is what a push that creates an identity does.
func create(l *limit.Limits, c limit.Caller) (time.Duration, bool) {
	retryAfter, ok := l.MayCreate(c)
	if ok {
		l.Created(c)
	}
	return retryAfter, ok
}

// granted makes calls until one is refused, and returns how many were not, and
// after how long to come again.
func granted(t *testing.T, call func() (time.Duration, bool)) (int, time.Duration) {
	t.Helper()
	for n := range 1_000_000 {
		retryAfter, ok := call()
		if !ok {
			return n, retryAfter
		}
		if retryAfter != 0 {
			t.Fatalf("call %d is let in and told to come again after %v", n, retryAfter)
		}
	}
	t.Fatal("nothing is refused")
	return 0, 0
}

func TestBudgets(t *testing.T) {
	for _, b := range budgets {
		for _, most := range []int{1, 7, 120, 5000} {
			t.Run(fmt.Sprint(b.name, "=", most), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := b.config(most)
					refusals := map[string]int{}
					cfg.OnRefused = func(name string) { refusals[name]++ }
					l := limit.New(cfg)
					call := func() (time.Duration, bool) { return b.call(l) }

					n, retryAfter := granted(t, call)
					if n != most {
						t.Errorf("%d at once, want %d", n, most)
					}
					interval := b.window / time.Duration(most)
					if retryAfter < time.Second || retryAfter%time.Second != 0 || retryAfter < interval || retryAfter >= interval+time.Second {
						t.Errorf("told to come again after %v, the next is allowed after %v", retryAfter, interval)
					}
					if !maps.Equal(refusals, map[string]int{b.name: 1}) {
						t.Errorf("refusals seen: %v", refusals)
					}
					time.Sleep(interval - time.Nanosecond)
					if n, _ := granted(t, call); n != 0 {
						t.Errorf("%d too early", n)
					}
					time.Sleep(retryAfter - interval + time.Nanosecond)
					if _, ok := call(); !ok {
						t.Error("refused after the time that was told")
					}
					time.Sleep(2 * b.window)
					if n, _ := granted(t, call); n != most {
						t.Errorf("%d after a pause, want %d", n, most)
					}
				})
			})
		}
	}
}

// TestRateHolds hammers for ten windows: the burst, and then no more than the
// rate.
func TestRateHolds(t *testing.T) {
	for _, b := range budgets {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const most = 60
				l, let := limit.New(b.config(most)), 0
				for range 10_000 {
					if _, ok := b.call(l); ok {
						let++
					}
					time.Sleep(b.window / 1000)
				}
				if want := most + 10*most; let < want-1 || let > want {
					t.Errorf("%d were let in, want %d", let, want)
				}
			})
		})
	}
}

// TestConcurrentBudgets: the clock of the bubble stands while goroutines run,
// so the number is exact.
func TestConcurrentBudgets(t *testing.T) {
	for _, b := range budgets {
		if b.name == limit.NameNewIdentities {
			continue // TestConcurrentCreations
		}
		synctest.Test(t, func(t *testing.T) {
			l := limit.New(b.config(120))
			results := make(chan bool, 16*50)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for range 50 {
						_, ok := b.call(l)
						results <- ok
					}
				})
			}
			wg.Wait()
			close(results)
			let := 0
			for ok := range results {
				if ok {
					let++
				}
			}
			if let != 120 {
				t.Errorf("%s: %d were let in, want 120", b.name, let)
			}
		})
	}
}

// TestConcurrentCreations: all that look before the first is charged pass, and
// what they exceed the limit by is paid for later.
func TestConcurrentCreations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, pushes = 6, 16
		l := limit.New(limit.Config{NewIdentities: most})
		var looked, done sync.WaitGroup
		looked.Add(pushes)
		for range pushes {
			done.Go(func() {
				_, ok := l.MayCreate(alice)
				looked.Done()
				if !ok {
					t.Error("refused with a full budget")
				}
				looked.Wait()
				l.Created(alice)
			})
		}
		done.Wait()
		const paidAfter = (pushes - most + 1) * time.Hour / most
		if retryAfter, ok := l.MayCreate(alice); ok || retryAfter != paidAfter {
			t.Errorf("next: %v after %v, want %v", ok, retryAfter, paidAfter)
		}
		time.Sleep(paidAfter)
		if n, _ := granted(t, func() (time.Duration, bool) { return create(l, alice) }); n != 1 {
			t.Errorf("%d once it is paid, want 1", n)
		}
	})
}

func TestFailedCreationCostsNothing(t *testing.T) {
	l := limit.New(limit.Config{NewIdentities: 1})
	for range 10 {
		if _, ok := l.MayCreate(alice); !ok {
			t.Fatal("refused, and nothing was created yet")
		}
	}
	if l.Len() != 0 {
		t.Errorf("%d are remembered", l.Len())
	}
}

func TestWhoSharesABudget(t *testing.T) {
	for _, test := range []struct {
		one, other string
		shared     bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "::192.0.2.1", false},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"::ffff:192.0.2.1", "::1", false},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8::1", "2001:db8:0:0:ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"fe80::1%eth0", "fe80::1", true},
		{"0.0.0.0", "::", false},
	} {
		l := limit.New(limit.Config{PerAddress: 1, NewIdentities: 1})
		for name, call := range map[string]func(limit.Caller) (time.Duration, bool){
			"address":        l.Address,
			"new identities": func(c limit.Caller) (time.Duration, bool) { return create(l, c) },
		} {
			_, first := call(from(test.one))
			_, second := call(from(test.other))
			if !first || second == test.shared {
				t.Errorf("%s: %s: %v, then %s: %v", name, test.one, first, test.other, second)
			}
		}
	}
}

func TestIdentities(t *testing.T) {
	l := limit.New(limit.Config{Writes: 1, Reads: 1})
	other := "b" + identity[1:]
	for i, test := range []struct {
		call     func(string) (time.Duration, bool)
		identity string
		ok       bool
	}{
		{l.Write, identity, true},
		{l.Write, identity, false},
		{l.Read, identity, true},
		{l.Read, identity, false},
		{l.Write, other, true},
		{l.Read, other, true},
	} {
		if _, ok := test.call(test.identity); ok != test.ok {
			t.Errorf("call %d: %v", i, ok)
		}
	}
}

func TestInvalidAddressesShareABudget(t *testing.T) {
	l := limit.New(limit.Config{PerAddress: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	_, first := l.Address(limit.Caller{})
	_, second := l.Address(limit.Caller{Actor: "alice"})
	if !first || second {
		t.Errorf("%v, %v", first, second)
	}
}

func TestExempt(t *testing.T) {
	prefixes, err := limit.ParsePrefixes("10.0.0.0/8, 2001:db8::7")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		address, actor string
		exempt         bool
	}{
		"nobody special":         {"192.0.2.1", "alice", false},
		"without an actor":       {"192.0.2.1", "", false},
		"in the range":           {"10.255.0.1", "alice", true},
		"in the range, bare":     {"10.255.0.1", "", true},
		"in the range, as IPv6":  {"::ffff:10.255.0.1", "alice", true},
		"beside the range":       {"11.0.0.1", "alice", false},
		"the single address":     {"2001:db8::7", "alice", true},
		"with a zone":            {"2001:db8::7%eth0", "alice", true},
		"its neighbour":          {"2001:db8::8", "alice", false},
		"gateway":                {"192.0.2.1", "gateway", true},
		"gateway in other case":  {"192.0.2.1", "Gateway", false},
		"an exempt gateway":      {"10.0.0.1", "gateway", true},
		"an address as an actor": {"192.0.2.1", "10.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := limit.New(limit.Config{
				PerAddress: 1, Writes: 1, Reads: 1, NewIdentities: 1, InFlight: 1,
				// A blank actor must not make everybody a gateway.
				Exempt: prefixes, GatewayActors: []string{"gateway", ""},
			})
			c := limit.Caller{Address: netip.MustParseAddr(test.address), Actor: test.actor}
			_, _ = l.Address(c)
			_, _ = create(l, c)
			_, _ = l.Acquire(c)
			_, address := l.Address(c)
			_, creation := l.MayCreate(c)
			_, inFlight := l.Acquire(c)
			if bound := test.actor != "" && !test.exempt; address != test.exempt || creation != test.exempt || inFlight == bound {
				t.Errorf("address %v, creation %v, in flight %v", address, creation, inFlight)
			}
			if test.exempt && l.Len() != 0 {
				t.Errorf("%d exempt are remembered", l.Len())
			}
			_, _ = l.Write(identity)
			_, _ = l.Read(identity)
			_, write := l.Write(identity)
			_, read := l.Read(identity)
			if write || read {
				t.Errorf("write %v, read %v", write, read)
			}
		})
	}
}

func TestAllOff(t *testing.T) {
	for name, cfg := range map[string]limit.Config{
		"zero":     {},
		"negative": {PerAddress: -1, Writes: -1, Reads: -1, NewIdentities: -1, InFlight: -1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.OnRefused = func(name string) { t.Errorf("%s refused", name) }
			l := limit.New(cfg)
			calls := func() {
				for _, b := range budgets {
					if retryAfter, ok := b.call(l); !ok || retryAfter != 0 {
						t.Errorf("%s: %v, %v", b.name, retryAfter, ok)
					}
				}
				if _, ok := l.Acquire(alice); !ok {
					t.Error("in flight: refused")
				}
			}
			if allocations := testing.AllocsPerRun(1000, calls); allocations != 0 {
				t.Errorf("%v allocations", allocations)
			}
			if l.Len() != 0 {
				t.Errorf("%d are remembered", l.Len())
			}
		})
	}
}
