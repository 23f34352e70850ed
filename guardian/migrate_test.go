package guardian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestCopyDecisions(t *testing.T) {
	at := func(lines string) *commit {
		if lines == "" {
			return nil
		}
		c, err := parseCommit(lines)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const (
		a, b, older = "7-aaaaaaaaaaaa\n", "7-bbbbbbbbbbbb\n", "6-cccccccccccc\n"
		deleted     = "deleted owned=0 proof=0 manifest=0\n"
		owned       = "deleted owned=1 proof=0 manifest=0\n"
	)
	for _, tc := range []struct {
		name, from, to string
		want           CopyOutcome
	}{
		{"nothing there", "7\n" + a, "", Copied},
		{"a lower version there", "7\n" + a + older, "6\n" + older, Copied},
		{"a lower one deleted there", "7\n" + a, "6\n" + deleted, Copied},
		{"the same", "7\n" + a + older, "7\n" + a + older, AlreadyThere},
		{"a higher one there", "7\n" + a, "8\n8-aaaaaaaaaaaa\n" + a, NewerThere},
		{"a higher one deleted there", "7\n" + a, "8\n" + deleted, NewerThere},
		{"deleted there", "7\n" + a, "7\n" + deleted, NewerThere},
		{"deleted here", "7\n" + deleted, "7\n" + a + older, Copied},
		{"deleted on both sides", "7\n" + deleted, "7\n" + deleted, AlreadyThere},
		{"deleted in two ways", "7\n" + deleted, "7\n" + owned, NewerThere},
		{"another share of the version", "7\n" + a, "7\n" + b, CopyConflict},
		{"less retained here", "7\n" + a, "7\n" + a + older, Copied},
		{"less retained there", "7\n" + a + older, "7\n" + a, Copied},
	} {
		if got := decideCopy(at(tc.from), at(tc.to)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func mustCopy(t *testing.T, n, dst *Node, slot Slot, want CopyOutcome) {
	t.Helper()
	would, err := n.CompareTo(t.Context(), dst, slot)
	if err != nil || would != want {
		t.Fatalf("CompareTo = %q, %v; want %q", would, err, want)
	}
	if got, err := n.CopyTo(t.Context(), dst, slot); err != nil || got != want {
		t.Fatalf("CopyTo = %q, %v; want %q", got, err, want)
	}
}

// wantSame fails unless the slot's objects are the same on both storages.
func wantSame(t *testing.T, here, there *backendtest.Memory, slot Slot) {
	t.Helper()
	of := func(store *backendtest.Memory) map[string][]byte {
		objects := store.Objects()
		maps.DeleteFunc(objects, func(key string, _ []byte) bool { return !strings.HasPrefix(key, slot.prefix()) })
		return objects
	}
	if !maps.EqualFunc(of(here), of(there), bytes.Equal) {
		t.Fatalf("%v is at the source, %v at the destination", keysOf(of(here)), keysOf(of(there)))
	}
}

// TestCopyFollowsTheSource through all that becomes of a slot.
func TestCopyFollowsTheSource(t *testing.T) {
	here, there := backendtest.NewMemory(), backendtest.NewMemory()
	n, dst := openNode(t, here), openNode(t, there)
	slot := slotOf("ab")
	if _, err := n.CopyTo(t.Context(), dst, slot); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("CopyTo of nothing: %v", err)
	}
	same := func() {
		t.Helper()
		settle(t, n)
		mustCopy(t, n, dst, slot, Copied)
		wantSame(t, here, there, slot)
		before := there.Objects()
		mustCopy(t, n, dst, slot, AlreadyThere)
		if !maps.EqualFunc(before, there.Objects(), bytes.Equal) {
			t.Fatal("a second copy changed something")
		}
	}
	mustPush(t, n, slot, 1, "one")
	same()
	mustPush(t, n, slot, 2, "two")
	same()
	mustPush(t, n, slot, 5, "five")
	mustPush(t, n, slot, 6, "six")
	same()
	wantPull(t, dst, slot, 6, "six")
	if err := n.Delete(t.Context(), slot, 6, Caller{}); err != nil {
		t.Fatal(err)
	}
	same()
	wantConflict(t, dst.Push(t.Context(), slot, Share{Data: []byte("six"), Version: 6}, Caller{}), 6, false)
	mustPush(t, n, slot, 7, "seven")
	same()
	wantPull(t, dst, slot, 7, "seven")
}

// TestCopyLeavesAlone what is newer at the destination, or of another origin.
func TestCopyLeavesAlone(t *testing.T) {
	slot := slotOf("ab")
	for name, tc := range map[string]struct {
		there func(t *testing.T, dst *Node)
		want  CopyOutcome
	}{
		"newer":   {func(t *testing.T, dst *Node) { mustPush(t, dst, slot, 3, "three") }, NewerThere},
		"another": {func(t *testing.T, dst *Node) { mustPush(t, dst, slot, 2, "another") }, CopyConflict},
		"deleted": {func(t *testing.T, dst *Node) {
			mustPush(t, dst, slot, 2, "two")
			if err := dst.Delete(t.Context(), slot, 2, Caller{}); err != nil {
				t.Fatal(err)
			}
		}, NewerThere},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := backendtest.NewMemory(), backendtest.NewMemory()
			n, dst := openNode(t, here), openNode(t, there)
			mustPush(t, n, slot, 2, "two")
			tc.there(t, dst)
			settle(t, dst)
			before := there.Objects()
			mustCopy(t, n, dst, slot, tc.want)
			if !maps.EqualFunc(before, there.Objects(), bytes.Equal) {
				t.Error("the destination was changed")
			}
		})
	}
}

// TestCopyOfTheDamaged: nothing of it arrives, whatever is damaged of it.
func TestCopyOfTheDamaged(t *testing.T) {
	slot := slotOf("ab")
	for name, key := range map[string]func(from stored) string{
		"share":       func(from stored) string { return slot.shareKey(*from.commit.live) },
		"checksum":    func(from stored) string { return slot.checksumKey(*from.commit.live) },
		"older share": func(from stored) string { return slot.shareKey(from.commit.older[0]) },
		"version":     func(stored) string { return slot.commitKey() },
	} {
		t.Run(name, func(t *testing.T) {
			here, there := backendtest.NewMemory(), backendtest.NewMemory()
			n, dst := openNode(t, here), openNode(t, there)
			mustPush(t, n, slot, 1, "one")
			mustPush(t, n, slot, 2, "two")
			settle(t, n)
			from, err := n.readCommit(t.Context(), slot)
			if err != nil {
				t.Fatal(err)
			}
			truncate(t, here, key(from))
			for what, do := range map[string]func() (CopyOutcome, error){
				"CopyTo":    func() (CopyOutcome, error) { return n.CopyTo(t.Context(), dst, slot) },
				"CompareTo": func() (CopyOutcome, error) { return n.CompareTo(t.Context(), nil, slot) },
			} {
				if _, err := do(); !errors.Is(err, api.ErrIntegrityFailed) || errors.Is(err, ErrDestination) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, there := there.Objects()[slot.commitKey()]; there {
				t.Error("it is committed at the destination")
			}
			if n.Quarantined() != 1 {
				t.Error("it is not in quarantine")
			}
		})
	}
}

// TestCopyMendsTheDestination where the source is sound, but not a version
// object that nobody can read.
func TestCopyMendsTheDestination(t *testing.T) {
	here, there := backendtest.NewMemory(), backendtest.NewMemory()
	n, dst := openNode(t, here), openNode(t, there)
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "one")
	mustPush(t, n, slot, 2, "two")
	settle(t, n)
	mustCopy(t, n, dst, slot, Copied)
	live := mustFind(t, n, slot)
	for name, damage := range map[string]func(){
		"share":      func() { put(t, there, slot.shareKey(live), []byte("Two")) },
		"checksum":   func() { put(t, there, slot.checksumKey(live), nil) },
		"a large":    func() { put(t, there, slot.shareKey(live), make([]byte, backend.MaxObjectSize)) },
		"generation": func() { dst.dropGeneration(t.Context(), slot, live) },
	} {
		damage()
		if got, err := n.CopyTo(t.Context(), dst, slot); err != nil || got != AlreadyThere {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		wantSame(t, here, there, slot)
	}
	truncate(t, there, slot.commitKey())
	if _, err := n.CopyTo(t.Context(), dst, slot); !errors.Is(err, ErrDestination) || !errors.Is(err, api.ErrIntegrityFailed) {
		t.Errorf("a damaged version object: %v", err)
	}
}

// TestCopyBesideRekey: the seals of source and destination need not be under
// one key.
func TestCopyBesideRekey(t *testing.T) {
	here, there := backendtest.NewMemory(), backendtest.NewMemory()
	slot := slotOf("ab")
	mustPush(t, nodeWith(t, here, "k1"), slot, 1, "one")
	n, dst := nodeWith(t, here, "k2", "k1"), nodeWith(t, there, "k2", "k1")
	mustCopy(t, n, dst, slot, Copied)
	mustRekey(t, dst, slot, 2, 0)
	mustCopy(t, n, dst, slot, AlreadyThere)
	underNewKey(t, there, slot)
	mustPush(t, n, slot, 2, "two")
	mustCopy(t, n, dst, slot, Copied)
	wantPull(t, dst, slot, 2, "two")
	if err := dst.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// copyCase is a slot on its way from one storage to another.
type copyCase struct {
	here, there *backendtest.Memory
	n, dst      *Node
	slot        Slot
}

// prepareCopy has version 2 and an older one at the source, and at the
// destination nothing or the older one.
func prepareCopy(t *testing.T, update bool) *copyCase {
	c := &copyCase{here: backendtest.NewMemory(), there: backendtest.NewMemory(), slot: slotOf("ab")}
	c.n, c.dst = openNode(t, &backendtest.Faulty{Backend: c.here}), openNode(t, &backendtest.Faulty{Backend: c.there})
	mustPush(t, c.n, c.slot, 1, "one")
	if update {
		mustCopy(t, c.n, c.dst, c.slot, Copied)
	}
	mustPush(t, c.n, c.slot, 2, "two")
	settle(t, c.n)
	return c
}

// TestCopyFaultAtEveryStep: whatever fails on either side, the destination has
// what it had or all of it, and another run finishes.
func TestCopyFaultAtEveryStep(t *testing.T) {
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		for i := range 4 {
			update, atSource := i%2 == 1, i/2 == 1
			more := true
			for step := 1; more; step++ {
				t.Run(fmt.Sprintf("update %v, fault %v at call %d, at the source %v", update, fault, step, atSource), func(t *testing.T) {
					more = false // a failure ends it
					more = copyWithFault(t, prepareCopy(t, update), update, atSource, step, fault)
				})
			}
		}
	}
}

func copyWithFault(t *testing.T, c *copyCase, update, atSource bool, step int, fault backendtest.Fault) (more bool) {
	faulty, before := watch(c.dst)
	if atSource {
		faulty, before = watch(c.n)
	}
	faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
		if call.N == before+step {
			return fault
		}
		return backendtest.None
	})
	_, err := c.n.CopyTo(t.Context(), c.dst, c.slot)
	if err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatal(err)
	}
	if err != nil && errors.Is(err, ErrDestination) == atSource {
		t.Errorf("the wrong side is blamed: %v", err)
	}
	calls := len(faulty.Calls())
	faulty.SetInject(nil)
	after := openNode(t, c.there)
	got, errPull := after.Pull(t.Context(), c.slot, nil, nil, Caller{})
	switch {
	case errPull == nil && string(got.Data) == "two":
	case err != nil && update && errPull == nil && string(got.Data) == "one":
	case err != nil && !update && errors.Is(errPull, api.ErrNotFound):
	default:
		t.Fatalf("CopyTo: %v; then %q, %v", err, got.Data, errPull)
	}
	if err := after.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.n.CopyTo(t.Context(), c.dst, c.slot); err != nil {
		t.Fatalf("the next run: %v", err)
	}
	wantSame(t, c.here, c.there, c.slot)
	return calls >= before+step
}

