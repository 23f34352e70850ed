package guardian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/integrity"
)

// rotating is a key source whose keyring an operator changes.
type rotating struct {
	mu   sync.Mutex
	ring string
}

func (r *rotating) Keyring(context.Context) (*integrity.Keyring, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return integrity.ParseKeyring([]byte(r.ring))
}

func (r *rotating) change(ring string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring = ring
}

// ringOf has the first id as primary. Key k3 is 32 bytes of 3.
func ringOf(ids ...string) string {
	keys := map[string]string{}
	for _, id := range ids {
		keys[id] = strings.Repeat("0"+id[1:], integrity.KeySize)
	}
	text, _ := json.Marshal(map[string]any{"primary": ids[0], "keys": keys})
	return string(text)
}

func sealerWith(t *testing.T, ids ...string) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), "local", integrity.InlineSource{Text: ringOf(ids...)}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// nodeWith opens a node whose keyring has the first id as primary.
func nodeWith(t *testing.T, store backend.Backend, ids ...string) *Node {
	t.Helper()
	n, err := openWith(t, store, ids...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}

func openWith(t *testing.T, store backend.Backend, ids ...string) (*Node, error) {
	t.Helper()
	return Open(t.Context(), store, sealerWith(t, ids...), Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
}

func mustRekey(t *testing.T, n *Node, slot Slot, resealed, already int) {
	t.Helper()
	gotResealed, gotAlready, err := n.Rekey(t.Context(), slot)
	if err != nil || gotResealed != resealed || gotAlready != already {
		t.Fatalf("Rekey re-sealed %d, %d were already, %v; want %d and %d", gotResealed, gotAlready, err, resealed, already)
	}
}

// underNewKey fails unless each object of the slot that `version` names opens
// with k2 alone.
func underNewKey(t *testing.T, store backend.Backend, slot Slot) {
	t.Helper()
	alone, err := newNode(store, sealerWith(t, "k2"), Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alone.Close(context.Background()) }()
	if err := alone.verifySlot(t.Context(), slot); err != nil {
		t.Fatalf("with k2 alone: %v", err)
	}
}

func TestRekey(t *testing.T) {
	store := backendtest.NewMemory()
	old := nodeWith(t, store, "k1")
	live, gone, mixed := ownedSlot(""), slotOf("cd"), slotOf("ef")
	share := withManifest(t, live, Share{Data: []byte("two"), Version: 2, Threshold: 3, Split: testSplit})
	mustPush(t, old, live, 1, "one")
	if err := old.Push(t.Context(), live, share, Caller{}); err != nil {
		t.Fatal(err)
	}
	mustPush(t, old, gone, 1, "one")
	if err := old.Delete(t.Context(), gone, 1, Caller{}); err != nil {
		t.Fatal(err)
	}
	mustPush(t, old, mixed, 1, "one")
	settle(t, old)
	_, before, err := old.load(t.Context(), live, mustFind(t, old, live))
	if err != nil {
		t.Fatal(err)
	}

	n := nodeWith(t, store, "k2", "k1")
	mustPush(t, n, mixed, 2, "two")
	mustRekey(t, n, live, 3, 0)
	mustRekey(t, n, gone, 1, 0)
	mustRekey(t, n, mixed, 1, 2)
	mustRekey(t, n, slotOf("00"), 0, 0)
	for _, slot := range []Slot{live, gone, mixed} {
		underNewKey(t, store, slot)
	}
	_, after, err := n.load(t.Context(), live, mustFind(t, n, live))
	if before.KeyID = "k2"; err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the statement became %+v, %v; want %+v", after, err, before)
	}
	objects := store.Objects()
	mustRekey(t, n, live, 0, 3)
	mustRekey(t, n, gone, 0, 1)
	mustRekey(t, n, mixed, 0, 3)
	if !maps.EqualFunc(objects, store.Objects(), bytes.Equal) {
		t.Error("what is under the primary key was written again")
	}
	wantConflict(t, n.Push(t.Context(), live, share, Caller{}), 2, true)
}

// TestRekeyCanary: the old key can be taken away once the canary is re-sealed,
// and not before.
func TestRekeyCanary(t *testing.T) {
	store := backendtest.NewMemory()
	mustPush(t, nodeWith(t, store, "k1"), slotOf("ab"), 1, "one")
	n := nodeWith(t, store, "k2", "k1")
	mustRekey(t, n, slotOf("ab"), 2, 0)
	if _, err := openWith(t, store, "k2"); !errors.Is(err, integrity.ErrKeyRefused) {
		t.Fatalf("open without the canary's key: %v", err)
	}
	for _, want := range []bool{true, false} {
		if resealed, err := n.RekeyCanary(t.Context()); err != nil || resealed != want {
			t.Fatalf("RekeyCanary = %v, %v; want %v", resealed, err, want)
		}
	}
	wantPull(t, nodeWith(t, store, "k2"), slotOf("ab"), 1, "one")
	put(t, store, keyCanary, []byte(strings.Repeat("x", 64)))
	if _, err := n.RekeyCanary(t.Context()); !errors.Is(err, integrity.ErrKeyRefused) {
		t.Errorf("a damaged canary: %v", err)
	}
}

// TestRekeySealsNothingDamaged: what does not verify stays as it is.
func TestRekeySealsNothingDamaged(t *testing.T) {
	slot := slotOf("ab")
	for name, damage := range map[string]func(t *testing.T, store *backendtest.Memory, live generation){
		"share":    func(t *testing.T, s *backendtest.Memory, g generation) { put(t, s, slot.shareKey(g), []byte("Two")) },
		"checksum": func(t *testing.T, s *backendtest.Memory, g generation) { truncate(t, s, slot.checksumKey(g)) },
		"no checksum": func(t *testing.T, s *backendtest.Memory, g generation) {
			put(t, s, slot.checksumKey(g), []byte("short"))
		},
		"missing": func(t *testing.T, s *backendtest.Memory, g generation) {
			if err := s.Delete(t.Context(), slot.checksumKey(g), backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		},
		"version": func(t *testing.T, s *backendtest.Memory, _ generation) { truncate(t, s, slot.commitKey()) },
	} {
		t.Run(name, func(t *testing.T) {
			store := backendtest.NewMemory()
			old := nodeWith(t, store, "k1")
			mustPush(t, old, slot, 1, "one")
			mustPush(t, old, slot, 2, "two")
			settle(t, old)
			damage(t, store, mustFind(t, old, slot))
			before := store.Objects()
			n := nodeWith(t, store, "k2", "k1")
			if _, _, err := n.Rekey(t.Context(), slot); !errors.Is(err, api.ErrIntegrityFailed) {
				t.Fatalf("Rekey: %v", err)
			}
			after := store.Objects()
			if _, marked := after[slot.quarantineKey()]; !marked {
				t.Error("it is not in quarantine")
			}
			delete(after, slot.quarantineKey())
			if !maps.EqualFunc(before, after, bytes.Equal) {
				t.Error("something was re-sealed")
			}
		})
	}
}

// TestRekeyWithoutTheOldKey: what another key sealed is not damaged.
func TestRekeyWithoutTheOldKey(t *testing.T) {
	store := backendtest.NewMemory()
	slot := slotOf("ab")
	mustPush(t, nodeWith(t, store, "k1"), slot, 1, "one")
	n := nodeWith(t, store, "k2", "k1")
	if _, err := n.RekeyCanary(t.Context()); err != nil {
		t.Fatal(err)
	}
	without := nodeWith(t, store, "k2")
	if _, _, err := without.Rekey(t.Context(), slot); !errors.Is(err, api.ErrKeyUnavailable) || without.Quarantined() != 0 {
		t.Fatalf("%v, %d quarantined", err, without.Quarantined())
	}
}

// TestRekeyOfANewerStatement: a field that this release does not know is not
// lost.
func TestRekeyOfANewerStatement(t *testing.T) {
	store := backendtest.NewMemory()
	slot := slotOf("ab")
	old := nodeWith(t, store, "k1")
	mustPush(t, old, slot, 1, "one")
	key := slot.checksumKey(mustFind(t, old, slot))
	text := bytes.Replace(statementText(store.Objects()[key]), []byte("{"), []byte(`{"novel":1,`), 1)
	_, tag, err := old.sealer.Seal("statement", text, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	sealed := append(tag, text...)
	put(t, store, key, sealed)
	wantPull(t, old, slot, 1, "one")
	n := nodeWith(t, store, "k2", "k1")
	if _, _, err := n.Rekey(t.Context(), slot); err == nil || !strings.Contains(err.Error(), "newer release") {
		t.Fatalf("Rekey: %v", err)
	}
	if !bytes.Equal(store.Objects()[key], sealed) {
		t.Error("it was re-sealed")
	}
}

// TestRekeyFaultAtEveryStep: whatever fails, all verifies, nothing but seals
// has changed, and another run finishes.
func TestRekeyFaultAtEveryStep(t *testing.T) {
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		more := true
		for step := 1; more; step++ {
			t.Run(fmt.Sprintf("fault %v at call %d", fault, step), func(t *testing.T) {
				more = false // a failure ends it
				more = rekeyWithFault(t, step, fault)
			})
		}
	}
}

// rekeyWithFault reports whether there was a step to fail.
func rekeyWithFault(t *testing.T, step int, fault backendtest.Fault) bool {
	slot := slotOf("ab")
	all := func(n *Node) error {
		_, _, err := n.Rekey(t.Context(), slot)
		if err == nil {
			_, err = n.RekeyCanary(t.Context())
		}
		return err
	}
	store := backendtest.NewMemory()
	old := nodeWith(t, store, "k1")
	mustPush(t, old, slot, 1, "one")
	mustPush(t, old, slot, 2, "two")
	settle(t, old)
	before := lines(t, old, slot)

	n := nodeWith(t, &backendtest.Faulty{Backend: store}, "k2", "k1")
	faulty, opening := watch(n)
	faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
		if call.N == opening+step {
			return fault
		}
		return backendtest.None
	})
	if err := all(n); err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatal(err)
	}
	again := nodeWith(t, store, "k2", "k1")
	if err := again.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := all(again); err != nil {
		t.Fatalf("the next run: %v", err)
	}
	wantPull(t, nodeWith(t, store, "k2"), slot, 2, "two")
	underNewKey(t, store, slot)
	if now := lines(t, again, slot); now != before {
		t.Fatalf("version says %q, before %q", now, before)
	}
	return len(faulty.Calls()) >= opening+step
}

