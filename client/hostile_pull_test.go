package client_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/shamir"
)

// Guardians that claim to be ahead make Pull look for what the others retain.
// Those that then say nothing of it are waited for no longer than others. What
// is stored bare K of them could make up, fewer change nothing either.
func TestHostileLiarsAhead(t *testing.T) {
	t.Parallel()
	noOlder, noHistory := onOlder(silence), on(api.RouteHistory, silence)
	denial := chain(onOlder(refusing(api.ErrNotFound)), on(api.RouteHistory, refusing(api.ErrNotFound)))
	for name, test := range map[string]struct {
		lie   front
		liars []int
	}{
		"one silent on older versions":   {noOlder, []int{0}},
		"one silent on its history":      {noHistory, []int{0}},
		"two silent on their history":    {noHistory, []int{0, 3}},
		"two that deny all history":      {denial, []int{0, 3}},
		"three silent on older versions": {noOlder, []int{0, 3, 6}},
		"three with a long history":      {chain(telling(9, 8, 7, 6, 5, 4, 3, 2, 1, 0), noOlder), []int{0, 3, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, vault := ownedBy7(t)
			bare := newVault(t, cluster.URLs(), 0)
			if report, err := bare.Store(t.Context(), identity, []byte("bare")); err != nil || len(report.Lacking) > 0 {
				t.Fatalf("Store: %+v, %v", report, err)
			}
			frontAll(cluster, chain(test.lie, claiming(oneAhead)), test.liars...)
			hurried(t, "Pull", 5*time.Second, func() {
				report := wantPulled(inTime(t), t, vault, longSecret, 1)
				if !report.Fallback || report.Newest != 2 || !report.Checked {
					t.Errorf("Pull: %+v", report)
				}
			})
			if len(test.liars) >= bare.Threshold() {
				return
			}
			hurried(t, "a bare Pull", 5*time.Second, func() {
				secret, report, err := bare.Pull(inTime(t), identity)
				if err != nil || string(secret) != "bare" || report.Version != 1 || !report.Fallback {
					t.Errorf("Pull: %q, %+v, %v", secret, report, err)
				}
			})
		})
	}
}

// One that claims to be ahead and says nothing when asked for an older share is
// not waited for once the others have made up K, whoever of them did.
func TestHostileSilenceOnOneMoreShare(t *testing.T) {
	t.Parallel()
	lie := chain(onOlder(silence), claiming(oneAhead))
	cluster := guardiantest.New(t, 5)
	vault := ownedVault(t, cluster)
	reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4)
	reach(t, cluster, 2, "cut short", 2, 3)
	cluster.Front(4, lie)
	hurried(t, "Pull of what is retained", 5*time.Second, func() {
		if report := wantPulled(inTime(t), t, vault, longSecret, 1); report.Used != 4 || !report.Fallback {
			t.Errorf("Pull: %+v", report)
		}
	})
	bare := newVault(t, cluster.URLs(), 0)
	for i := range 5 {
		cluster.Start(i)
	}
	mustPush(t, bare, "bare")
	cluster.Front(3, refusing(api.ErrTokenInvalid))
	cluster.Front(4, lie)
	hurried(t, "Pull of K shares", 8*time.Second, func() {
		secret, report, err := bare.Pull(inTime(t), identity)
		if err != nil || string(secret) != "bare" || report.Used != 3 || report.Checked || !report.Fallback {
			t.Errorf("Pull: %q, %+v, %v", secret, report, err)
		}
	})
}

// forging shows a share of one's own for whatever version is asked for, and
// counts how often that is an older one.
func forging(share []byte, current uint64, asked *atomic.Int64) front {
	return on(api.RoutePull, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown := api.PullResponse{
				Share: base64.StdEncoding.EncodeToString(share), Version: current, Threshold: 3,
				Split: strings.Repeat("ab", api.SplitSize), Epoch: uint64(share[0]),
			}
			if older := peek[api.PullRequest](r).Version; older != nil {
				asked.Add(1)
				shown.Version, shown.Epoch = *older, 0
			}
			_ = json.NewEncoder(w).Encode(shown)
		})
	})
}

// K liars can make up shares of as many older versions as they like. None of
// them opens, no version is asked for twice, and there is an end to it.
func TestHostileOlderVersionsWithoutEnd(t *testing.T) {
	t.Parallel()
	const current = 5001
	var all []uint64
	for version := range uint64(current) {
		all = append(all, current-version-1)
	}
	shares, err := shamir.Split([]byte(strings.Repeat("made up ", 50)), 3, []byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tells front
		asked int64 // of each liar
	}{
		"which they list":           {telling(all...), 100},
		"which they say nothing of": {on(api.RouteHistory, refusing(api.ErrNotFound)), 17},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, vault := ownedBy7(t)
			var asked atomic.Int64
			for i, share := range shares {
				cluster.Front(i, chain(test.tells, forging(share, current, &asked)))
			}
			hurried(t, "Pull", 5*time.Second, func() {
				report := wantPulled(inTime(t), t, vault, longSecret, 1)
				wantStates(t, report.Guardians, map[int]client.State{0: client.StateAhead, 1: client.StateAhead, 2: client.StateAhead})
			})
			if n := asked.Load(); n != 3*test.asked {
				t.Errorf("three liars were asked for an older version %d times, want %d each", n, test.asked)
			}
		})
	}
}