// TestOthersBetweenTheStepsOfCopy: with others at work on either side the copy
// ends with what the source had at some moment, or with what is newer.
func TestOthersBetweenTheStepsOfCopy(t *testing.T) {
	slot := slotOf("ab")
	push := func(versions ...uint64) func(*testing.T, *Node) {
		return func(t *testing.T, n *Node) {
			for _, version := range versions {
				mustPush(t, n, slot, version, fmt.Sprint("version ", version))
			}
		}
	}
	remove := func(t *testing.T, n *Node) {
		if err := n.Delete(t.Context(), slot, 2, Caller{}); err != nil {
			t.Error(err)
		}
	}
	for name, other := range map[string]struct {
		atSource bool
		do       func(*testing.T, *Node)
		version  uint64 // at the destination in the end
	}{
		"push at the source":            {true, push(3), 3},
		"pushes at the source":          {true, push(3, 4), 4},
		"delete at the source":          {true, remove, 0},
		"a newer at the destination":    {false, push(9), 9},
		"more newer at the destination": {false, push(8, 9), 9},
		"a walk at the destination": {false, func(t *testing.T, n *Node) {
			if _, err := n.pass(t.Context()); err != nil {
				t.Error(err)
			}
		}, 2},
	} {
		more := true
		for step := 1; more; step++ {
			t.Run(fmt.Sprintf("%s before call %d", name, step), func(t *testing.T) {
				more = false // a failure ends it
				c := prepareCopy(t, true)
				faulty, before := watch(c.dst)
				beside := openNode(t, c.there)
				if other.atSource {
					faulty, before = watch(c.n)
					beside = openNode(t, c.here)
				}
				faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
					if call.N == before+step {
						other.do(t, beside)
						settle(t, beside)
					}
					return backendtest.None
				})
				if _, err := c.n.CopyTo(t.Context(), c.dst, slot); err != nil {
					t.Fatal(err)
				}
				if more = len(faulty.Calls()) >= before+step; more {
					wantArrived(t, c, other.version)
				}
			})
		}
	}
}

