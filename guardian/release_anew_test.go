package guardian

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/manifest"
)

// Where `version` is damaged, what a record has given to others goes, and whatever
// else is sound stays.
func TestReleaseWhereVersionIsDamaged(t *testing.T) {
	for name, test := range map[string]struct {
		before  func(b bench, line []Share)
		current uint64
		moved   bool
		held    map[uint64]string // by version
	}{
		"nothing is left": {func(b bench, line []Share) {
			b.pushOwned(5)
			_, gone := b.next(line[1], round{nodes: away})
			b.must(b.Release(b.t.Context(), b.slot, gone.Chain))
		}, 5, true, nil},
		"its share is left": {func(b bench, _ []Share) { b.pushOwned(5) }, 5, true, nil},
		"its share is damaged": {func(b bench, line []Share) {
			b.must(b.Mend(b.t.Context(), b.slot, line[1]))
			b.spoilShare(5)
		}, 5, true, nil},
		"what is prepared is left": {func(b bench, line []Share) {
			b.pushOwned(5)
			prepared, _ := b.next(line[0], round{seed: 70})
			b.must(b.Prepare(b.t.Context(), b.slot, prepared))
		}, 5, true, nil},
		"an older one is left":       {func(b bench, _ []Share) { b.pushOwned(4, 5) }, 5, true, map[uint64]string{4: "0"}},
		"one too many is left":       {func(b bench, _ []Share) { b.pushOwned(4, 5); b.orphan(b.owned(3).written()) }, 5, true, map[uint64]string{4: "0"}},
		"an older one is damaged":    {func(b bench, _ []Share) { b.pushOwned(4, 5); b.spoilShare(4) }, 5, true, nil},
		"one that nobody has signed": {func(b bench, _ []Share) { b.pushOwned(5); b.orphan(Share{Data: []byte("\x03any"), Version: 99}) }, 5, true, nil},
		"a newer one is left":        {func(b bench, _ []Share) { b.pushOwned(5, 6) }, 6, false, map[uint64]string{6: "0"}},
		"only a newer one is left":   {func(b bench, _ []Share) { b.pushOwned(6) }, 6, false, map[uint64]string{6: "0"}},
		"three are left":             {func(b bench, _ []Share) { b.pushOwned(5, 6); b.orphan(b.owned(4).written()) }, 6, false, map[uint64]string{6: "0", 4: "0"}},
		"it has come back": {func(b bench, line []Share) {
			_, gone := b.next(line[1], round{nodes: away})
			_, back := b.next(gone, round{seed: 71})
			b.must(b.Mend(b.t.Context(), b.slot, back))
		}, 5, false, map[uint64]string{5: "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				line := b.line(5, 1)
				test.before(b, line)
				b.spoil(b.slot.commitKey())
				time.Sleep(orphanAge)
				_, gone := b.next(line[1], round{nodes: away})
				if _, err := b.Examine(t.Context(), b.slot); err != nil || b.Quarantined() != 1 {
					t.Errorf("before it: %v, %d in quarantine", err, b.Quarantined())
				}
				b.must(b.Release(t.Context(), b.slot, gone.Chain))
				b.must(b.Release(t.Context(), b.slot, gone.Chain)) // again
				now := b.commit()
				if now.current != test.current || (now.moved != nil) != test.moved || len(now.named()) != len(test.held) {
					t.Errorf("it says %q", now.lines())
				}
				if !now.standing.owned || !now.standing.manifest {
					t.Errorf("the owner is forgotten: %q", now.lines())
				}
				for version, epoch := range test.held {
					b.wantAt(version, -1, epoch)
				}
				b.wantOnlyNamed()
				b.wantPrepared()
				if err := b.VerifyAll(t.Context()); err != nil || b.Quarantined() != 0 {
					t.Errorf("after it: %v, %d in quarantine", err, b.Quarantined())
				}
				if err := b.Push(t.Context(), b.slot, b.owned(now.current), Caller{Proof: 2}); !errors.Is(err, api.ErrVersionConflict) {
					t.Errorf("its version pushed again: %v", err)
				}
				b.pushOwned(now.current + 1)
			})
		})
	}
}

