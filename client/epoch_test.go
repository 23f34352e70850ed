package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// pulled is what is wanted of a pull of longSecret at version 1.
type pulled struct {
	epoch     uint64
	k, used   int
	byPayload bool
	states    map[int]client.State
}

func (l *line) wantPulled(name string, want pulled) {
	l.t.Helper()
	secret, report, err := l.vault.Pull(inTime(l.t), owned)
	if err != nil || string(secret) != longSecret {
		l.t.Fatalf("%s: Pull: %q, %+v, %v", name, secret, report, err)
	}
	if report.Version != 1 || report.Epoch != want.epoch || report.Threshold != want.k || report.Used != want.used ||
		!report.Checked || !report.Manifest || report.ByPayload != want.byPayload || report.Fallback {
		l.t.Errorf("%s: Pull: %+v", name, report)
	}
	for i, g := range report.Guardians {
		state, special := want.states[i]
		if !special {
			state = client.StateGood
		}
		if g.State != state {
			l.t.Errorf("%s: guardian %d is %s (%v), want %s", name, i, g.State, g.Err, state)
		}
		if g.State == client.StateWrong && (g.Err == nil || !strings.Contains(g.Err.Error(), l.cluster.URLs()[i])) {
			l.t.Errorf("%s: guardian %d is wrong: %v", name, i, g.Err)
		}
	}
}

func TestRedistributedShares(t *testing.T) {
	t.Parallel()
	wrong, ahead, missing, stale := client.StateWrong, client.StateAhead, client.StateMissing, client.StateStale
	garble := func(shares []api.PullResponse, at ...int) {
		for _, i := range at {
			garbage(&shares[i])
		}
	}
	for name, test := range map[string]struct {
		spread func(*line)
		want   pulled
	}{
		"a higher K": {
			func(l *line) { l.serve(l.deal(1, 5, upTo(7))) }, pulled{1, 5, 7, false, nil},
		},
		"after many epochs": {
			func(l *line) { l.serve(l.deal(1000, 3, upTo(7))) }, pulled{1000, 3, 7, false, nil},
		},
		"points that are no positions": {
			func(l *line) { l.serve(l.deal(1, 3, []byte{255, 9, 1, 77, 3, 200, 4})) }, pulled{1, 3, 7, false, nil},
		},
		"dropped guardians": {
			func(l *line) {
				l.serve(l.deal(1, 3, upTo(5)))
				frontAll(l.cluster, serving(nil), 5, 6)
			}, pulled{1, 3, 5, false, map[int]client.State{5: missing, 6: missing}},
		},
		"no more than K": {
			func(l *line) {
				l.serve(l.deal(1, 3, upTo(3)))
				frontAll(l.cluster, serving(nil), 3, 4, 5, 6)
			}, pulled{1, 3, 3, false, map[int]client.State{3: missing, 4: missing, 5: missing, 6: missing}},
		},
		"K-1 wrong": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				garble(shares, 0, 4)
				l.serve(shares)
			}, pulled{1, 3, 5, false, map[int]client.State{0: wrong, 4: wrong}},
		},
		"K-1 wrong of a higher K": {
			func(l *line) {
				shares := l.deal(1, 4, upTo(7))
				garble(shares, 0, 1, 2)
				l.serve(shares)
			}, pulled{1, 4, 4, true, map[int]client.State{0: wrong, 1: wrong, 2: wrong}},
		},
		"N-K wrong": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				garble(shares, 0, 1, 2, 3)
				l.serve(shares)
			}, pulled{1, 3, 3, true, map[int]client.State{0: wrong, 1: wrong, 2: wrong, 3: wrong}},
		},
		"the point of another": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				takePoint(&shares[2], &shares[6])
				l.serve(shares)
			}, pulled{1, 3, 6, false, map[int]client.State{2: wrong}},
		},
		"a made-up epoch": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				forged := l.deal(9, 3, upTo(3))[:2]
				garble(forged, 0, 1)
				copy(shares[3:], forged)
				l.serve(shares)
			}, pulled{1, 3, 5, false, map[int]client.State{3: ahead, 4: ahead}},
		},
		"a made-up epoch with K shares": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				forged := l.deal(9, 3, upTo(3))
				garble(forged, 0, 1, 2)
				copy(shares[3:], forged)
				l.serve(shares)
			}, pulled{1, 3, 4, false, map[int]client.State{3: ahead, 4: ahead, 5: ahead}},
		},
		"another K, split, length": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				shares[0].Threshold = 4
				shares[1].Split = strings.Repeat("77", api.SplitSize)
				shares[2].Share = base64.StdEncoding.EncodeToString(decoded(l.t, shares[2].Share)[1:])
				l.serve(shares)
			}, pulled{1, 3, 4, false, map[int]client.State{0: wrong, 1: wrong, 2: wrong}},
		},
		"K that the owner forbids, or none": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				shares[0].Threshold, shares[1].Threshold, shares[2].Threshold = 2, 2, 0
				l.serve(shares)
			}, pulled{1, 3, 4, false, map[int]client.State{0: wrong, 1: wrong, 2: wrong}},
		},
		"the split that the owner pushed": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				shares[5].Split = l.stored.Split
				l.serve(shares)
			}, pulled{1, 3, 6, false, map[int]client.State{5: wrong}},
		},
		"an older epoch": {
			func(l *line) {
				shares := l.deal(2, 3, upTo(7))
				shares[6] = l.deal(1, 3, upTo(7))[6]
				l.serve(shares)
				l.cluster.Start(5) // was away for all of it
			}, pulled{2, 3, 5, false, map[int]client.State{5: stale, 6: stale}},
		},
		"two that frame others": {
			func(l *line) {
				shares := l.deal(1, 3, upTo(7))
				frame(l.t, shares, 0, 1, 2)
				l.serve(shares)
			}, pulled{1, 3, 5, false, map[int]client.State{0: wrong, 1: wrong}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := storedOn(t, 7)
			test.spread(l)
			l.wantPulled(name, test.want)
		})
	}
}

