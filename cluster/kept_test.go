package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

func TestKept(t *testing.T) {
	roster := signRoster(t, rosterOf(7, "g1"))
	data := memoryOf(memberOf(2, "g2"), memberOf(1, "g1")).withRoster(rosterOf(7, "g1"), roster).encode()
	k, err := ParseKept(data)
	if err != nil || len(k.Pins) != 2 || k.Pins[0].NodeID != "g1" || k.Pins[1].Index != 2 || !bytes.Equal(k.Roster, roster) {
		t.Fatalf("it is %+v, %v", k, err)
	}
	if again := k.Encode(); !bytes.Equal(again, data) {
		t.Errorf("encoded it is %s", again)
	}
	if k.Forget("g3") || !k.Forget("g1") || k.Forget("g1") || len(k.Pins) != 1 {
		t.Errorf("left is %+v", k.Pins)
	}
	k.Roster = nil
	if got, err := decodeMemory(k.Encode(), publicOf("admission")); err != nil || got.serial() != 0 || !slices.Equal(got.text(), memoryOf(memberOf(2, "g2")).text()) {
		t.Errorf("kept is %v, %v", got.text(), err)
	}
	if k, err := ParseKept(nil); err != nil || len(k.Pins) != 0 || k.Roster != nil {
		t.Errorf("of nothing it is %+v, %v", k, err)
	}
	if k, err := ParseKept([]byte("x")); err == nil || k != nil {
		t.Errorf("of a letter it is %+v", k)
	}
}

// edit changes what is kept as an operator does.
func (k *keeper) edit(t *testing.T, change func(*Kept)) {
	t.Helper()
	k.set(func(k *keeper) {
		kept, err := ParseKept(k.data)
		if err != nil {
			t.Fatal(err)
		}
		change(kept)
		k.data = kept.Encode()
	})
}

// A guardian that runs takes over what its operator has it forget, does not put
// it back, and pins the new key.
func TestForgottenWhileRunning(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(10 * time.Second)
		g2.end()
		forget(w, "g2")
		pass(2 * time.Minute)
		w.enlist("g3") // so that there is something to be kept in just this moment
		g1.pins.edit(t, func(k *Kept) { k.Forget("g2") })
		pass(10 * time.Second)
		kept, err := ParseKept(g1.pins.data)
		if err != nil || len(kept.Pins) != 2 || kept.Pins[1].NodeID != "g3" {
			t.Fatalf("kept is %+v, %v", kept, err)
		}
		newKey := func(cfg *Config) { cfg.Self.PublicKey = publicOf("g2 anew") }
		g2 = w.start("g2", newKey)
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect")
		if key, _ := g1.KeyOf("g2"); !key.Equal(publicOf("g2 anew")) {
			t.Errorf("its key is %x", key)
		}
		g2.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
	})
}

// It is noticed although nothing new is to be kept.
func TestForgottenIsNoticed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(10 * time.Second)
		g2.end()
		forget(w, "g2")
		w.start("g2", func(cfg *Config) { cfg.Self.PublicKey = publicOf("g2 anew") })
		pass(2 * time.Minute)
		if key, _ := g1.KeyOf("g2"); !key.Equal(publicOf("g2")) {
			t.Errorf("its key is %x", key)
		}
		g1.pins.edit(t, func(k *Kept) { k.Forget("g2") })
		pass(recallEvery + 10*time.Second)
		if key, _ := g1.KeyOf("g2"); !key.Equal(publicOf("g2 anew")) {
			t.Errorf("its key is %x", key)
		}
	})
}

// What cannot be read again is complained of once, and changes nothing.
func TestMemoryCannotBeReadAgain(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(10 * time.Second)
		g1.pins.set(func(k *keeper) { k.failLoad = errors.New("bad sector") })
		pass(10 * time.Minute)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		g2.wantStates("g1:1:alive", "g2:2:alive")
		g1.wantLogged(1, "level=WARN", "cannot read again what was kept of the cluster", "bad sector")
	})
}

