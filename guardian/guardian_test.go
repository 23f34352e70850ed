package guardian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/integrity"
)

func slotOf(digits string) Slot { return Slot{Identity: strings.Repeat(digits, 32)} }

func openNode(t *testing.T, store backend.Backend) *Node {
	t.Helper()
	n, err := Open(t.Context(), store, testSealer(t), Config{Retain: 2, RequestTimeout: 30 * time.Second, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}

func mustPush(t *testing.T, n *Node, slot Slot, version uint64, text string) {
	t.Helper()
	if err := n.Push(t.Context(), slot, Share{Data: []byte(text), Version: version}, Caller{}); err != nil {
		t.Fatalf("push of version %d: %v", version, err)
	}
}

func wantPull(t *testing.T, n *Node, slot Slot, version uint64, text string) {
	t.Helper()
	got, err := n.Pull(t.Context(), slot, nil, nil, Caller{})
	if err != nil || got.Version != version || string(got.Data) != text {
		t.Fatalf("pull: version %d %q, %v; want version %d %q", got.Version, got.Data, err, version, text)
	}
}

// settle waits for what pushes left to the background.
func settle(t *testing.T, n *Node) {
	t.Helper()
	if err := n.background.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.background = newBackground(n.cfg.RequestTimeout, quiet)
}

func TestPushDecisions(t *testing.T) {
	at := func(versions ...uint64) *commit {
		c := &commit{current: versions[0]}
		for _, v := range versions {
			c.older = append(c.older, generation{version: v, attempt: strings.Repeat("a", attemptDigits)})
		}
		c.live, c.older = &c.older[0], c.older[1:]
		return c
	}
	for _, tc := range []struct {
		name    string
		stored  *commit
		version uint64
		retain  int
		ok      bool
		older   int
	}{
		{"first", nil, 0, 2, true, 0},
		{"first at the top", nil, math.MaxUint64, 2, true, 0},
		{"next", at(1), 2, 2, true, 1},
		{"far ahead", at(1), math.MaxUint64, 2, true, 1},
		{"same", at(7), 7, 2, false, 0},
		{"lower", at(7), 6, 2, false, 0},
		{"zero over zero", at(0), 0, 2, false, 0},
		{"nothing above the top", at(math.MaxUint64), math.MaxUint64, 2, false, 0},
		{"the oldest goes", at(3, 2), 4, 2, true, 1},
		{"three retained", at(3, 2), 4, 3, true, 2},
		{"none retained", at(3, 2), 4, 1, true, 0},
		{"above a tombstone", &commit{current: 7}, 8, 2, true, 0},
		{"at a tombstone", &commit{current: 7}, 7, 2, false, 0},
	} {
		next, ok := decidePush(tc.stored, generation{version: tc.version, attempt: strings.Repeat("b", attemptDigits)}, tc.retain)
		if ok != tc.ok {
			t.Errorf("%s: taken %v", tc.name, ok)
		}
		if ok && (next.current != tc.version || next.live.version != tc.version || len(next.older) != tc.older) {
			t.Errorf("%s: commits %+v", tc.name, next)
		}
	}
}

func TestCommitText(t *testing.T) {
	sealer := testSealer(t)
	slot := slotOf("ab")
	live := generation{version: 7, attempt: "9f3c0d2ab1e4"}
	for _, c := range []*commit{
		{current: 7, live: &live},
		{current: 7, live: &live, older: []generation{{version: 6, attempt: "02ab77c1d3ee"}, {version: 2, attempt: "000000000000"}}},
		{current: math.MaxUint64, standing: standing{owned: true, proof: 2, manifest: true}},
		{current: 0},
	} {
		data, err := sealCommit(sealer, slot, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := openCommit(t.Context(), sealer, slot, data)
		if err != nil || got.lines() != c.lines() || got.standing != c.standing {
			t.Errorf("%q came back as %+v, %v", data, got, err)
		}
		if _, err := openCommit(t.Context(), sealer, slotOf("cd"), data); !errors.Is(err, integrity.ErrMismatch) {
			t.Errorf("another identity's commit: %v", err)
		}
	}
	data, _ := sealCommit(sealer, slot, &commit{current: 7, live: &live})
	if want := "7\n7-9f3c0d2ab1e4\nhmac default "; !strings.HasPrefix(string(data), want) {
		t.Errorf("commit reads %q, want %q...", data, want)
	}
	deleted, _ := sealCommit(sealer, slot, &commit{current: 7})
	if want := "7\ndeleted owned=0 proof=0 manifest=0\nhmac "; !strings.HasPrefix(string(deleted), want) {
		t.Errorf("tombstone reads %q, want %q...", deleted, want)
	}
}

func FuzzParseCommit(f *testing.F) {
	f.Add("7\n7-9f3c0d2ab1e4\n6-02ab77c1d3ee\n")
	f.Add("7\ndeleted owned=1 proof=2 manifest=0\n")
	f.Add("18446744073709551616\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCommit(text)
		if err == nil && c.lines() != text {
			t.Errorf("%q was taken for %q", text, c.lines())
		}
	})
}

func TestPushPullDelete(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	slot := slotOf("ab")
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("pull of nothing: %v", err)
	}
	mustPush(t, n, slot, 1, "one")
	mustPush(t, n, slot, 5, "five")
	wantPull(t, n, slot, 5, "five")
	one, three := uint64(1), uint64(3)
	if got, err := n.Pull(t.Context(), slot, &one, nil, Caller{}); err != nil || string(got.Data) != "one" {
		t.Fatalf("retained version: %q, %v", got.Data, err)
	}
	if _, err := n.Pull(t.Context(), slot, &three, nil, Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("version never stored: %v", err)
	}
	if count, _ := n.ShareCount(); count != 1 {
		t.Errorf("count %d after two versions of one share", count)
	}
	if err := n.Delete(t.Context(), slot, 1, Caller{}); !errors.Is(err, api.ErrVersionConflict) {
		t.Fatalf("delete of an older version: %v", err)
	}
	if err := n.Delete(t.Context(), slot, 5, Caller{}); err != nil {
		t.Fatal(err)
	}
	if err := n.Delete(t.Context(), slot, 5, Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("second delete: %v", err)
	}
	for _, version := range []*uint64{nil, &one} {
		if _, err := n.Pull(t.Context(), slot, version, nil, Caller{}); !errors.Is(err, api.ErrNotFound) {
			t.Fatalf("pull after delete: %v", err)
		}
	}
	wantConflict(t, n.Push(t.Context(), slot, Share{Data: []byte("five"), Version: 5}, Caller{}), 5, false)
	mustPush(t, n, slot, 6, "six")
	wantPull(t, n, slot, 6, "six")
}

func wantConflict(t *testing.T, err error, current uint64, stored bool) {
	t.Helper()
	conflict, ok := errors.AsType[*api.VersionConflictError](err)
	if !ok || conflict.Current != current || conflict.Stored != stored {
		t.Fatalf("%v; want a conflict with version %d, stored %v", err, current, stored)
	}
}

// TestStored: only the very same share counts as stored already.
func TestStored(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	bare := Share{Data: []byte("data"), Version: 3, Threshold: 3, Split: testSplit}
	plain, signed := ownedSlot(""), ownedSlot("name")
	manifested := withManifest(t, signed, bare)
	for name, test := range map[string]struct {
		slot    Slot
		share   Share
		changes map[string]func(*Share)
	}{
		"bare": {plain, bare, map[string]func(*Share){
			"data":      func(s *Share) { s.Data = []byte("Data") },
			"threshold": func(s *Share) { s.Threshold = 4 },
			"split":     func(s *Share) { s.Split = strings.Repeat("6", 32) },
			"manifest":  func(s *Share) { *s = withManifest(t, plain, *s) },
			"version":   func(s *Share) { s.Version = 2 },
		}},
		"with manifest": {signed, manifested, map[string]func(*Share){
			"data":         func(s *Share) { s.Data = []byte("Data"); *s = withManifest(t, signed, *s) },
			"threshold":    func(s *Share) { s.Threshold = 4; *s = withManifest(t, signed, *s) },
			"split":        func(s *Share) { s.Split = strings.Repeat("6", 32); *s = withManifest(t, signed, *s) },
			"manifest":     func(s *Share) { *s = withManifest(t, signed, *s, crowd) },
			"no manifest":  func(s *Share) { s.Manifest = nil },
			"version":      func(s *Share) { s.Version = 2; *s = withManifest(t, signed, *s) },
			"bare version": func(s *Share) { s.Version, s.Manifest = 2, nil },
		}},
	} {
		if err := n.Push(t.Context(), test.slot, test.share, Caller{}); err != nil {
			t.Fatal(err)
		}
		wantConflict(t, n.Push(t.Context(), test.slot, test.share, Caller{}), 3, true)
		for changed, change := range test.changes {
			other := test.share
			change(&other)
			t.Run(name+"/"+changed, func(t *testing.T) {
				wantConflict(t, n.Push(t.Context(), test.slot, other, Caller{}), 3, false)
			})
		}
	}
}

// TestCleaning: what `version` does not name goes, nothing else.
func TestCleaning(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	for version := range uint64(5) {
		mustPush(t, n, slot, version, fmt.Sprint("v", version))
		_ = n.Push(t.Context(), slot, Share{Data: []byte("late"), Version: version}, Caller{})
	}
	settle(t, n)
	// Two generations of two objects, version, canary.
	if objects := store.Objects(); len(objects) != 6 {
		t.Errorf("%d objects are left: %v", len(objects), keysOf(objects))
	}
	if err := n.Delete(t.Context(), slot, 4, Caller{}); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if objects := store.Objects(); len(objects) != 2 {
		t.Errorf("%d objects are left after delete: %v", len(objects), keysOf(objects))
	}
}

func keysOf(objects map[string][]byte) (keys []string) {
	for key := range objects {
		keys = append(keys, key)
	}
	return keys
}

func TestPassCounts(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	for i := range 20 {
		mustPush(t, n, slotOf(fmt.Sprintf("%02x", i)), 1, "x")
	}
	if err := n.Delete(t.Context(), slotOf("03"), 1, Caller{}); err != nil {
		t.Fatal(err)
	}
	other := openNode(t, store)
	if count, approximate := other.ShareCount(); count != 0 || !approximate {
		t.Errorf("before a pass: %d, approximate %v", count, approximate)
	}
	found, err := other.pass(t.Context())
	if err != nil || found != (tally{live: 19, deleted: 1}) {
		t.Errorf("pass: %+v, %v", found, err)
	}
	if count, approximate := other.ShareCount(); count != 19 || approximate {
		t.Errorf("after a pass: %d, approximate %v", count, approximate)
	}
}

// TestFaultAtEveryStep injects both kinds of fault at each storage call of a
// first push, an update and a delete: what was acknowledged is there, nothing
// is a mixture, and the same request succeeds when it is made again.
func TestFaultAtEveryStep(t *testing.T) {
	for name, storage := range map[string]func(backend.Backend) backend.Backend{
		"call by call": func(b backend.Backend) backend.Backend { return b },
		"in batches":   func(b backend.Backend) backend.Backend { return backendtest.Stepwise{Backend: b} },
	} {
		t.Run(name, func(t *testing.T) { faultAtEveryStep(t, storage) })
	}
}

func faultAtEveryStep(t *testing.T, storage func(backend.Backend) backend.Backend) {
	slot := slotOf("ab")
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		for _, what := range []string{"first push", "update", "delete"} {
			for step := 1; ; step++ {
				name := fmt.Sprintf("%s, fault %v at call %d", what, fault, step)
				store := backendtest.NewMemory()
				setup := openNode(t, store)
				if what != "first push" {
					mustPush(t, setup, slot, 1, "old")
				}
				settle(t, setup)
				faulty := &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
					if call.N == step {
						return fault
					}
					return backendtest.None
				}}
				n, err := newNode(storage(faulty), testSealer(t), Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				request := func(n *Node) error {
					if what == "delete" {
						return n.Delete(t.Context(), slot, 1, Caller{})
					}
					return n.Push(t.Context(), slot, Share{Data: []byte("new"), Version: 2}, Caller{})
				}
				err = request(n)
				settle(t, n)
				judgeFaultyRequest(t, name, openNode(t, store), slot, what, err, request)
				if len(faulty.Calls()) < step {
					break // the request has no such step: all are done
				}
			}
		}
	}
}