// What is wrong with a redistributed share is told by itself where it can be.
func TestWhatIsSaidOfRedistributedShares(t *testing.T) {
	t.Parallel()
	for text, lie := range map[string]func(l *line, shown *api.PullResponse){
		"it says that 2 shares are enough, the owner's manifest allows no fewer than 3": func(_ *line, shown *api.PullResponse) { shown.Threshold = 2 },
		"it does not say how many shares are enough":                                    func(_ *line, shown *api.PullResponse) { shown.Threshold = 0 },
		"it is of the split that the owner pushed":                                      func(l *line, shown *api.PullResponse) { shown.Split = l.stored.Split },
		"by the owner's manifest it would have": func(l *line, shown *api.PullResponse) {
			shown.Share = base64.StdEncoding.EncodeToString(append(decoded(l.t, shown.Share), 0))
		},
		"does not fit those that make what the owner signed":                  func(_ *line, shown *api.PullResponse) { garbage(shown) },
		"its share is of another split of that version":                       func(_ *line, shown *api.PullResponse) { shown.Threshold = 4 },
		"it is at epoch 9 of that version, of which too few show shares that": func(_ *line, shown *api.PullResponse) { shown.Epoch = 9 },
	} {
		l := storedOn(t, 5)
		shares := l.deal(1, 3, upTo(5))
		lie(l, &shares[2])
		l.serve(shares)
		_, report, err := l.vault.Pull(inTime(t), owned)
		if said := report.Guardians[2]; err != nil || said.Err == nil || !strings.Contains(said.Err.Error(), text) || report.Used != 4 {
			t.Errorf("Pull: %v; %v is said, want %q", err, said.Err, text)
		}
	}
}

// takePoint claims the point of another share.
func takePoint(liar, other *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(liar.Share)
	stolen, _ := base64.StdEncoding.DecodeString(other.Share)
	share[0] = stolen[0]
	liar.Share = base64.StdEncoding.EncodeToString(share)
}

// frame changes two shares of threshold 3 so that they make the same payload as
// before with a third, though on another polynomial: by d(x) = x * (x - x3), which
// is 0 there and at 0.
func frame(t *testing.T, shares []api.PullResponse, first, second, with int) {
	t.Helper()
	third := decoded(t, shares[with].Share)[0]
	for _, i := range []int{first, second} {
		share := decoded(t, shares[i].Share)
		for at := 1; at < len(share); at++ {
			share[at] ^= product(share[0], share[0]^third)
		}
		shares[i].Share = base64.StdEncoding.EncodeToString(share)
	}
}