// The manifest of version 2 comes only with a share that guardian 0 retains
// below version 3. Four of eight guardians show shares of version 2 that are
// garbage and bear none, some at one point: they are judged once it is there.
func TestHostileManifestsBesideOlderShares(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 8)
	vault := ownedVault(t, cluster)
	reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4, 5, 6, 7)
	reach(t, cluster, 2, "cut short", 0)
	reach(t, cluster, 3, "cut short", 0)
	version := uint64(2)
	retained, err := guardianOf(t, cluster, 0, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned, Version: &version})
	if err != nil || retained.Manifest == "" {
		t.Fatalf("Pull of version 2: %+v, %v", retained, err)
	}
	size := len(retained.Share) / 4 * 3
	for i, point := range []byte{2, 3, 4, 4} {
		lie := api.PullResponse{Version: 2, Threshold: 3, Split: retained.Split}
		data := bytes.Repeat([]byte{byte(i)}, size-strings.Count(retained.Share, "="))
		data[0] = point
		lie.Share = base64.StdEncoding.EncodeToString(data)
		cluster.Front(4+i, chain(onOlder(refusing(api.ErrNotFound)), showing(lie)))
	}
	report := wantPulled(inTime(t), t, vault, longSecret, 1)
	if !report.Fallback || report.Newest != 3 || !report.Manifest || report.Used != 3 {
		t.Errorf("Pull: %+v", report)
	}
	wrong := client.StateWrong
	wantStates(t, report.Guardians, map[int]client.State{0: client.StateAhead, 4: wrong, 5: wrong, 6: wrong, 7: wrong})
	for _, liar := range report.Guardians[4:] {
		if !strings.Contains(fmt.Sprint(liar.Err), "not the one that the owner's manifest names") {
			t.Errorf("the liar is named for %v", liar.Err)
		}
	}
}

// Guardians 0 and 1 missed version 2, and 2 replays version 1. As long as the
// others say nothing, that is all there is to see, and the report says so.
func TestHostileHiddenVersion(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{true, false} {
		cluster, vault := ownedBy7(t)
		older := captured(t, cluster, 2)
		reach(t, cluster, 2, "newer", 2, 3, 4, 5, 6)
		cluster.Front(2, older)
		want, version := "newer", uint64(2)
		if hidden {
			frontAll(cluster, silence, 3, 4, 5, 6)
			want, version = longSecret, 1
		}
		hurried(t, "Pull", 5*time.Second, func() {
			report := wantPulled(inTime(t), t, vault, want, version)
			if report.NewerPossible != hidden || report.Fallback || report.Newest != version {
				t.Errorf("Pull: %+v", report)
			}
		})
	}
}

// NewerPossible is set when W of those that did not answer and of K-1 liars
// among the others may hold a newer version.
func TestHostileNewerPossible(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t) // W = 5, K = 3
	for i, possible := range []bool{false, false, false, true, true} {
		if report := wantPulled(inTime(t), t, vault, longSecret, 1); report.NewerPossible != possible {
			t.Errorf("%d of seven say nothing: %+v", i, report)
		}
		cluster.Front(i, refusing(api.ErrTokenInvalid))
	}
}

// All guardians are further past version 1 than any Store goes at once. What
// they tell of their history leads there, whatever a liar adds to it.
func TestHostileGapInTheHistory(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := ownedVault(t, cluster)
	reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4)
	reach(t, cluster, 5001, "cut short", 0, 1)
	reach(t, cluster, 5001, "cut short", 2, 3)
	reach(t, cluster, 5001, "cut short", 4)
	for name, lie := range map[string]front{
		"nobody lies":             chain(),
		"one denies it":           on(api.RouteHistory, refusing(api.ErrNotFound)),
		"one makes up more of it": telling(5001, 5000, 4999, 4000, 3000, 2000, 2, 1),
		"one shows none of it":    chain(telling(5001), onOlder(refusing(api.ErrNotFound))),
		"one is silent on it":     on(api.RouteHistory, silence),
	} {
		cluster.Front(1, lie)
		hurried(t, name, 5*time.Second, func() {
			if report := wantPulled(inTime(t), t, vault, longSecret, 1); !report.Fallback || report.Newest != 5001 || report.Used < 4 {
				t.Errorf("%s: Pull: %+v", name, report)
			}
		})
	}
}