// watch returns the storage of a node opened over a Faulty, and how many calls
// opening it has taken.
func watch(n *Node) (faulty *backendtest.Faulty, calls int) {
	faulty = n.store.(*backendtest.Faulty)
	return faulty, len(faulty.Calls())
}

func lines(t *testing.T, n *Node, slot Slot) string {
	t.Helper()
	from, err := n.readCommit(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	return from.commit.lines()
}

// TestRekeyBetweenAllSteps re-seals the slot before each storage call of a
// push and of a delete, with a fault of either kind at each: the answer is one
// that is right without.
func TestRekeyBetweenAllSteps(t *testing.T) {
	for _, primary := range [][]string{{"k1", "k2"}, {"k2", "k1"}} {
		for _, what := range []string{"first push", "update", "delete"} {
			for _, fault := range []backendtest.Fault{backendtest.None, backendtest.NotApplied, backendtest.AnswerLost} {
				const steps = 10
				for i := range steps * steps {
					rekeyAt, faultAt := i/steps+1, i%steps+1
					t.Run(fmt.Sprintf("%s under %s, rekey at %d, fault %v at %d", what, primary[0], rekeyAt, fault, faultAt), func(t *testing.T) {
						rekeyBetween(t, primary, what, rekeyAt, faultAt, fault)
					})
				}
			}
		}
	}
}

func rekeyBetween(t *testing.T, primary []string, what string, rekeyAt, faultAt int, fault backendtest.Fault) {
	slot := slotOf("ab")
	store := backendtest.NewMemory()
	setup := nodeWith(t, store, "k1", "k2")
	if what != "first push" {
		mustPush(t, setup, slot, 1, "old")
	}
	settle(t, setup)
	rekeyer := nodeWith(t, store, "k2", "k1")
	n := nodeWith(t, &backendtest.Faulty{Backend: store}, primary...)
	faulty, opening := watch(n)
	faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
		if call.N == opening+rekeyAt {
			if _, _, err := rekeyer.Rekey(t.Context(), slot); err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
				t.Errorf("Rekey: %v", err)
			}
		}
		if call.N == opening+faultAt {
			return fault
		}
		return backendtest.None
	})
	request := func(n *Node) error {
		if what == "delete" {
			return n.Delete(t.Context(), slot, 1, Caller{})
		}
		return n.Push(t.Context(), slot, Share{Data: []byte("new"), Version: 2}, Caller{})
	}
	err := request(n)
	settle(t, n)
	if fault == backendtest.None && err != nil {
		t.Fatal(err)
	}
	judgeFaultyRequest(t, what, nodeWith(t, store, "k2", "k1"), slot, what, err, request)
	if _, _, err := rekeyer.Rekey(t.Context(), slot); err != nil {
		t.Fatalf("the last Rekey: %v", err)
	}
	underNewKey(t, store, slot)
}