// product is that of GF(2^8), slowly.
func product(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a & 0x80
		if a <<= 1; carry != 0 {
			a ^= 0x1b
		}
	}
	return p
}

// Of five that show shares two can make it look as if two others were wrong: then
// it is told that this may be so, and the secret is right.
func TestFramedGuardians(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	shares := l.deal(1, 3, upTo(5))
	frame(t, shares, 0, 1, 2)
	for i := 3; i < 5; i++ {
		l.cluster.Front(i, chain(delayed(300*time.Millisecond), serving(&shares[i])))
	}
	l.serve(shares[:3])
	secret, report, err := l.vault.Pull(inTime(t), owned)
	if err != nil || string(secret) != longSecret || !report.ByPayload || report.Used != 3 {
		t.Fatalf("Pull: %q, %+v, %v", secret, report, err)
	}
	verified, err := l.vault.Verify(inTime(t), owned)
	if !errors.Is(err, client.ErrAuthentication) || !verified.ByPayload || verified.Good != 3 {
		t.Fatalf("Verify: %+v, %v", verified, err)
	}
}

func delayed(by time.Duration) front {
	return func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(by)
			real.ServeHTTP(w, r)
		})
	}
}

// Fewer than K right shares make nothing, whatever the rest are.
func TestRedistributedSharesThatAreTooFew(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 7)
	shares := l.deal(1, 4, upTo(7))
	for i := range 4 {
		garbage(&shares[i])
	}
	l.serve(shares)
	secret, _, err := l.vault.Pull(inTime(t), owned)
	if !errors.Is(err, client.ErrInconsistent) || secret != nil || !strings.Contains(err.Error(), l.cluster.URLs()[6]) {
		t.Errorf("with K-1 right ones: %q, %v", secret, err)
	}
	older := l.deal(2, 4, upTo(7))
	l.serve(slices.Concat(l.deal(1, 4, upTo(7))[:3], older[3:6]))
	l.cluster.Stop(6)
	secret, _, err = l.vault.Pull(soon(t), owned)
	failed, ok := errors.AsType[*client.QuorumError](err)
	if !ok || secret != nil || failed.Need != 4 || failed.Got != 3 || !strings.Contains(err.Error(), "at epoch 1") {
		t.Errorf("of two epochs K-1 each: %q, %v", secret, err)
	}
}

// A manifest of the version is needed for its payload: one of another version, or
// of another owner, is none.
func TestRedistributedSharesUnderFalseManifests(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 7)
	shares := l.deal(1, 3, upTo(7))
	other := *l.manifest()
	other.Owner, other.Identity = nil, rootOf(8).Identity()
	signed, err := other.Sign(rootOf(8).Owner())
	if err != nil {
		t.Fatal(err)
	}
	shares[0].Manifest = base64.StdEncoding.EncodeToString(signed)
	shares[1].Manifest = flipped(shares[1].Manifest)
	shares[2].Manifest = ""
	l.serve(shares)
	wrong := client.StateWrong
	l.wantPulled("false manifests", pulled{1, 3, 4, false, map[int]client.State{0: wrong, 1: wrong, 2: wrong}})
}

