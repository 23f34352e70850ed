package guardian

import (
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func pushAt(t *testing.T, n *Node, slot Slot, version uint64, threshold int) {
	t.Helper()
	if err := n.Push(t.Context(), slot, Share{Data: []byte("x"), Version: version, Threshold: threshold}, Caller{}); err != nil {
		t.Fatal(err)
	}
}

func wantHighest(t *testing.T, n *Node, want int, when string) {
	t.Helper()
	if got := n.HighestThreshold(); got != want {
		t.Errorf("%s: the highest threshold is %d, not %d", when, got, want)
	}
}

func passAll(t *testing.T, n *Node) {
	t.Helper()
	if found, err := n.pass(t.Context()); err != nil || found.unreadable != 0 {
		t.Fatal(found, err)
	}
}

// A process learns from what is stored, and forgets what is no more.
func TestHighestThreshold(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	pushAt(t, n, slotOf("01"), 1, 5)
	pushAt(t, n, Slot{slotOf("02").Identity, "name"}, 1, 255)
	settle(t, n)

	restarted := openNode(t, store)
	wantHighest(t, restarted, 0, "after a restart")
	passAll(t, restarted)
	wantHighest(t, restarted, 255, "swept")
	if err := restarted.Delete(t.Context(), Slot{slotOf("02").Identity, "name"}, 1, Caller{}); err != nil {
		t.Fatal(err)
	}
	passAll(t, restarted)
	wantHighest(t, restarted, 5, "swept after a delete")
	pushAt(t, restarted, slotOf("01"), 2, 3)
	wantHighest(t, restarted, 5, "before the next sweep")
	passAll(t, restarted)
	wantHighest(t, restarted, 3, "swept after the share was replaced")
	older := uint64(1)
	if _, err := restarted.Pull(t.Context(), slotOf("01"), &older, nil, Caller{}); err != nil {
		t.Fatal(err)
	}
	wantHighest(t, restarted, 3, "after an older version was pulled")
	pushAt(t, n, slotOf("03"), 1, 7)
	if _, err := restarted.Pull(t.Context(), slotOf("03"), nil, nil, Caller{}); err != nil {
		t.Fatal(err)
	}
	wantHighest(t, restarted, 7, "after a share was pulled that another process stored")
}

// A share that is pushed where a sweep has been already counts.
func TestHighestThresholdOfAPushDuringAPass(t *testing.T) {
	store := backendtest.NewMemory()
	var n *Node
	pushed := false
	n = openNode(t, &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Key == slotOf("02").commitKey() && !pushed {
			pushed = true
			pushAt(t, n, slotOf("01"), 1, 9)
		}
		return backendtest.None
	}})
	other := openNode(t, store)
	pushAt(t, other, slotOf("02"), 1, 3)
	settle(t, other)
	passAll(t, n)
	wantHighest(t, n, 9, "after the sweep")
}

// A sweep that has not read everything only adds to what is known, and what a
// statement says that nobody can have pushed is passed over.
func TestHighestThresholdOfTheUnreadable(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	pushAt(t, n, slotOf("01"), 1, 9)
	pushAt(t, n, slotOf("02"), 1, 3)
	settle(t, n)
	unreadable := true
	f := openNode(t, &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
		if unreadable && strings.HasSuffix(call.Key, "checksum.bin") && strings.Contains(call.Key, slotOf("01").Identity) {
			return backendtest.NotApplied
		}
		return backendtest.None
	}})
	f.highest.note(20)
	if found, err := f.pass(t.Context()); err != nil || found.unreadable != 1 || found.live != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	wantHighest(t, f, 20, "after a sweep that could not read one")
	unreadable = false
	passAll(t, f)
	wantHighest(t, f, 9, "once it can be read")

	replaceStatement(t, store, n, slotOf("01"), strings.Repeat("x", 32)+`{"threshold":9999}`)
	passAll(t, f)
	wantHighest(t, f, 3, "with a statement that says 9999")
	replaceStatement(t, store, n, slotOf("01"), "short")
	passAll(t, f)
	wantHighest(t, f, 3, "with a statement that is cut off")
}

func replaceStatement(t *testing.T, store backend.Backend, n *Node, slot Slot, text string) {
	t.Helper()
	from, err := n.readCommit(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	key := slot.checksumKey(*from.commit.live)
	_, rev, err := store.Get(t.Context(), key)
	if err == nil {
		_, err = store.Put(t.Context(), key, []byte(text), rev)
	}
	if err != nil {
		t.Fatal(err)
	}
}
