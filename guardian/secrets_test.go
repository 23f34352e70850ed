package guardian

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

var secretsOwner = strings.Repeat("ab", 32)

func namesIn(infos []SecretInfo) (names []string) {
	for _, info := range infos {
		names = append(names, info.Name)
	}
	return names
}

func TestSecrets(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	if found, err := n.Secrets(t.Context(), secretsOwner, Caller{}); err != nil || found == nil || len(found) != 0 {
		t.Errorf("of nothing: %v, %v", found, err)
	}
	for _, name := range []string{"b", "a", "C", "deleted"} {
		mustPush(t, n, Slot{secretsOwner, name}, 3, "share of "+name)
	}
	mustPush(t, n, Slot{secretsOwner, "a"}, 4, "more")
	mustPush(t, n, Slot{Identity: secretsOwner}, 1, "share")
	mustPush(t, n, Slot{strings.Repeat("cd", 32), "other"}, 1, "share")
	if err := n.Delete(t.Context(), Slot{secretsOwner, "deleted"}, 3, Caller{}); err != nil {
		t.Fatal(err)
	}
	// What a push left behind that was never committed.
	put(t, store, "vaults/"+secretsOwner+"/crashed/1-000000000000/share.bin", []byte("share"))
	found, err := n.Secrets(t.Context(), secretsOwner, Caller{})
	if err != nil || !slices.Equal(namesIn(found), []string{"C", "a", "b"}) {
		t.Fatalf("%+v, %v", found, err)
	}
	if a := found[1]; a.Version != 4 || a.Size != len("more") || a.CreatedNS == 0 || a.UpdatedNS != a.CreatedNS {
		t.Errorf("a is %+v", a)
	}
}

// What was redistributed is listed at its epoch, and what has moved away or waits
// for its certificate is not.
func TestSecretsOfLaterEpochs(t *testing.T) {
	b := newBench(t)
	at := func(name string) bench {
		in := b
		in.slot = ownedSlot(name)
		return in
	}
	for _, name := range []string{"moved", "refreshed", "twice"} {
		at(name).pushOwned(5)
	}
	b.must(b.Mend(t.Context(), at("refreshed").slot, at("refreshed").line(5, 1)[1]))
	b.must(b.Mend(t.Context(), at("twice").slot, at("twice").line(5, 2)[2]))
	_, gone := b.next(at("moved").owned(5), round{nodes: away})
	b.must(b.Release(t.Context(), at("moved").slot, gone.Chain))
	b.must(b.Prepare(t.Context(), at("prepared").slot, at("prepared").draft(5, 1)))
	found, err := b.Secrets(t.Context(), b.slot.Identity, Caller{Proof: 2})
	if err != nil || !slices.Equal(namesIn(found), []string{"refreshed", "twice"}) {
		t.Fatalf("%+v, %v", found, err)
	}
	for i, epoch := range []uint64{1, 2} {
		if found[i].Epoch != epoch || found[i].Version != 5 || found[i].Size == 0 {
			t.Errorf("%+v is listed, want epoch %d", found[i], epoch)
		}
	}
}

// A list tells no more than its caller could read.
func TestSecretsNeedWhatTheBestNeeds(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	for name, proof := range map[string]int{"one": 1, "two": 2} {
		share := Share{Data: []byte("share"), Version: 1}
		if err := n.Push(t.Context(), Slot{secretsOwner, name}, share, Caller{Proof: proof}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(proof int) error {
		_, err := n.Secrets(t.Context(), secretsOwner, Caller{Proof: proof})
		return err
	}
	if err := list(0); !errors.Is(err, api.ErrOwnershipRequired) {
		t.Errorf("bare: %v", err)
	}
	if err := list(1); !errors.Is(err, api.ErrOwnershipInvalid) {
		t.Errorf("with the worse proof: %v", err)
	}
	if err := n.Delete(t.Context(), Slot{secretsOwner, "two"}, 1, Caller{Proof: 2}); err != nil {
		t.Fatal(err)
	}
	if err := list(1); !errors.Is(err, api.ErrOwnershipInvalid) {
		t.Errorf("with the worse proof, after a delete: %v", err)
	}
	if err := list(2); err != nil {
		t.Errorf("with the better proof: %v", err)
	}
}

// One damaged secret keeps nobody from the others.
func TestSecretsWithADamagedOne(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	for _, name := range []string{"damaged", "sound"} {
		mustPush(t, n, Slot{secretsOwner, name}, 2, "share")
	}
	damaged := Slot{secretsOwner, "damaged"}
	if err := store.Delete(t.Context(), damaged.checksumKey(mustFind(t, n, damaged)), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
	found, err := n.Secrets(t.Context(), secretsOwner, Caller{})
	if err != nil || !slices.Equal(namesIn(found), []string{"damaged", "sound"}) || found[0].Version != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := n.Pull(t.Context(), damaged, nil, nil, Caller{}); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Errorf("pull of the damaged one: %v", err)
	}
	wantPull(t, n, Slot{secretsOwner, "sound"}, 2, "share")
}

func TestSecretsOfAFailingStorage(t *testing.T) {
	memory := backendtest.NewMemory()
	mustPush(t, openNode(t, memory), Slot{secretsOwner, "name"}, 1, "share")
	for _, failing := range []string{"", "version", "checksum.bin"} {
		store := &backendtest.Faulty{Backend: memory}
		n := openNode(t, store)
		store.SetInject(func(call backendtest.Call) backendtest.Fault {
			if call.Op == backendtest.OpListSegments && failing == "" || failing != "" && strings.HasSuffix(call.Key, failing) {
				return backendtest.NotApplied
			}
			return backendtest.None
		})
		if found, err := n.Secrets(t.Context(), secretsOwner, Caller{}); !errors.Is(err, api.ErrStorageUnavailable) {
			t.Errorf("with %q unreadable: %v, %v", failing, found, err)
		}
	}
}

func TestHistory(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	for _, slot := range []Slot{{Identity: secretsOwner}, {secretsOwner, "name"}} {
		if _, err := n.History(t.Context(), slot, Caller{}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("of nothing: %v", err)
		}
		for i, text := range []string{"one", "three", "seven!"} {
			mustPush(t, n, slot, uint64(i*3+1), text)
		}
		found, err := n.History(t.Context(), slot, Caller{})
		if err != nil || len(found) != 2 || found[0].Version != 7 || found[0].Size != 6 || found[1].Version != 4 || found[1].Size != 5 ||
			found[0].CreatedNS <= found[1].CreatedNS || found[0].Deleted {
			t.Errorf("%+v, %v", found, err)
		}
		if version, err := n.DeleteCurrent(t.Context(), slot, Caller{}); err != nil || version != 7 {
			t.Errorf("deleted %d, %v", version, err)
		}
		if found, err := n.History(t.Context(), slot, Caller{}); err != nil || !slices.Equal(found, []VersionInfo{{Version: 7, Deleted: true}}) {
			t.Errorf("of the deleted: %+v, %v", found, err)
		}
		if _, err := n.DeleteCurrent(t.Context(), slot, Caller{}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
		mustPush(t, n, slot, 8, "eight")
	}
}