// In the midst of a commit too few show either epoch, and are asked for the next.
func TestPullInTheMidstOfACommit(t *testing.T) {
	t.Parallel()
	wrong, ahead, unreachable := client.StateWrong, client.StateAhead, client.StateUnreachable
	for name, test := range map[string]struct {
		n      int
		spread func(l *line)
		want   pulled
	}{
		"from epoch 0": {4, func(l *line) {
			next := l.deal(1, 3, upTo(4))
			l.cluster.Front(0, serving(&next[0]))
			l.cluster.Front(1, serving(&next[1]))
			l.cluster.Front(2, atEpoch(1, next[2]))
			l.cluster.Front(3, atEpoch(1, next[3]))
		}, pulled{1, 3, 4, false, nil}},
		"between two epochs": {4, func(l *line) {
			l.moving(l.deal(6, 3, upTo(4)), l.deal(7, 3, upTo(4)), 2)
		}, pulled{7, 3, 4, false, nil}},
		"to another K, with one that joins": {5, func(l *line) {
			old, next := l.deal(6, 3, upTo(4)), l.deal(7, 4, []byte{1, 2, 3, 4, 99})
			l.moving(old, next, 2)
		}, pulled{7, 4, 5, false, nil}},
		"one does not answer": {5, func(l *line) {
			l.moving(l.deal(6, 3, upTo(5)), l.deal(7, 3, upTo(5)), 2)
			l.cluster.Stop(4)
			l.cluster.Stop(1)
		}, pulled{7, 3, 3, false, map[int]client.State{1: unreachable, 4: unreachable}}},
		"made-up epochs above": {7, func(l *line) {
			old, next := l.deal(6, 3, upTo(7)), l.deal(7, 3, upTo(7))
			l.moving(old, next, 3)
			garbage(&next[0]) // or three are enough
			l.cluster.Front(0, serving(&next[0]))
			for i := 5; i < 7; i++ {
				forged := l.deal(uint64(100+i), 3, upTo(7))
				l.cluster.Front(i, serving(&forged[i]))
			}
			l.cluster.Stop(4)
		}, pulled{7, 3, 3, true, map[int]client.State{0: wrong, 4: unreachable, 5: ahead, 6: ahead}}},
		"one prepared a wrong share": {5, func(l *line) {
			old, next := l.deal(6, 3, upTo(5)), l.deal(7, 4, upTo(5))
			garbage(&next[4])
			l.moving(old, next, 3)
		}, pulled{7, 4, 4, true, map[int]client.State{4: wrong}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := storedOn(t, test.n)
			test.spread(l)
			l.wantPulled(name, test.want)
		})
	}
}

// Where epochs come and go faster than all can be asked for them, they are asked
// again rather than given up.
func TestPullWhileRoundsFollowOnEachOther(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	dealt := map[uint64][]api.PullResponse{}
	for epoch := uint64(10); epoch < 20; epoch++ {
		dealt[epoch] = l.deal(epoch, 3, upTo(5))
	}
	for i := range 5 {
		var shown []api.PullResponse
		for survey := range 3 {
			shown = append(shown, dealt[uint64(10+3*survey+i/2)][i])
		}
		l.cluster.Front(i, oneAfterTheOther(append(shown, dealt[19][i])))
	}
	l.wantPulled("at the fourth time", pulled{19, 3, 5, false, nil})
}

// Guardians that show another epoch each time, and never one of which there are K
// shares, are not asked for ever.
func TestEpochsWithoutEnd(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	var asked atomic.Int64
	for i := range 5 {
		var shown []api.PullResponse
		for survey := range 50 {
			shown = append(shown, l.deal(uint64(10+5*survey+i), 3, upTo(5))[i])
		}
		l.cluster.Front(i, chain(on(api.RoutePull, func(real http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				real.ServeHTTP(w, r)
			})
		}), oneAfterTheOther(shown)))
	}
	_, report, err := l.vault.Pull(inTime(t), owned)
	if quorum := new(client.QuorumError); !errors.As(err, &quorum) {
		t.Fatalf("%+v, %v", report, err)
	}
	// Of five guardians six times the share, and each time four of three epochs.
	if n := asked.Load(); n > 6*5*(1+3)+5 {
		t.Errorf("guardians were asked %d times", n)
	}
}

// oneAfterTheOther is a guardian whose share is the next each time that it is asked
// for its share, and at last stays.
func oneAfterTheOther(shown []api.PullResponse) front {
	var asked atomic.Int64
	return on(api.RoutePull, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if peek[api.PullRequest](r).Epoch == nil {
				asked.Add(1)
			}
			serving(&shown[min(int(max(asked.Load(), 1)), len(shown))-1])(real).ServeHTTP(w, r)
		})
	})
}

// atEpoch leaves a guardian what it holds, and has it show a share beside that to
// those who ask for its epoch.
func atEpoch(epoch uint64, prepared api.PullResponse) front {
	return on(api.RoutePull, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked := peek[api.PullRequest](r).Epoch; asked != nil && *asked == epoch {
				serving(&prepared)(real).ServeHTTP(w, r)
			} else {
				real.ServeHTTP(w, r)
			}
		})
	})
}