// contender is a Keeper to which another saves first, so many times.
type contender struct {
	*keeper
	times int
}

func (k *contender) Save(ctx context.Context, data []byte) error {
	if k.times--; k.times >= 0 {
		return fmt.Errorf("saving: %w", backend.ErrConflict)
	}
	return k.keeper.Save(ctx, data)
}

func TestAnotherSavesFirst(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.enlist("g2")
		g1 := w.start("g1", func(cfg *Config) { cfg.Pins = &contender{&keeper{}, 3} })
		pass(time.Second)
		g1.wantStates("g2:1:alive", "g1:2:alive")
		g1.wantLogged(0, "level=ERROR")
	})
}

// Who has a signed roster is not told by the registry who is a member because
// the admission key was left out.
func TestAdmissionKeyLeftOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2"))
		g1 := w.start("g1", withRoster)
		w.enlist("thief")
		pass(20 * time.Second)
		g1 = g1.again()
		pass(10 * time.Minute)
		g1.wantStates("g1:0:alive")
		g1.wantLogged(1, "level=ERROR", "cannot tell who the other guardians are", "cluster pins forget --roster")
		g1.wantLogged(1, "msg=")
		if _, known := g1.NodeOf(publicOf("thief")); known {
			t.Error("the thief is a member")
		}
		g1.pins.edit(t, func(k *Kept) { k.Roster = nil })
		pass(time.Minute)
		g1.wantStates("g1:1:alive", "thief:2:suspect")
	})
}

// What is kept is known before the registry answers: its members may call.
func TestRegistryDownAtStartOfOneThatKnows(t *testing.T) {
	for name, change := range map[string][]func(*Config){"pins": nil, "roster": {withRoster}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.publish(rosterOf(5, "g1", "g2", "g3"))
				g1, g2, g3 := w.start("g1", change...), w.start("g2", change...), w.start("g3", change...)
				pass(20 * time.Second)
				g3.end()
				g1.end()
				registry := &registryOf{Registry: NewBucket(w.store, nil), down: errors.New("no route to host")}
				g1 = w.startWith("g1", g1.pins, registry, func(cfg *Config) {
					cfg.Self.PeerURL = g1.cfg.Self.PeerURL
					for _, alter := range change {
						alter(cfg)
					}
				})
				g1.wantStates("g1:1:alive", "g2:2:dead", "g3:3:dead") // nobody is taken for alive
				pass(time.Minute)
				g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:dead")
				g2.wantStates("g1:1:alive", "g2:2:alive", "g3:3:dead")
				if v := g1.View(); v.Reached || v.ListEpoch != g2.View().ListEpoch || (v.RosterSerial == 5) != (change != nil) {
					t.Errorf("it sees %+v", v)
				}
				if (g1.SignedRoster() != nil) != (change != nil) {
					t.Errorf("it shows the roster %x", g1.SignedRoster())
				}
				g1.wantLogged(1, singleNode)
				registry.fails(nil)
				pass(45 * time.Second)
				g1.wantLogged(1, `msg="guardian joined" node_id=g2`)
				if at := g1.View().Members[1].PeerURL; at != g2.cfg.Self.PeerURL {
					t.Errorf("g2 is at %q", at)
				}
			})
		})
	}
}

// Fakes that a registry once listed are nobody to one that starts.
func TestKeptFakesAreDead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1 := w.start("g1")
		w.start("g2")
		pass(20 * time.Second)
		g1.registry.lies(withFakes)
		pass(2 * time.Minute)
		g1.registry.lies(nil)
		pass(2 * time.Minute)
		g1 = g1.again()
		if v := g1.View(); v.Alive > 2 || v.Threshold != 3 {
			t.Errorf("%d are alive", v.Alive)
		}
		pass(20 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		g1.wantLogged(0, "more guardians left")
	})
}