func judgeFaultyRequest(t *testing.T, name string, n *Node, slot Slot, what string, err error, request func(*Node) error) {
	t.Helper()
	if err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatalf("%s: %v", name, err)
	}
	after, errPull := n.Pull(t.Context(), slot, nil, nil, Caller{})
	state := string(after.Data)
	if errors.Is(errPull, api.ErrNotFound) {
		state = "nothing"
	} else if errPull != nil {
		t.Fatalf("%s: pull: %v", name, errPull)
	}
	before := map[string]string{"first push": "nothing", "update": "old", "delete": "old"}[what]
	wanted := map[string]string{"first push": "new", "update": "new", "delete": "nothing"}[what]
	if state != wanted && (err == nil || state != before) {
		t.Fatalf("%s: answered %v and left %q", name, err, state)
	}
	again := request(n)
	conflict, _ := errors.AsType[*api.VersionConflictError](again)
	if again != nil && (conflict == nil || !conflict.Stored) && (what != "delete" || !errors.Is(again, api.ErrNotFound)) {
		t.Fatalf("%s: the same request again: %v", name, again)
	}
	if errSweep := n.VerifyAll(t.Context()); errSweep != nil {
		t.Fatalf("%s: %v", name, errSweep)
	}
}

// TestDamage: whatever is done to a stored object, its identity is answered
// integrity_failed and quarantined, and all others are served.
func TestDamage(t *testing.T) {
	slot, other := slotOf("ab"), slotOf("cd")
	fresh := func(t *testing.T) (*backendtest.Memory, *Node) {
		store := backendtest.NewMemory()
		n := openNode(t, store)
		for _, s := range []Slot{slot, other} {
			mustPush(t, n, s, 1, "first of "+s.Short())
			mustPush(t, n, s, 2, "second of "+s.Short())
		}
		settle(t, n)
		return store, n
	}
	judge := func(t *testing.T, store *backendtest.Memory, n *Node) {
		t.Helper()
		if got, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
			t.Fatalf("pull of the damaged: %q, %v", got.Data, err)
		}
		if _, marked := store.Objects()[slot.quarantineKey()]; !marked || n.Quarantined() != 1 {
			t.Fatal("no quarantine marker")
		}
		wantPull(t, n, other, 2, "second of "+other.Short())
		if err := n.VerifyAll(t.Context()); !errors.Is(err, api.ErrIntegrityFailed) || !strings.Contains(err.Error(), slot.Short()) {
			t.Fatalf("verify all: %v", err)
		}
	}
	store, n := fresh(t)
	current := mustFind(t, n, slot)
	for _, key := range []string{slot.commitKey(), slot.shareKey(current), slot.checksumKey(current)} {
		sound := store.Objects()[key]
		for i := range sound {
			for _, mask := range []byte{0x01, 0x20, 0x80} {
				damaged := bytes.Clone(sound)
				damaged[i] ^= mask
				put(t, store, key, damaged)
				n := openNode(t, store)
				if got, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
					t.Fatalf("byte %d of %s flipped by %#x: pull gives %q, %v", i, key, mask, got.Data, err)
				}
			}
		}
		put(t, store, key, sound)
		n := openNode(t, store)
		wantPull(t, n, slot, 2, "second of "+slot.Short())
	}
	for name, damage := range map[string]func(*testing.T, *backendtest.Memory, *Node){
		"a named generation is gone": func(t *testing.T, store *backendtest.Memory, n *Node) {
			n.dropGeneration(t.Context(), slot, mustFind(t, n, slot))
		},
		"the share is truncated": func(t *testing.T, store *backendtest.Memory, n *Node) {
			truncate(t, store, slot.shareKey(mustFind(t, n, slot)))
		},
		"the checksum is truncated": func(t *testing.T, store *backendtest.Memory, n *Node) {
			truncate(t, store, slot.checksumKey(mustFind(t, n, slot)))
		},
		"version is truncated": func(t *testing.T, store *backendtest.Memory, _ *Node) { truncate(t, store, slot.commitKey()) },
		"version is emptied":   func(t *testing.T, store *backendtest.Memory, _ *Node) { put(t, store, slot.commitKey(), nil) },
		"version is enormous": func(t *testing.T, store *backendtest.Memory, _ *Node) {
			put(t, store, slot.commitKey(), make([]byte, 1<<20))
		},
		"another identity's version": func(t *testing.T, store *backendtest.Memory, _ *Node) {
			put(t, store, slot.commitKey(), store.Objects()[other.commitKey()])
		},
		"another identity's objects": func(t *testing.T, store *backendtest.Memory, n *Node) {
			swapIn(t, store, slot, mustFind(t, n, slot), other, mustFind(t, n, other))
		},
		"another version's objects": func(t *testing.T, store *backendtest.Memory, n *Node) {
			from, _ := n.readCommit(t.Context(), slot)
			swapIn(t, store, slot, *from.commit.live, slot, from.commit.older[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, n := fresh(t)
			damage(t, store, n)
			judge(t, store, n)
		})
	}
}

