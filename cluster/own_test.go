package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// plant puts an object into the registry's storage by hand.
func (w *world) plant(key, data string) {
	w.t.Helper()
	if _, err := w.store.Put(w.t.Context(), key, []byte(data), backend.AnyRevision); err != nil {
		w.t.Fatal(err)
	}
}

// A damaged record of its own keeps a guardian from no list, before a restart
// or after, where the pins or the roster say who it is.
func TestOwnRecordDamaged(t *testing.T) {
	for name, change := range map[string][]func(*Config){"pins": nil, "roster": {withRoster}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.publish(rosterOf(1, "g1", "g2"))
				g1, g2 := w.start("g1", change...), w.start("g2", change...)
				pass(20 * time.Second)
				w.plant("guardians/g1", "garbage")
				pass(10 * time.Second)
				w.publish(rosterOf(2, "g1", "g2", "g3"))
				g3 := w.start("g3", change...)
				pass(time.Minute)
				for range 2 {
					// Without a roster g3 has not heard of g1, and refuses it.
					if states := g1.states(); len(states) != 3 || states[1] != "g2:2:alive" || change != nil && states[2] != "g3:3:alive" {
						t.Errorf("g1 sees %q", states)
					}
					g2.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
					g1.wantLogged(1, "level=WARN", "cannot register", "remove it by hand")
					g1.wantLogged(0, "single-node")
					g1 = g1.again(change...)
					pass(time.Minute)
				}
				forget(w, "g1")
				pass(20 * time.Second)
				g3.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
			})
		})
	}
}

// Who is known to nobody but the registry does not go on without it.
func TestOwnRecordDamagedFromTheStart(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.enlist("g2")
		w.plant("guardians/g1", "garbage")
		g1 := w.start("g1")
		pass(time.Minute)
		g1.wantStates("g1:0:alive")
		g1.wantLogged(1, singleNode)
	})
}

// Addresses that somebody puts into a guardian's record do not stay.
func TestOwnAddressChanged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(20 * time.Second)
		mine := g1.cfg.Self
		for range 3 {
			changed := mine
			changed.Index, changed.ClientURL, changed.PeerURL = 1, "http://evil:1", "https://evil:1"
			w.plant("guardians/g1", string(encodeMember(changed)))
			pass(20 * time.Second)
			if at := g2.View().Members[0].PeerURL; at != changed.PeerURL {
				t.Errorf("g2 has it at %s", at)
			}
			pass(5 * time.Minute)
			if at := g2.View().Members[0]; at.PeerURL != mine.PeerURL || at.ClientURL != mine.ClientURL {
				t.Errorf("g2 has it at %+v", at)
			}
			g1.wantStates("g1:1:alive", "g2:2:alive")
		}
		g1.wantLogged(3, "level=WARN", "the registry has other URLs of this guardian than its own")
	})
}

// One that is being replaced by a process elsewhere ends without a word.
func TestReplacedElsewhere(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		pins, registry := &keeper{}, &registryOf{Registry: NewBucket(w.store, nil)}
		old := w.startWith("g1", pins, registry)
		g2 := w.start("g2")
		pass(time.Hour)
		w.startWith("g1", pins, registry)
		pass(40 * time.Second)
		old.end()
		pass(time.Hour)
		g2.wantStates("g1:1:alive", "g2:2:alive")
		g2.wantLogged(1, `msg="guardian moved"`)
	})
}

func TestPatience(t *testing.T) {
	var p patience
	at := start
	var over []time.Duration
	for range 5 * 60 {
		if p.over(at) {
			over = append(over, at.Sub(start))
		}
		at = at.Add(time.Minute)
	}
	// Each begins anew with the minute after.
	want := []time.Duration{1, 4, 9, 18, 35, 68, 129, 190, 251}
	for i := range want {
		want[i] *= time.Minute
	}
	if !slices.Equal(over, want) {
		t.Errorf("over after %v, want %v", over, want)
	}
	p.over(at)
	p.end()
	if p.over(at.Add(mostPatience)) {
		t.Error("what was well meanwhile counts")
	}
}

// contested is a ledger in which another is always first.
type contested struct {
	calls int
	err   error // of every claim
}

func (l *contested) claims(context.Context) (map[int]string, error) {
	l.calls++
	return map[int]string{}, nil
}

func (l *contested) claim(context.Context, int, string) error { l.calls++; return l.err }

func (l *contested) find(context.Context, string) (stored, error) {
	l.calls++
	return stored{}, errAbsent
}

func (l *contested) write(context.Context, Member, stored) error { l.calls++; return errMoved }

// Neither is a busy loop, nor goes on for ever.
func TestRegisterIsBounded(t *testing.T) {
	for name, err := range map[string]error{"the claim is lost": errMoved, "the record is": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, began := &contested{err: err}, time.Now()
				_, got := register(t.Context(), l, memberOf(0, "g1"))
				if !errors.Is(got, errMoved) || l.calls > 4*maxRounds || time.Since(began) < time.Second {
					t.Errorf("%v after %d calls", got, l.calls)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				l.calls, began = 0, time.Now()
				_, got = register(ctx, l, memberOf(0, "g1"))
				if !errors.Is(got, context.DeadlineExceeded) || l.calls > 100 || time.Since(began) != time.Second {
					t.Errorf("%v after %d calls and %v", got, l.calls, time.Since(began))
				}
			})
		})
	}
}