// What may be at work, or is of another line, is not decided about.
func TestNotReleasedWhereVersionIsDamaged(t *testing.T) {
	other := func(m *manifest.Manifest) { m.Split = otherSplit }
	for name, test := range map[string]struct {
		before func(b bench, line []Share)
		age    time.Duration
		want   error
		stays  string // "" when nothing is written
	}{
		"a younger one is above": {func(b bench, _ []Share) { b.pushOwned(6) }, orphanAge - 1, ErrNotReleased, ""},
		"a younger one is below": {func(b bench, _ []Share) { b.pushOwned(4) }, orphanAge - 1, ErrNotReleased, ""},
		"two of one version": {func(b bench, _ []Share) {
			b.pushOwned(6)
			twin := withManifest(b.t, b.slot, Share{Data: []byte("\x03share of 6"), Version: 6, Split: otherSplit}, movable, other)
			b.orphan(twin)
		}, orphanAge, ErrNotReleased, ""},
		"another line": {func(b bench, line []Share) {
			_, twin := b.next(line[0], round{seed: 72})
			b.must(b.Mend(b.t.Context(), b.slot, twin))
		}, orphanAge, ErrForked, "1"},
		"another share of the owner's": {func(b bench, _ []Share) {
			twin := withManifest(b.t, b.slot, Share{Data: []byte("\x03share of 5"), Version: 5, Split: otherSplit}, movable, other)
			b.must(b.Push(b.t.Context(), b.slot, twin, Caller{Proof: 2}))
		}, orphanAge, ErrNotReleased, "0"},
		"too large": {func(b bench, _ []Share) {
			b.pushOwned(5)
			b.Node.store = tooLarge{b.Node.store, b.slot.commitKey()}
		}, orphanAge, ErrNotReleased, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				line := b.line(5, 1)
				test.before(b, line)
				settle(t, b.Node)
				b.spoil(b.slot.commitKey())
				time.Sleep(test.age)
				before := b.store.Objects()
				_, gone := b.next(line[1], round{nodes: away})
				err := b.Release(t.Context(), b.slot, gone.Chain)
				settle(t, b.Node)
				if !errors.Is(err, ErrNotReleased) || !errors.Is(err, test.want) {
					t.Errorf("released: %v", err)
				}
				if test.stays != "" {
					b.wantAt(5, -1, test.stays)
					b.wantOnlyNamed()
					delete(before, b.slot.commitKey())
				}
				for key, data := range before {
					if !bytes.Equal(b.store.Objects()[key], data) {
						t.Errorf("%s has changed", key)
					}
				}
			})
		})
	}
}

// What is under a key that this process does not know may be sound.
func TestReleaseAnewWithoutTheKey(t *testing.T) {
	store := backendtest.NewMemory()
	b := bench{nodeWith(t, store, "k1"), t, store, ownedSlot("name")}
	b.pushOwned(6)
	b.spoil(b.slot.commitKey())
	before := b.store.Objects()
	b.sealer = sealerWith(t, "k2")
	_, gone := b.next(b.owned(5), round{nodes: away})
	if err := b.Release(t.Context(), b.slot, gone.Chain); !errors.Is(err, api.ErrKeyUnavailable) {
		t.Errorf("released: %v", err)
	}
	if after := b.store.Objects(); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("it holds %q, it held %q", keysOf(after), keysOf(before))
	}
}

// What the statements left claim of their owner goes on to be asked for.
func TestReleaseAnewKeepsTheStanding(t *testing.T) {
	b := newBench(t)
	b.pushOwned(5)
	b.spoil(b.slot.commitKey())
	_, gone := b.next(b.owned(5), round{nodes: away})
	b.must(b.Release(t.Context(), b.slot, gone.Chain))
	if known := b.commit().standing; known != (standing{owned: true, proof: 2, manifest: true}) {
		t.Errorf("known is %q", known)
	}
	if err := b.Delete(t.Context(), b.slot, 5, Caller{Proof: 1}); !errors.Is(err, api.ErrOwnershipInvalid) {
		t.Errorf("deleted by less: %v", err)
	}
	b.delete(5)
	b.wantTombstone()
}

func TestDepartDecisions(t *testing.T) {
	g := func(version uint64) generation { return generation{version: version, attempt: "000000000000"} }
	by := departure{epoch: 3}
	for _, test := range []struct {
		sound  []uint64
		retain int
		want   []uint64 // named
		moved  bool
	}{
		{nil, 1, nil, true},
		{[]uint64{4}, 1, nil, true},
		{[]uint64{4, 3, 2}, 3, []uint64{4, 3}, true},
		{[]uint64{5}, 1, []uint64{5}, false},
		{[]uint64{7, 6, 4}, 2, []uint64{7, 6}, false},
		{[]uint64{7, 6, 4}, 9, []uint64{7, 6, 4}, false},
	} {
		var left remains
		for _, version := range test.sound {
			left.sound = append(left.sound, g(version))
		}
		next, err := decideDepart(left, by, 5, test.retain)
		if err != nil {
			t.Fatal(err)
		}
		var named []uint64
		for _, g := range next.named() {
			named = append(named, g.version)
		}
		again, err := parseCommit(next.lines())
		if !slices.Equal(named, test.want) || (next.moved != nil) != test.moved || err != nil || again.lines() != next.lines() {
			t.Errorf("of %d it makes %q, %v", test.sound, next.lines(), err)
		}
	}
}