// TestMovedObjects: what was sealed for another attempt or identity is told by
// its statement, even where all else is the same.
func TestMovedObjects(t *testing.T) {
	slot := slotOf("ab")
	share := Share{Data: []byte("other"), Version: 2}
	for name, sealedFor := range map[string]struct {
		slot    Slot
		attempt string
	}{
		"a refused attempt at the same version": {slot, "ffffffffffff"},
		"another identity":                      {slotOf("cd"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			store := backendtest.NewMemory()
			n := openNode(t, store)
			mustPush(t, n, slot, 1, "one")
			mustPush(t, n, slot, 2, "two")
			current := mustFind(t, n, slot)
			from := generation{version: 2, attempt: sealedFor.attempt}
			if sealedFor.attempt == "" {
				from = current
			}
			checksum, err := n.sealShare(sealedFor.slot, from, share, standing{})
			if err != nil {
				t.Fatal(err)
			}
			put(t, store, slot.shareKey(current), share.Data)
			put(t, store, slot.checksumKey(current), checksum)
			if got, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
				t.Fatalf("pull gives %q, %v", got.Data, err)
			}
		})
	}
}

// TestTombstoneRemembers: what the deleted share said of its owner goes on
// being known.
func TestTombstoneRemembers(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	slot := ownedSlot("")
	if err := n.Push(t.Context(), slot, withManifest(t, slot, Share{Data: []byte("xy"), Version: 1}), Caller{}); err != nil {
		t.Fatal(err)
	}
	if err := n.Delete(t.Context(), slot, 1, Caller{}); err != nil {
		t.Fatal(err)
	}
	from, err := n.readCommit(t.Context(), slot)
	if err != nil || from.commit.live != nil || !from.commit.standing.manifest || from.commit.standing.owned {
		t.Fatalf("%+v, %v", from.commit, err)
	}
}