// Those that hang are not waited for where the others hold enough of an epoch
// that they do not all show; but they are where these do not.
func TestHangingInTheMidstOfACommit(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 6)
	old, next := l.deal(6, 3, upTo(6)), l.deal(7, 3, upTo(6))
	l.moving(old, next, 2)
	l.cluster.Front(4, silence)
	l.cluster.Front(5, serving(nil))
	hurried(t, "Pull", 8*time.Second, func() {
		l.wantPulled("one hangs", pulled{7, 3, 4, false, map[int]client.State{4: client.StateUnreachable, 5: client.StateMissing}})
	})
	slow := storedOn(t, 5)
	forged := slow.deal(9, 3, upTo(5))
	for i := range 2 {
		slow.cluster.Front(i, serving(&forged[i]))
	}
	garbage(&forged[0])
	slow.cluster.Front(4, delayed(5*time.Second))
	slow.wantPulled("two lie, one is slow", pulled{0, 3, 3, false, map[int]client.State{0: client.StateAhead, 1: client.StateAhead}})
}

// Guardians are asked for no more epochs than liars can hide one among.
func TestEpochsAskedForAreBounded(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 7)
	var asked atomic.Int64
	counting := func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if peek[api.PullRequest](r).Epoch != nil {
				asked.Add(1)
			}
			real.ServeHTTP(w, r)
		})
	}
	for i := range 6 {
		forged := l.deal(uint64(10+i), 3, upTo(7))
		l.cluster.Front(i, chain(on(api.RoutePull, counting), serving(&forged[i])))
	}
	l.cluster.Front(6, on(api.RoutePull, counting))
	if _, _, err := l.vault.Pull(inTime(t), owned); err == nil {
		t.Fatal("one share of each epoch made a secret")
	}
	// Twice at most, as those that had not answered are waited for in between.
	if n := asked.Load(); n == 0 || n > 2*7*3 {
		t.Errorf("seven guardians were asked for epochs %d times", n)
	}
}

// A vault without a root gives out the payload that the owner signed.
func TestRedistributedSharesWithoutARoot(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	shares := l.deal(3, 3, upTo(5))
	garbage(&shares[1])
	l.serve(shares)
	payload, report, err := newVault(t, l.cluster.URLs(), 0).Pull(t.Context(), owned)
	if err != nil || string(payload) != string(l.payload) || !report.Manifest || !report.Checked || report.Epoch != 3 {
		t.Errorf("Pull: %d bytes, %+v, %v", len(payload), report, err)
	}
}

// The question for an epoch of a named secret is in the URL.
func TestEpochOfANamedSecret(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 3, client.WithName("wallet"))
	var query atomic.Pointer[url.Values]
	l.cluster.Front(0, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, api.RouteSecrets) {
				q := r.URL.Query()
				query.Store(&q)
			}
			real.ServeHTTP(w, r)
		})
	})
	version, epoch := uint64(1), uint64(1<<63)
	_, err := guardianOf(t, l.cluster, 0, client.WithRoot(owner), client.WithName("wallet")).
		Pull(t.Context(), api.PullRequest{Identity: owned, Version: &version, Epoch: &epoch})
	if q := query.Load(); q == nil || q.Get("version") != "1" || q.Get("epoch") != "9223372036854775808" {
		t.Errorf("asked for %v: %v", q, err)
	}
}

// A push over redistributed shares goes by their version alone.
func TestStoreOverRedistributedShares(t *testing.T) {
	t.Parallel()
	for name, spread := range map[string]func(l *line){
		"all in one epoch": func(l *line) { l.serve(l.deal(5, 3, []byte{9, 8, 7, 6, 5})) },
		"in the midst of a commit": func(l *line) {
			l.moving(l.deal(5, 3, upTo(5)), l.deal(6, 3, upTo(5)), 3)
		},
		"one that joins": func(l *line) {
			l.moving(l.deal(5, 3, upTo(4)), l.deal(6, 3, upTo(5)), 2)
		},
		"a made-up epoch": func(l *line) {
			shares := l.deal(5, 3, upTo(5))
			shares[1].Epoch, shares[2].Epoch = 1<<63, 1<<62
			l.serve(shares)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := storedOn(t, 5)
			spread(l)
			report := mustStore(inTime(t), t, l.vault, "another")
			if report.Version != 2 {
				t.Errorf("stored as version %d", report.Version)
			}
			for i := range 5 {
				l.cluster.Start(i)
			}
			pulled := wantPulled(inTime(t), t, l.vault, "another", 2)
			if pulled.Epoch != 0 {
				t.Errorf("Pull: %+v", pulled)
			}
		})
	}
}