// TestOthersBetweenTheStepsOfRekey: what is done to a slot between two steps
// stays done, and nothing that was dropped comes back.
func TestOthersBetweenTheStepsOfRekey(t *testing.T) {
	slot := slotOf("ab")
	for name, other := range map[string]struct {
		do   func(t *testing.T, n *Node)
		left string
	}{
		"push": {func(t *testing.T, n *Node) { mustPush(t, n, slot, 3, "three") }, "three"},
		"two pushes": {func(t *testing.T, n *Node) {
			mustPush(t, n, slot, 3, "three")
			mustPush(t, n, slot, 4, "four")
		}, "four"},
		"delete": {func(t *testing.T, n *Node) {
			if err := n.Delete(t.Context(), slot, 2, Caller{}); err != nil {
				t.Error(err)
			}
		}, ""},
		"rekey": {func(t *testing.T, n *Node) {
			if _, _, err := n.Rekey(t.Context(), slot); err != nil {
				t.Error(err)
			}
		}, "two"},
		"purge": {func(t *testing.T, n *Node) {
			if err := n.Purge(t.Context(), slot); err != nil {
				t.Error(err)
			}
		}, ""},
	} {
		more := true
		for step := 1; more; step++ {
			t.Run(fmt.Sprintf("%s at call %d", name, step), func(t *testing.T) {
				more = false // a failure ends it
				store := backendtest.NewMemory()
				old := nodeWith(t, store, "k1", "k2")
				mustPush(t, old, slot, 1, "one")
				mustPush(t, old, slot, 2, "two")
				settle(t, old)
				beside := nodeWith(t, store, "k2", "k1")
				n := nodeWith(t, &backendtest.Faulty{Backend: store}, "k2", "k1")
				faulty, opening := watch(n)
				faulty.SetInject(func(call backendtest.Call) backendtest.Fault {
					if call.N == opening+step {
						other.do(t, beside)
						settle(t, beside)
					}
					return backendtest.None
				})
				if _, _, err := n.Rekey(t.Context(), slot); err != nil {
					t.Fatal(err)
				}
				if more = len(faulty.Calls()) >= opening+step; more {
					wantLeft(t, beside, slot, other.left)
				}
			})
		}
	}
}