// TestDeleteOvertakenInDoubt: a delete whose answer was lost and that others
// have overtaken since may have been seen, so it is not refused for good.
func TestDeleteOvertakenInDoubt(t *testing.T) {
	store := backendtest.NewMemory()
	other := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, other, slot, 1, "one")
	settle(t, other)
	lost := false
	n := openNode(t, &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
		switch {
		case call.Op == backendtest.OpPut && call.Key == slot.commitKey() && !lost:
			lost = true
			return backendtest.AnswerLost
		case call.Op == backendtest.OpGet && call.Key == slot.commitKey() && lost:
			mustPush(t, other, slot, 2, "two")
			lost = false
		}
		return backendtest.None
	}})
	if err := n.Delete(t.Context(), slot, 1, Caller{}); !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatalf("delete: %v", err)
	}
	wantPull(t, other, slot, 2, "two")
}

// TestNoAnswerBeforeDurable: stored: true and a repeated delete's 404 promise
// that what was found stays, so they need a write that succeeds.
func TestNoAnswerBeforeDurable(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	live, gone := slotOf("ab"), slotOf("cd")
	mustPush(t, n, live, 1, "one")
	mustPush(t, n, gone, 1, "one")
	if err := n.Delete(t.Context(), gone, 1, Caller{}); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	failing := &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpPut && strings.HasSuffix(call.Key, "/version") {
			return backendtest.NotApplied
		}
		return backendtest.None
	}}
	f := openNode(t, failing)
	if err := f.Push(t.Context(), live, Share{Data: []byte("one"), Version: 1}, Caller{}); !errors.Is(err, api.ErrStorageUnavailable) {
		t.Errorf("the same push again: %v", err)
	}
	if err := f.Delete(t.Context(), gone, 1, Caller{}); !errors.Is(err, api.ErrStorageUnavailable) {
		t.Errorf("the same delete again: %v", err)
	}
	wantConflict(t, n.Push(t.Context(), live, Share{Data: []byte("one"), Version: 1}, Caller{}), 1, true)
}

