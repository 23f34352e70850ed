package guardian

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func openWithQuota(t *testing.T, maxBytes int64) *Node {
	t.Helper()
	n := openNode(t, backendtest.NewMemory())
	n.cfg.MaxBytes = maxBytes
	return n
}

func pushSize(t *testing.T, n *Node, slot Slot, version uint64, size int) error {
	t.Helper()
	return n.Push(t.Context(), slot, Share{Data: make([]byte, size), Version: version}, Caller{})
}

// Whatever pushes and deletes went before, what is kept fits the quota, and a
// refused push leaves nothing.
func TestByteQuota(t *testing.T) {
	n := openWithQuota(t, 10_000)
	share, secret := Slot{Identity: secretsOwner}, Slot{secretsOwner, "name"}
	for i, step := range []struct {
		slot    Slot
		version uint64
		size    int
		taken   bool
	}{
		{share, 1, 10_001, false},
		{share, 1, 9_900, false}, // its statement counts
		{share, 1, 4000, true},
		{secret, 1, 6000, false},
		{secret, 1, 3000, true},
		{share, 2, 4000, false}, // beside version 1
		{share, 2, 500, true},
		{share, 3, 4000, true}, // version 1 goes
		{share, 4, 4000, false},
	} {
		err := pushSize(t, n, step.slot, step.version, step.size)
		if taken := err == nil; taken != step.taken || !taken && !errors.Is(err, api.ErrQuotaExceeded) {
			t.Errorf("step %d: %v", i, err)
		}
		settle(t, n)
		kept := int64(0)
		for entry, err := range n.store.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(entry.Key, secretsOwner) && !strings.HasSuffix(entry.Key, "/version") {
				kept += entry.Size
			}
		}
		if kept > 10_000 {
			t.Errorf("step %d: %d bytes are kept", i, kept)
		}
	}
}

func TestQuotaCountsManifests(t *testing.T) {
	n := openWithQuota(t, 10_000)
	slot, share := ownedSlot(""), Share{Data: []byte("share"), Version: 1}
	share = withManifest(t, slot, share, crowd)
	if err := n.Push(t.Context(), slot, share, Caller{}); len(share.Manifest) < 10_000 || !errors.Is(err, api.ErrQuotaExceeded) {
		t.Errorf("a manifest of %d bytes: %v", len(share.Manifest), err)
	}
}

// A push that would be refused for its version takes nothing, so it is no
// matter of quotas.
func TestConflictBeforeQuota(t *testing.T) {
	n := openWithQuota(t, 2000)
	slot := Slot{Identity: secretsOwner}
	if err := pushSize(t, n, slot, 1, 1000); err != nil {
		t.Fatal(err)
	}
	wantConflict(t, pushSize(t, n, slot, 1, 1000), 1, true)
	wantConflict(t, pushSize(t, n, slot, 1, 100_000), 1, false)
}

func TestNamesPerIdentity(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	var group errgroup.Group
	group.SetLimit(8)
	for i := range MaxNames - 1 {
		group.Go(func() error {
			return n.Push(t.Context(), Slot{secretsOwner, fmt.Sprint(i)}, Share{Data: []byte("share"), Version: 1}, Caller{})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	push := func(name string) error { return pushSize(t, n, Slot{secretsOwner, name}, 2, 1) }
	wantQuota := func(name string) {
		t.Helper()
		if err := push(name); !errors.Is(err, api.ErrQuotaExceeded) {
			t.Errorf("push of %s: %v", name, err)
		}
	}
	if err := push("last"); err != nil {
		t.Fatal(err)
	}
	wantQuota("more")
	for _, name := range []string{"0", "1"} {
		if err := n.Delete(t.Context(), Slot{secretsOwner, name}, 1, Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"more", "0"} {
		if err := push(name); err != nil {
			t.Errorf("push of %s in place of a deleted one: %v", name, err)
		}
	}
	wantQuota("1")
	if err := push("2"); err != nil {
		t.Errorf("update: %v", err)
	}
	if err := pushSize(t, n, Slot{Identity: secretsOwner}, 1, 1); err != nil {
		t.Errorf("the share without a name: %v", err)
	}
}

// Create is asked for the first share and the first secret of an identity, and
// what it refuses leaves nothing.
func TestCreate(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	refusal := errors.New("not another one")
	share, one, two := Slot{Identity: secretsOwner}, Slot{secretsOwner, "one"}, Slot{secretsOwner, "two"}
	for i, step := range []struct {
		slot    Slot
		version uint64
		refused bool // if Create may refuse it
		delete  bool // afterwards
	}{
		{slot: share, version: 1, refused: true},
		{slot: share, version: 2},
		{slot: one, version: 1, refused: true, delete: true},
		{slot: one, version: 2},
		{slot: two, version: 1},
		{slot: Slot{strings.Repeat("cd", 32), "one"}, version: 1, refused: true},
	} {
		before := len(store.Objects())
		asked := 0
		err := n.Push(t.Context(), step.slot, Share{Data: []byte("share"), Version: step.version}, Caller{Create: func() error {
			asked++
			return refusal
		}})
		if refused := errors.Is(err, refusal); refused != step.refused || (asked == 1) != step.refused || err != nil && !refused {
			t.Errorf("step %d: %v, asked %d times", i, err, asked)
		}
		settle(t, n)
		if !step.refused {
			continue
		}
		if after := len(store.Objects()); after != before {
			t.Errorf("step %d: %d objects are left", i, after-before)
		}
		mustPush(t, n, step.slot, step.version, "share")
		if step.delete {
			if err := n.Delete(t.Context(), step.slot, step.version, Caller{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A name whose `version` cannot be read takes its place.
func TestDamagedNamesCount(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	mustPush(t, n, Slot{secretsOwner, "damaged"}, 1, "share")
	put(t, store, Slot{secretsOwner, "damaged"}.commitKey(), []byte("1\nnonsense\n"))
	err := n.Push(t.Context(), Slot{secretsOwner, "new"}, Share{Data: []byte("share"), Version: 1}, Caller{Create: func() error {
		return errors.New("the identity is not new")
	}})
	if err != nil {
		t.Error(err)
	}
}