// wantLeft fails unless the current share is text ("" for none), all of the
// slot verifies, and nothing is stored that `version` does not name.
func wantLeft(t *testing.T, n *Node, slot Slot, text string) {
	t.Helper()
	got, err := n.Pull(t.Context(), slot, nil, nil, Caller{})
	if string(got.Data) != text || err != nil && (text != "" || !errors.Is(err, api.ErrNotFound)) {
		t.Fatalf("pull: %q, %v; want %q", got.Data, err, text)
	}
	if err := n.verifySlot(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	from, err := n.readCommit(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	found, err := n.generations(t.Context(), slot)
	if err != nil || len(found.ages) != len(from.commit.named()) {
		t.Fatalf("%v is stored, %v; version names %v", found, err, from.commit.named())
	}
}

// TestRekeyUnderLoad rotates the key of replicas that push, pull, delete and
// sweep, and re-seals beside them: nothing acknowledged is lost, nothing is
// called damaged, and after one more pass the old key is not needed.
func TestRekeyUnderLoad(t *testing.T) {
	store := backendtest.NewMemory()
	source := &rotating{ring: ringOf("k1")}
	replica := func() *Node {
		sealer, err := integrity.NewSealer(t.Context(), "local", source, quiet)
		if err != nil {
			t.Fatal(err)
		}
		n, err := Open(t.Context(), store, sealer, Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close(context.Background()) })
		return n
	}
	replicas := []*Node{replica(), replica(), replica()}
	const slots, rounds = 4, 60
	var owners, others sync.WaitGroup
	acknowledged := make([]uint64, slots)
	for i := range slots {
		owners.Go(func() {
			for round := range rounds {
				acknowledged[i] = pushAndPull(t, replicas[round%len(replicas)], slotOf(fmt.Sprintf("%02x", i)), acknowledged[i])
				if i == 0 && round == rounds/3 {
					source.change(ringOf("k2", "k1"))
				}
				if round > rounds/3 && round%10 == i { // each replica learns of it at another time
					if err := replicas[i%len(replicas)].sealer.Reload(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	working, stop := context.WithCancel(t.Context())
	for _, n := range replicas[:2] {
		others.Go(func() {
			for working.Err() == nil {
				rekeyAll(t, n)
				if _, err := n.pass(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	owners.Wait()
	stop()
	others.Wait()
	n := replicas[0]
	if err := n.sealer.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range replicas {
		settle(t, n)
	}
	rekeyAll(t, n)
	if left := rekeyAll(t, n); left != 0 {
		t.Errorf("%d objects were left for another pass", left)
	}
	if _, err := n.RekeyCanary(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := nodeWith(t, store, "k2")
	if err := after.VerifyAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, version := range acknowledged {
		wantPull(t, after, slotOf(fmt.Sprintf("%02x", i)), version, fmt.Sprint("version ", version))
	}
}

// pushAndPull is what one owner does in a round: the next version, a delete of
// every seventh, and reads. It returns what is acknowledged.
func pushAndPull(t *testing.T, n *Node, slot Slot, version uint64) uint64 {
	version++
	patiently(t, func() error {
		err := n.Push(t.Context(), slot, Share{Data: fmt.Append(nil, "version ", version), Version: version}, Caller{})
		if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Stored {
			return nil
		}
		return err
	})
	patiently(t, func() error {
		got, err := n.Pull(t.Context(), slot, nil, nil, Caller{})
		if err == nil && got.Version != version {
			t.Errorf("version %d was pulled after %d was pushed", got.Version, version)
		}
		return err
	})
	if version%7 != 0 {
		return version
	}
	patiently(t, func() error {
		err := n.Delete(t.Context(), slot, version, Caller{})
		if errors.Is(err, api.ErrNotFound) { // by an attempt that was answered with a doubt
			return nil
		}
		return err
	})
	return version
}

// patiently repeats what a client repeats: a replica that lacks a key or lost
// every race says so, and knows better a moment later.
func patiently(t *testing.T, do func() error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if again := errors.Is(err, api.ErrKeyUnavailable) || errors.Is(err, api.ErrStorageUnavailable); !again || time.Now().After(deadline) {
			t.Error(err)
			return
		}
	}
}

// rekeyAll re-seals every slot, but those that change too fast or that it has
// not the key of yet.
func rekeyAll(t *testing.T, n *Node) (resealed int) {
	for slot, err := range n.Slots(t.Context()) {
		if err != nil {
			t.Error(err)
			return resealed
		}
		done, _, err := n.Rekey(t.Context(), slot)
		if err != nil && !errors.Is(err, api.ErrStorageUnavailable) && !errors.Is(err, api.ErrKeyUnavailable) {
			t.Error(err)
		}
		resealed += done
	}
	return resealed
}