// TestPassGoesOnBehindTheUnreadable: one slot that cannot be read keeps no
// other from being cleaned and counted.
func TestPassGoesOnBehindTheUnreadable(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	for _, digits := range []string{"01", "02", "03"} {
		mustPush(t, n, slotOf(digits), 1, "x")
	}
	settle(t, n)
	f := openNode(t, &backendtest.Faulty{Backend: store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Key == slotOf("01").commitKey() {
			return backendtest.NotApplied
		}
		return backendtest.None
	}})
	found, err := f.pass(t.Context())
	if err != nil || found.unreadable != 1 || found.live != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, approximate := f.ShareCount(); !approximate {
		t.Error("the count passes for exact")
	}
}

// TestMostRetained: the `version` object of the longest versions can be read
// back at the most that can be retained.
func TestMostRetained(t *testing.T) {
	store := backendtest.NewMemory()
	n, err := newNode(store, testSealer(t), Config{Retain: MaxRetain, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close(context.Background()) }()
	slot := slotOf("ab")
	const versions = MaxRetain + 10
	for i := range uint64(versions) {
		mustPush(t, n, slot, math.MaxUint64-versions+i, "x")
	}
	wantPull(t, n, slot, math.MaxUint64-1, "x")
	if _, err := newNode(store, testSealer(t), Config{Retain: MaxRetain + 1, Logger: quiet}); err == nil {
		t.Error("more than MaxRetain was taken")
	}
}

func mustFind(t *testing.T, n *Node, slot Slot) generation {
	t.Helper()
	from, err := n.readCommit(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	return *from.commit.live
}

func put(t *testing.T, store backend.Backend, key string, data []byte) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, data, backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, store *backendtest.Memory, key string) {
	t.Helper()
	data := store.Objects()[key]
	put(t, store, key, data[:len(data)-1])
}

func swapIn(t *testing.T, store *backendtest.Memory, slot Slot, g generation, from Slot, of generation) {
	t.Helper()
	objects := store.Objects()
	put(t, store, slot.shareKey(g), objects[from.shareKey(of)])
	put(t, store, slot.checksumKey(g), objects[from.checksumKey(of)])
}

func TestQuarantine(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 7, "sound")
	settle(t, n)
	key := slot.shareKey(mustFind(t, n, slot))
	if err := n.Unquarantine(t.Context(), slot); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("release of what is not quarantined: %v", err)
	}
	if err := n.Drop(t.Context(), slot); !errors.Is(err, ErrNotDamaged) {
		t.Fatalf("drop of what is sound: %v", err)
	}
	put(t, store, key, []byte("Sound"))
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatal(err)
	}
	markers := 0
	for marker, err := range n.Markers(t.Context()) {
		if err != nil || marker.Identity != slot.Identity || marker.Reason == "" {
			t.Fatalf("marker %+v, %v", marker, err)
		}
		markers++
	}
	if markers != 1 {
		t.Fatalf("%d markers", markers)
	}
	if err := n.Unquarantine(t.Context(), slot); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatalf("release of what is damaged: %v", err)
	}
	put(t, store, key, []byte("sound"))
	if err := n.Unquarantine(t.Context(), slot); err != nil || n.Quarantined() != 0 {
		t.Fatalf("release after mending: %v", err)
	}
	put(t, store, key, []byte("Sound"))
	if err := n.Drop(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrNotFound) || n.Quarantined() != 0 {
		t.Fatalf("pull after drop: %v, %d quarantined", err, n.Quarantined())
	}
	wantConflict(t, n.Push(t.Context(), slot, Share{Data: []byte("sound"), Version: 7}, Caller{}), 7, false)
	mustPush(t, n, slot, 8, "next")
}