// wantArrived runs the copy once more and fails unless the destination then
// has the version, 0 for none, and all of it verifies.
func wantArrived(t *testing.T, c *copyCase, version uint64) {
	t.Helper()
	after := openNode(t, c.there)
	if err := after.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.n.CopyTo(t.Context(), c.dst, c.slot); err != nil {
		t.Fatal(err)
	}
	got, err := after.Pull(t.Context(), c.slot, nil, nil, Caller{})
	if got.Version != version || err != nil && (version != 0 || !errors.Is(err, api.ErrNotFound)) {
		t.Fatalf("pull: version %d, %v; want %d", got.Version, err, version)
	}
	if err := after.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCopyIsReadBack: what was dropped on the way to being named is copied
// again, and a storage that keeps other bytes is found out.
func TestCopyIsReadBack(t *testing.T) {
	c := prepareCopy(t, false)
	faulty, _ := watch(c.dst)
	dropped := false
	faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpPut && call.Key == c.slot.commitKey() && !dropped {
			dropped = c.dst.dropGeneration(t.Context(), c.slot, mustFind(t, c.n, c.slot))
		}
		return backendtest.None
	})
	if _, err := c.n.CopyTo(t.Context(), c.dst, c.slot); err != nil || !dropped {
		t.Fatal(err)
	}
	wantSame(t, c.here, c.there, c.slot)

	other := openNode(t, forgetful{backendtest.NewMemory()})
	if _, err := c.n.CopyTo(t.Context(), other, c.slot); !errors.Is(err, ErrDestination) {
		t.Errorf("CopyTo a storage that forgets: %v", err)
	}
}

// forgetful says that it has stored a share and keeps less.
type forgetful struct{ backend.Backend }

func (f forgetful) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if strings.HasSuffix(key, "/share.bin") {
		data = data[1:]
	}
	return f.Backend.Put(ctx, key, data, rev)
}
