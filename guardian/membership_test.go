package guardian

import (
	"errors"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func wantMembership(t *testing.T, n *Node, want string) backend.Revision {
	t.Helper()
	data, rev, err := n.Membership(t.Context())
	if err != nil || string(data) != want {
		t.Fatalf("Membership: %q, %v; want %q", data, err, want)
	}
	return rev
}

func TestMembershipIsKept(t *testing.T) {
	store := backendtest.NewMemory()
	n, replica := nodeWith(t, store, "k1"), nodeWith(t, store, "k1")
	none := wantMembership(t, n, "")
	first, err := n.KeepMembership(t.Context(), []byte("first"), none)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replica.KeepMembership(t.Context(), []byte("at once"), none); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("another replica's KeepMembership: %v", err)
	}
	if rev := wantMembership(t, replica, "first"); rev != first {
		t.Error("the revision differs")
	}
	if _, err := replica.KeepMembership(t.Context(), nil, first); err != nil {
		t.Fatal(err)
	}
	wantMembership(t, n, "")
	if _, err := n.KeepMembership(t.Context(), []byte("late"), first); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("KeepMembership at an old revision: %v", err)
	}
}

func TestMembershipThatWasChanged(t *testing.T) {
	store := backendtest.NewMemory()
	n := nodeWith(t, store, "k1")
	if _, err := n.KeepMembership(t.Context(), []byte("members"), backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	object := store.Objects()[keyMembership]
	put := func(data []byte) {
		if _, err := store.Put(t.Context(), keyMembership, data, backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
	for i := range object {
		changed := append([]byte(nil), object...)
		changed[i] ^= 0x20
		put(changed)
		if data, _, err := n.Membership(t.Context()); err == nil || data != nil {
			t.Fatalf("byte %d was changed: %q, %v", i, data, err)
		}
		put(object[:i])
		if _, _, err := n.Membership(t.Context()); !errors.Is(err, api.ErrIntegrityFailed) {
			t.Fatalf("cut off at %d: %v", i, err)
		}
	}
	put(store.Objects()[keyCanary])
	if _, _, err := n.Membership(t.Context()); !errors.Is(err, api.ErrIntegrityFailed) {
		t.Errorf("a canary in its place: %v", err)
	}
	put(object)
	wantMembership(t, n, "members")
}

func TestMembershipIsResealedAndCopied(t *testing.T) {
	store := backendtest.NewMemory()
	old := nodeWith(t, store, "k1")
	if done, err := old.RekeyMembership(t.Context()); err != nil || done {
		t.Errorf("RekeyMembership of nothing: %v, %v", done, err)
	}
	if _, err := old.KeepMembership(t.Context(), []byte("members"), backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	both := nodeWith(t, store, "k2", "k1")
	for _, want := range []bool{true, false} {
		if done, err := both.RekeyMembership(t.Context()); err != nil || done != want {
			t.Errorf("RekeyMembership: %v, %v; want %v", done, err, want)
		}
	}
	if _, err := both.RekeyCanary(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantMembership(t, nodeWith(t, store, "k2"), "members")
	dst := nodeWith(t, backendtest.NewMemory(), "k2")
	for range 2 {
		if err := both.CopyMembershipTo(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
	}
	rev := wantMembership(t, dst, "members")
	if _, err := dst.KeepMembership(t.Context(), []byte("newer"), rev); err != nil {
		t.Fatal(err)
	}
	if err := both.CopyMembershipTo(t.Context(), dst); err != nil {
		t.Fatal(err)
	}
	wantMembership(t, dst, "newer")
}