// TestDropOfAnOlderVersion: a sound current share stays.
func TestDropOfAnOlderVersion(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "one")
	older := mustFind(t, n, slot)
	mustPush(t, n, slot, 2, "two")
	settle(t, n)
	put(t, store, slot.shareKey(older), []byte("One"))
	if err := n.VerifyAll(t.Context()); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatal(err)
	}
	if err := n.Drop(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	wantPull(t, n, slot, 2, "two")
	if err := n.VerifyAll(t.Context()); err != nil || n.Quarantined() != 0 {
		t.Fatalf("after drop: %v, %d quarantined", err, n.Quarantined())
	}
}

// TestPassLearnsMarks: a pass learns what others have done to the quarantine.
func TestPassLearnsMarks(t *testing.T) {
	store := backendtest.NewMemory()
	n, other := openNode(t, store), openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "one")
	settle(t, n)
	put(t, store, slot.shareKey(mustFind(t, n, slot)), []byte("two"))
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatal(err)
	}
	sweep := func(n *Node, want int64) {
		t.Helper()
		if _, err := n.pass(t.Context()); err != nil || n.Quarantined() != want {
			t.Fatalf("%d quarantined, %v; want %d", n.Quarantined(), err, want)
		}
	}
	sweep(other, 1)
	if err := other.Drop(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	sweep(n, 0)
}

