package guardian

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/manifest"
)

// told counts what the node says of damage.
func (b bench) told() *[]Slot {
	var slots []Slot
	b.cfg.Damaged = func(slot Slot) { slots = append(slots, slot) }
	return &slots
}

// sealCurrent makes a share the current one as if this node had taken it, whatever its manifest says.
func (b bench) sealCurrent(share Share) {
	b.t.Helper()
	g := *b.commit().live
	checksum, err := b.sealShare(b.slot, g, share, standing{})
	if err != nil {
		b.t.Fatal(err)
	}
	put(b.t, b.store, b.slot.shareKey(g), share.Data)
	put(b.t, b.store, b.slot.checksumKey(g), checksum)
}

// Examine finds what each retained generation is, for whatever reason, and
// says so to those who ask, mark and count.
func TestExamine(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(b bench)
		held    []int
		problem string // in that of the first damaged one
	}{
		"sound":             {func(bench) {}, []int{5, 4}, ""},
		"share spoilt":      {func(b bench) { b.spoilShare(5) }, []int{-5, 4}, "integrity mismatch"},
		"older spoilt":      {func(b bench) { b.spoilShare(4) }, []int{5, -4}, "integrity mismatch"},
		"both":              {func(b bench) { b.spoilShare(4); b.spoilShare(5) }, []int{-5, -4}, "integrity mismatch"},
		"share lost":        {func(b bench) { b.lose(b.slot.shareKey(b.generation(5))) }, []int{-5, 4}, "not found"},
		"checksum lost":     {func(b bench) { b.lose(b.slot.checksumKey(b.generation(4))) }, []int{5, -4}, "not found"},
		"of another place":  {func(b bench) { swapIn(b.t, b.store, b.slot, b.generation(5), b.slot, b.generation(4)) }, []int{-5, 4}, "another place"},
		"without manifest":  {func(b bench) { b.sealCurrent(Share{Data: []byte("bare"), Version: 5}) }, []int{5, 4}, ""},
		"manifest unsigned": {func(b bench) { b.sealCurrent(b.misfit(func(m []byte) { m[len(m)-1] ^= 1 })) }, []int{-5, 4}, "not signed by its owner"},
		"manifest of another version": {func(b bench) {
			share := recovered(b.t, b.slot, 6)
			b.sealCurrent(Share{Data: share.Data, Version: 5, Manifest: share.Manifest})
		}, []int{-5, 4}, "manifest is for version 6"},
		"manifest for another node": {func(b bench) {
			b.sealCurrent(recovered(b.t, b.slot, 5, func(m *manifest.Manifest) { m.Holders[0].Node = "g1" }))
		}, []int{-5, 4}, `to node "g1"`},
		"not the manifest's share": {func(b bench) {
			share := recovered(b.t, b.slot, 5)
			share.Data[4] ^= 1
			b.sealCurrent(share)
		}, []int{-5, 4}, "the hash at point 3 is another"},
		"another threshold than the manifest's": {func(b bench) {
			share := recovered(b.t, b.slot, 5)
			share.Threshold = 7
			b.sealCurrent(share)
		}, []int{-5, 4}, "manifest has threshold 2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.push(3, 4, 5)
			test.spoil(b)
			told := b.told()
			b.wantHeld(test.held...)
			damaged := 0
			for _, version := range test.held {
				if version < 0 {
					damaged++
				}
			}
			if len(*told) != damaged || damaged > 0 && (*told)[0] != b.slot {
				t.Errorf("told of %v", *told)
			}
			if marked := b.Quarantined() == 1; marked != (damaged > 0) {
				t.Errorf("in quarantine: %v", marked)
			}
			found, err := b.Examine(t.Context(), b.slot)
			if err != nil || !found.Known || found.Damaged || found.Deleted || found.Version != 5 || found.Slot != b.slot {
				t.Errorf("found %+v, %v", found, err)
			}
			for _, held := range found.Held {
				if held.Sound != (held.Problem == "") || held.Sound == (held.Share.Data == nil) {
					t.Errorf("found %+v", held)
				}
				if !held.Sound && !strings.Contains(held.Problem, test.problem) {
					t.Errorf("the problem is %q", held.Problem)
				}
			}
			if err := b.VerifyAll(t.Context()); (err != nil) != (damaged > 0) {
				t.Errorf("VerifyAll says %v", err)
			}
		})
	}
}