// An acknowledged version is with W of N guardians. That there is none is
// believed when K of these would have to be lying, or all say so.
func TestHostileAbsentees(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ n, k, need int }{
		{2, 2, 2}, {3, 2, 3}, {3, 3, 3}, {4, 2, 3}, {5, 2, 3}, {5, 3, 4}, {5, 5, 5}, {6, 3, 5}, {7, 3, 5}, {8, 3, 5}, {14, 4, 8},
	} {
		cluster := guardiantest.New(t, test.n)
		vault := newVault(t, cluster.URLs(), test.k)
		for i := range test.n {
			lie := refusing(api.ErrNotFound)
			if i >= test.need {
				lie = refusing([]error{api.ErrTokenInvalid, api.ErrIntegrityFailed}[i%2])
			}
			cluster.Front(i, lie)
		}
		_, _, err := vault.Pull(inTime(t), identity)
		if !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%d of %d hold nothing, K = %d: %v", test.need, test.n, test.k, err)
		}
		cluster.Front(test.need-1, refusing(api.ErrTokenInvalid))
		_, _, err = vault.Pull(inTime(t), identity)
		if errors.Is(err, api.ErrNotFound) {
			t.Errorf("%d of %d hold nothing, K = %d: %v", test.need-1, test.n, test.k, err)
		}
		wantQuorumError(t, err, test.k, 0, cluster.URLs()[test.need-1])
	}
}

// Of what guardians show at odds with each other Verify says the same each time
// it is asked, and takes no push that was cut short for what was stored.
func TestHostileVerify(t *testing.T) {
	t.Parallel()
	inEpoch := func(epoch uint64) front {
		return changingAnswers(func(answer *api.PullResponse) { answer.Epoch = epoch })
	}
	good, wrong, ahead := client.StateGood, client.StateWrong, client.StateAhead
	for name, test := range map[string]struct {
		spoil   func(*testing.T, *guardiantest.Cluster)
		version uint64
		good    int
		err     error // nil, ErrAuthentication, or any for a QuorumError
		states  []client.State
	}{
		"two splits, one acknowledged": {
			func(t *testing.T, c *guardiantest.Cluster) {
				reach(t, c, 2, "cut short", 0)
				reach(t, c, 2, longSecret, 1, 2, 3, 4)
			}, 2, 4, client.ErrAuthentication, []client.State{wrong, good, good, good, good},
		},
		"two splits, one has K": {
			func(t *testing.T, c *guardiantest.Cluster) {
				reach(t, c, 2, "cut short", 3, 4)
				reach(t, c, 2, longSecret, 0, 1, 2)
			}, 2, 3, client.ErrAuthentication, []client.State{good, good, good, wrong, wrong},
		},
		"one share ahead": {
			func(t *testing.T, c *guardiantest.Cluster) { reach(t, c, 2, "cut short", 2) },
			1, 4, nil,
			[]client.State{good, good, ahead, good, good},
		},
		"two shares far ahead": {
			func(t *testing.T, c *guardiantest.Cluster) { reach(t, c, 9000, "cut short", 0, 4) },
			1, 3, nil,
			[]client.State{ahead, good, good, good, ahead},
		},
		"one in another epoch": {
			func(_ *testing.T, c *guardiantest.Cluster) { frontAll(c, inEpoch(1), 0) },
			1, 4, client.ErrAuthentication,
			[]client.State{wrong, good, good, good, good},
		},
		"three in another epoch": {
			func(_ *testing.T, c *guardiantest.Cluster) { frontAll(c, inEpoch(7), 0, 2, 4) },
			1, 2, &client.QuorumError{},
			[]client.State{wrong, good, wrong, good, wrong},
		},
		"one claims to be ahead": {
			func(_ *testing.T, c *guardiantest.Cluster) { frontAll(c, claiming(oneAhead), 1) },
			1, 4, nil,
			[]client.State{good, ahead, good, good, good},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := guardiantest.New(t, 5)
			reach(t, cluster, 1, longSecret, 0, 1, 2, 3, 4)
			test.spoil(t, cluster)
			for range 5 {
				report, err := ownedVault(t, cluster).Verify(inTime(t), owned)
				var states []client.State
				for _, g := range report.Guardians {
					states = append(states, g.State)
				}
				if report.Version != test.version || report.Good != test.good || !slices.Equal(states, test.states) {
					t.Fatalf("Verify: %+v", report)
				}
				wantVerdict(t, cluster, err, test.err, states)
			}
		})
	}
}

// wantVerdict wants an error of Verify of a kind, which names those that show
// what is wrong.
func wantVerdict(t *testing.T, cluster *guardiantest.Cluster, err, want error, states []client.State) {
	t.Helper()
	_, few := errors.AsType[*client.QuorumError](err)
	_, wantsFew := errors.AsType[*client.QuorumError](want)
	if few != wantsFew || !few && !errors.Is(err, want) {
		t.Fatalf("Verify: %v, want %T", err, want)
	}
	for i, state := range states {
		if state == client.StateWrong && !strings.Contains(fmt.Sprint(err), cluster.URLs()[i]) {
			t.Errorf("%v does not name guardian %d", err, i)
		}
	}
}