// TestDropWithoutVersion: with a version object that says nothing any more,
// the version stays as high as the stored generations.
func TestDropWithoutVersion(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 7, "seven")
	mustPush(t, n, slot, 9, "nine")
	put(t, store, slot.commitKey(), []byte("garbage"))
	if err := n.Push(t.Context(), slot, Share{Data: []byte("one"), Version: 1}, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatalf("push below a damaged version: %v", err)
	}
	if err := n.Drop(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	wantConflict(t, n.Push(t.Context(), slot, Share{Data: []byte("nine"), Version: 9}, Caller{}), 9, false)
	mustPush(t, n, slot, 10, "ten")
}

// TestHigherVersionReplacesTheDamaged: the owner mends by pushing again.
func TestHigherVersionReplacesTheDamaged(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "one")
	put(t, store, slot.shareKey(mustFind(t, n, slot)), []byte("two"))
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Fatal(err)
	}
	mustPush(t, n, slot, 2, "two")
	settle(t, n)
	wantPull(t, n, slot, 2, "two")
	if _, marked := store.Objects()[slot.quarantineKey()]; marked || n.Quarantined() != 0 {
		t.Error("still quarantined")
	}
}

func TestInspectAndPurge(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "one")
	mustPush(t, n, slot, 2, "two")
	info, err := n.Inspect(t.Context(), slot)
	if err != nil || info.State != StateLive || info.Version != 2 || len(info.Retained) != 2 || info.Retained[0].Size != 3 {
		t.Fatalf("%+v, %v", info, err)
	}
	if err := n.Purge(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if _, err := n.Inspect(t.Context(), slot); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("after purge: %v", err)
	}
	if err := n.Purge(t.Context(), slot); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("second purge: %v", err)
	}
	mustPush(t, n, slot, 1, "again")
}

func TestKeys(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	mustPush(t, n, slotOf("ab"), 1, "x")
	cfg := Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet}
	open := func(nodeID, key string) error {
		sealer, err := integrity.NewSealer(t.Context(), nodeID, integrity.InlineSource{Text: key}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), store, sealer, cfg)
		return err
	}
	right, wrong := strings.Repeat("0f", integrity.KeySize), strings.Repeat("f0", integrity.KeySize)
	for name, err := range map[string]error{
		"another key":        open("local", wrong),
		"another node":       open("other", right),
		"another key's name": open("local", fmt.Sprintf(`{"primary":"k9","keys":{"k9":"%s"}}`, right)),
	} {
		if !errors.Is(err, integrity.ErrKeyRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := store.Delete(t.Context(), keyCanary, backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if err := open("local", wrong); !errors.Is(err, integrity.ErrKeyRefused) {
		t.Errorf("another key with the canary gone: %v", err)
	}
	if err := open("local", right); err != nil {
		t.Errorf("the right key with the canary gone: %v", err)
	}
	if _, found := store.Objects()[keyCanary]; !found {
		t.Error("the canary was not written again")
	}
}

// TestUnknownKeyIsNoDamage: a replica that has not seen the rotation answers
// key_unavailable and quarantines nothing.
func TestUnknownKeyIsNoDamage(t *testing.T) {
	store := backendtest.NewMemory()
	k1, k2 := strings.Repeat("01", integrity.KeySize), strings.Repeat("02", integrity.KeySize)
	node := func(ring string) *Node {
		sealer, err := integrity.NewSealer(t.Context(), "local", integrity.InlineSource{Text: ring}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		n, err := Open(t.Context(), store, sealer, Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	behind := node(fmt.Sprintf(`{"primary":"k1","keys":{"k1":"%s"}}`, k1))
	rotated := node(fmt.Sprintf(`{"primary":"k2","keys":{"k1":"%s","k2":"%s"}}`, k1, k2))
	slot := slotOf("ab")
	mustPush(t, behind, slot, 1, "old")
	wantPull(t, rotated, slot, 1, "old")
	mustPush(t, rotated, slot, 2, "new")
	if _, err := behind.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrKeyUnavailable) {
		t.Fatalf("pull without the key: %v", err)
	}
	if behind.Quarantined() != 0 {
		t.Error("a share was quarantined for want of a key")
	}
}