// misfit is a share whose manifest was changed behind its signature.
func (b bench) misfit(change func([]byte)) Share {
	share := recovered(b.t, b.slot, 5)
	change(share.Manifest)
	return share
}

func TestExamineOtherStates(t *testing.T) {
	b := newBench(t)
	examine := func() Examined {
		t.Helper()
		found, err := b.Examine(t.Context(), b.slot)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := examine(); found.Known || found.Held != nil || found.Bytes != 0 {
		t.Errorf("never seen: %+v", found)
	}
	b.orphan(recovered(t, b.slot, 4))
	if found := examine(); found.Known || found.Held != nil || found.Bytes == 0 || found.Orphans != 0 {
		t.Errorf("a push under way: %+v", found)
	}
	b.push(5) // drops what it overtook
	b.orphan(recovered(t, b.slot, 5))
	size := int64(0)
	for key, data := range b.store.Objects() {
		if strings.HasPrefix(key, b.slot.prefix()) {
			size += int64(len(data))
		}
	}
	if found := examine(); found.Orphans != 1 || found.Bytes != size {
		t.Errorf("with an orphan, %d bytes: %+v", size, found)
	}
	if found := examine(); found.Orphans != 0 || found.Bytes >= size {
		t.Errorf("without: %+v", found)
	}
	b.wantOnlyNamed()
	told := b.told()
	raw := b.store.Objects()[b.slot.commitKey()]
	b.spoil(b.slot.commitKey())
	if found := examine(); !found.Known || !found.Damaged || found.Held != nil || found.Bytes == 0 || len(*told) != 1 {
		t.Errorf("version spoilt: %+v", found)
	}
	put(t, b.store, b.slot.commitKey(), raw)
	if found := examine(); found.Damaged || b.Quarantined() != 0 {
		t.Errorf("version put back: %+v, %d in quarantine", found, b.Quarantined())
	}
	b.delete(5)
	if found := examine(); !found.Known || !found.Deleted || found.Version != 5 || found.Held != nil {
		t.Errorf("deleted: %+v", found)
	}
}

// A generation that goes while it is read is not damaged.
func TestExamineBesideAPush(t *testing.T) {
	b := newBench(t)
	b.push(4, 5)
	told := b.told()
	version := uint64(5)
	b.Node.store = &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpGet && strings.HasSuffix(call.Key, "share.bin") && version < 8 {
			version++
			other := b
			other.Node = openNode(t, b.store)
			other.push(version)
			version++
			other.push(version)
		}
		return backendtest.None
	}}
	found, err := b.Examine(t.Context(), b.slot)
	if err != nil || len(*told) != 0 || found.Version < 7 || len(found.Held) != 2 || !found.Held[0].Sound || !found.Held[1].Sound {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, marked := b.store.Objects()[b.slot.quarantineKey()]; marked {
		t.Error("in quarantine")
	}
}

// What cannot be told says nothing about the data.
func TestExamineWithoutStorageOrKey(t *testing.T) {
	b := newBench(t)
	b.push(5)
	told := b.told()
	faulty := &backendtest.Faulty{Backend: b.store}
	b.Node.store = faulty
	for step := 1; step <= 4; step++ {
		n := len(faulty.Calls())
		faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
			if call.N == n+step {
				return backendtest.NotApplied
			}
			return backendtest.None
		})
		if _, err := b.Examine(t.Context(), b.slot); !errors.Is(err, api.ErrStorageUnavailable) {
			t.Errorf("without call %d: %v", step, err)
		}
	}
	faulty.SetInject(nil)
	b.sealer = sealerWith(t, "k9")
	if _, err := b.Examine(t.Context(), b.slot); !errors.Is(err, api.ErrKeyUnavailable) {
		t.Errorf("without the key: %v", err)
	}
	if err := b.Mend(t.Context(), b.slot, recovered(t, b.slot, 5)); !errors.Is(err, api.ErrKeyUnavailable) {
		t.Errorf("mending without the key: %v", err)
	}
	if len(*told) != 0 {
		t.Errorf("told of %v", *told)
	}
}