// What is redistributed under a version that was cut short is found below it.
func TestRetainedVersionsThatWereRedistributed(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	old := l.deal(2, 4, upTo(5))
	reach(t, l.cluster, 2, "cut short", 0, 1)
	for i := range 5 {
		if i < 2 { // beside the version that was cut short
			l.cluster.Front(i, onOlder(serving(&old[i])))
		} else {
			l.cluster.Front(i, serving(&old[i]))
		}
	}
	report := wantPulled(inTime(t), t, l.vault, longSecret, 1)
	if report.Epoch != 2 || report.Threshold != 4 || report.Used < 4 || !report.Fallback || report.Newest != 2 {
		t.Errorf("Pull: %+v", report)
	}
	if report := mustStore(inTime(t), t, l.vault, "next"); report.Version != 3 {
		t.Errorf("stored as version %d", report.Version)
	}
}

func TestVerifyRedistributedShares(t *testing.T) {
	t.Parallel()
	good, wrong, missing, untold, stale := client.StateGood, client.StateWrong, client.StateMissing, client.StateUntold, client.StateStale
	for name, test := range map[string]struct {
		spread         func(*line)
		epoch          uint64
		k, shown, good int
		err            error // nil, ErrAuthentication, or any for a QuorumError
		states         []client.State
	}{
		"all good": {
			func(l *line) { l.serve(l.deal(4, 3, []byte{1, 2, 3, 4, 90})) }, 4, 3, 5, 5, nil,
			[]client.State{good, good, good, good, good},
		},
		"one wrong, one dropped": {
			func(l *line) {
				shares := l.deal(4, 3, upTo(5))
				garbage(&shares[1])
				l.serve(shares)
				l.cluster.Front(4, serving(nil))
			}, 4, 3, 4, 3, client.ErrAuthentication,
			[]client.State{good, wrong, good, good, missing},
		},
		"too few to tell": {
			func(l *line) {
				l.serve(l.deal(4, 4, upTo(5))[:3])
				frontAll(l.cluster, serving(nil), 3, 4)
			}, 4, 4, 3, 0, &client.QuorumError{},
			[]client.State{untold, untold, untold, missing, missing},
		},
		"in the midst of a commit": {
			func(l *line) { l.moving(l.deal(4, 3, upTo(5)), l.deal(5, 4, upTo(5)), 3) }, 5, 4, 5, 5, nil,
			[]client.State{good, good, good, good, good},
		},
		"one is behind": {
			func(l *line) {
				l.serve(l.deal(4, 3, upTo(4)))
			}, 4, 3, 5, 4, nil,
			[]client.State{good, good, good, good, stale},
		},
		"one shows the share of another": {
			func(l *line) {
				shares := l.deal(4, 3, upTo(5))
				shares[3] = shares[0]
				l.serve(shares)
			}, 4, 3, 4, 4, client.ErrAuthentication,
			[]client.State{good, good, good, wrong, good},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := storedOn(t, 5)
			test.spread(l)
			report, err := l.vault.Verify(inTime(t), owned)
			var states []client.State
			for i, g := range report.Guardians {
				states = append(states, g.State)
				if g.State == good && g.Epoch != test.epoch {
					t.Errorf("guardian %d shows epoch %d", i, g.Epoch)
				}
			}
			if report.Version != 1 || report.Epoch != test.epoch || report.Threshold != test.k || report.Holders != test.shown ||
				report.Good != test.good || !slices.Equal(states, test.states) || !report.Policy.Refresh {
				t.Errorf("Verify: %+v", report)
			}
			wantVerdict(t, l.cluster, err, test.err, states)
		})
	}
}

// A context that ends is heeded where guardians are asked for epochs.
func TestEpochsWithinTheTime(t *testing.T) {
	t.Parallel()
	l := storedOn(t, 5)
	old, next := l.deal(6, 3, upTo(5)), l.deal(7, 3, upTo(5))
	for i := range 5 {
		shown := serving(&old[i])
		if i > 2 {
			shown = serving(&next[i])
		}
		l.cluster.Front(i, chain(onOlder(silence), shown))
	}
	l.cluster.Stop(2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	hurried(t, "Pull", 3*time.Second, func() {
		if _, _, err := l.vault.Pull(ctx, owned); err == nil {
			t.Error("two shares of three made a secret")
		}
	})
}