// landscape fills a node with slots of both kinds and returns them in order.
func (b bench) landscape() []Slot {
	var slots []Slot
	var identities []string
	for _, digits := range []string{"00", "0a", "9f", "ab", "ff"} {
		identities = append(identities, strings.Repeat(digits, 32))
	}
	for _, identity := range identities {
		slots = append(slots, Slot{Identity: identity})
	}
	for _, identity := range identities[1:] {
		for _, name := range []string{"-", "A", "a-b", "a", "a0", "a_"} {
			slots = append(slots, Slot{identity, name})
		}
	}
	for i, slot := range slots {
		if err := b.Push(b.t.Context(), slot, Share{Data: []byte("x"), Version: 1, Threshold: i % 4}, Caller{}); err != nil {
			b.t.Fatal(err)
		}
	}
	settle(b.t, b.Node)
	return slots
}

// From every slot on, and from where there is none, a walk visits those behind
// it in the order of Slots.
func TestWalkResumes(t *testing.T) {
	b := newBench(t)
	b.landscape()
	var all []Slot
	for slot, err := range b.Slots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, slot)
	}
	walked := func(after Slot) (visited []Slot) {
		t.Helper()
		if err := b.Walk(t.Context(), after, func(found Examined) error {
			visited = append(visited, found.Slot)
			if !found.Known || len(found.Held) != 1 || !found.Held[0].Sound {
				t.Errorf("visited %+v", found)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return visited
	}
	if got := walked(Slot{}); !slices.Equal(got, all) || len(all) != 29 {
		t.Errorf("from the start: %v", got)
	}
	for i, slot := range all {
		if got := walked(slot); !slices.Equal(got, all[i+1:]) {
			t.Errorf("behind %v: %v", slot, got)
		}
	}
	for i, slot := range all { // gone meanwhile
		if err := b.Purge(t.Context(), slot); err != nil {
			t.Fatal(err)
		}
		if got := walked(slot); !slices.Equal(got, all[i+1:]) {
			t.Errorf("behind %v, which is gone: %v", slot, got)
		}
	}
}

func TestVisitEndsAWalk(t *testing.T) {
	b := newBench(t)
	slots := b.landscape()
	enough := errors.New("enough")
	seen := 0
	err := b.Walk(t.Context(), Slot{}, func(Examined) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 3 {
		t.Errorf("%v after %d of %d", err, seen, len(slots))
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = b.Walk(ctx, Slot{}, func(Examined) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// One unreadable slot does not end a walk, a storage that is gone does.
func TestWalkOverTheUnreadable(t *testing.T) {
	b := newBench(t)
	slots := b.landscape()
	from := 1 << 30
	b.Node.store = &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Key == slots[2].commitKey() || call.N >= from && call.Op == backendtest.OpGet {
			return backendtest.NotApplied
		}
		return backendtest.None
	}}
	var unreadable, visited []Slot
	visit := func(found Examined) error {
		visited = append(visited, found.Slot)
		if found.Unreadable != nil {
			unreadable = append(unreadable, found.Slot)
			if !errors.Is(found.Unreadable, api.ErrStorageUnavailable) || found.Known {
				t.Errorf("visited %+v", found)
			}
		}
		return nil
	}
	if err := b.Walk(t.Context(), Slot{}, visit); err != nil || len(visited) != len(slots) || !slices.Equal(unreadable, slots[2:3]) {
		t.Errorf("%d visited, %v unreadable, %v", len(visited), unreadable, err)
	}
	from, visited = 0, nil
	if err := b.Walk(t.Context(), Slot{}, visit); !errors.Is(err, api.ErrStorageUnavailable) || len(visited) != maxFailures {
		t.Errorf("%d visited, %v", len(visited), err)
	}
}

// A walk marks what is damaged, and takes out of quarantine what is not, also
// what others have put there.
func TestWalkAndQuarantine(t *testing.T) {
	b := newBench(t)
	b.push(4, 5)
	raw := b.store.Objects()[b.slot.commitKey()]
	b.spoil(b.slot.commitKey())
	nobody := func(Examined) error { return nil }
	walk := func(n *Node, want int64) {
		t.Helper()
		if err := n.Walk(t.Context(), Slot{}, nobody); err != nil || n.Quarantined() != want {
			t.Errorf("%d in quarantine, want %d, %v", n.Quarantined(), want, err)
		}
	}
	put(t, b.store, prefixQuarantine+"foreign", []byte("x"))
	walk(b.Node, 1)
	restarted := openNode(t, b.store)
	put(t, b.store, b.slot.commitKey(), raw)
	walk(restarted, 0)
	walk(b.Node, 0)
	if _, marked := b.store.Objects()[b.slot.quarantineKey()]; marked {
		t.Error("the marker is left")
	}
	b.spoil(b.slot.commitKey())
	walk(b.Node, 1)
	for key := range b.store.Objects() { // the disk loses the rest, too
		if strings.HasPrefix(key, b.slot.prefix()) {
			if err := b.store.Delete(t.Context(), key, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	walk(openNode(t, b.store), 0)
	if _, marked := b.store.Objects()[b.slot.quarantineKey()]; marked {
		t.Error("the marker of what is gone is left")
	}
}

// pass is a count over all slots, broken off and resumed by chance.
func (b bench) pass(random *rand.Rand, each func()) {
	b.t.Helper()
	broken := errors.New("broken off")
	live, highest, after, complete := int64(0), 0, Slot{}, true
	for err := broken; errors.Is(err, broken); {
		err = b.Walk(b.t.Context(), after, func(found Examined) error {
			if each != nil {
				each()
			}
			after = found.Slot
			complete = complete && found.Unreadable == nil
			if len(found.Held) > 0 {
				live, highest = live+1, max(highest, found.Held[0].Share.Threshold)
			}
			if random.IntN(5) == 0 {
				return broken
			}
			return nil
		})
		if err != nil && !errors.Is(err, broken) {
			b.t.Fatal(err)
		}
	}
	b.Counted(live, highest, complete)
}

func TestCounted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := newBench(t)
	slots := b.landscape()
	want := func(n *Node, count int64, approximate bool, threshold int, when string) {
		t.Helper()
		if got, about := n.ShareCount(); got != count || about != approximate {
			t.Errorf("%s: %d shares, approximate %v", when, got, about)
		}
		wantHighest(t, n, threshold, when)
	}
	b.Node = openNode(t, b.store)
	b.pass(random, nil)
	all := int64(len(slots))
	want(b.Node, all, false, 3, "after a restart")
	for i := 3; i < len(slots); i += 4 {
		if err := b.Delete(t.Context(), slots[i], 1, Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	b.pass(random, nil)
	left := all - all/4
	want(b.Node, left, false, 2, "after deletes")

	once := true
	b.pass(random, func() {
		if once {
			pushAt(t, b.Node, slots[0], 2, 9)
			pushAt(t, b.Node, slotOf("01"), 1, 9)
			once = false
		}
	})
	if _, approximate := b.ShareCount(); !approximate {
		t.Error("exact in spite of a push")
	}
	wantHighest(t, b.Node, 9, "after a push where the walk had been")
	b.pass(random, nil)
	want(b.Node, left+1, false, 9, "quiet again")

	// What a pass could not read, or only another process has, is not known.
	unreadable := true
	b.Node.store = &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Key == slotOf("01").commitKey() && unreadable {
			return backendtest.NotApplied
		}
		return backendtest.None
	}}
	b.highest.note(20)
	b.pass(random, nil)
	want(b.Node, left, true, 20, "with one unreadable")
	unreadable = false
	other := openNode(t, b.store)
	other.Counted(left+1, 9, true)
	want(other, left+1, true, 9, "counted by another process")
	b.pass(random, nil)
	want(b.Node, left+1, false, 9, "all readable")
}

// The rule of the sweep holds for whoever examines: one that sleeps between two
// steps drops nothing that was committed meanwhile.
func TestExaminerAsleep(t *testing.T) {
	slot := ownedSlot("name")
	for _, at := range []string{slot.prefix(), slot.commitKey()} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.push(4)
			asleep := true
			b.Node.store = &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
				if call.Key == at && asleep {
					asleep = false
					other := b
					other.Node = openNode(t, b.store)
					other.push(5)
					time.Sleep(25 * time.Hour)
				}
				return backendtest.None
			}}
			b.wantHeld(5, 4)
			b.Node.store = b.store
			b.wantHeld(5, 4)
		})
	}
}
