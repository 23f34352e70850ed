package guardian

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// landingLate answers no commit, and then no listing either; the first commit
// lands when land is called.
type landingLate struct {
	backend.Backend
	land func()
}

func (l *landingLate) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if !strings.HasSuffix(key, "/version") {
		return l.Backend.Put(ctx, key, data, rev)
	}
	if l.land == nil {
		l.land = func() { _, _ = l.Backend.Put(context.Background(), key, data, rev) }
	}
	return backend.Revision{}, errors.New("no answer")
}

func (l *landingLate) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	if l.land == nil {
		return l.Backend.List(ctx, prefix, after)
	}
	return func(yield func(backend.Entry, error) bool) { yield(backend.Entry{}, errors.New("no answer")) }
}

// A commit that may still land keeps its objects, whatever else fails, and its
// push is neither acknowledged nor refused.
func TestObjectsOfACommitInDoubtAreKept(t *testing.T) {
	memory := backendtest.NewMemory()
	mustPush(t, openNode(t, memory), slotOf("ab"), 1, "old")
	late := &landingLate{Backend: memory}
	n, err := Open(t.Context(), late, testSealer(t), Config{Retain: 2, RequestTimeout: 30 * time.Second, Logger: quiet, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	err = n.Push(t.Context(), slotOf("ab"), Share{Data: []byte("new"), Version: 2}, Caller{})
	if !errors.Is(err, api.ErrStorageUnavailable) || late.land == nil {
		t.Fatalf("push = %v", err)
	}
	settle(t, n)
	late.land()
	wantPull(t, openNode(t, memory), slotOf("ab"), 2, "new")
}

// dyingDisk shows the first commit, cannot tell whether that is durable, and takes
// nothing any more: so it is with a failed fsync.
type dyingDisk struct {
	backend.Backend
	dead bool
}

func (d *dyingDisk) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if d.dead {
		return backend.Revision{}, errors.New("writing is stopped")
	}
	now, err := d.Backend.Put(ctx, key, data, rev)
	if strings.HasSuffix(key, "/version") {
		d.dead, err = true, errors.New("fsync failed")
	}
	return now, err
}

// What can be read is not durable for that: it may be gone after a crash.
func TestCommitThatOnlyShowsIsNotAcknowledged(t *testing.T) {
	slot := ownedSlot("name")
	for name, request := range map[string]func(*Node) error{
		"push": func(n *Node) error {
			return n.Push(t.Context(), slot, recovered(t, slot, 2), Caller{Proof: 2})
		},
		"mend":   func(n *Node) error { return n.Mend(t.Context(), slot, recovered(t, slot, 2)) },
		"delete": func(n *Node) error { return n.Delete(t.Context(), slot, 1, Caller{Proof: 2}) },
	} {
		memory := backendtest.NewMemory()
		b := bench{openNode(t, memory), t, memory, slot}
		b.push(1)
		before := mustFind(t, b.Node, slot)
		disk := &dyingDisk{Backend: memory}
		n := openNode(t, disk)
		if err := request(n); !errors.Is(err, api.ErrStorageUnavailable) || !disk.dead {
			t.Errorf("%s = %v", name, err)
		}
		settle(t, n)
		if _, there := memory.Objects()[slot.shareKey(before)]; !there {
			t.Errorf("%s: what the commit before named was removed", name)
		}
	}
}

// Who pushes again what is stored, with a proof, owns it from then on.
func TestProofWithTheSameBytesBinds(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	slot := slotOf("ab")
	mustPush(t, n, slot, 1, "share")
	for _, proof := range []int{1, 2} {
		wantConflict(t, n.Push(t.Context(), slot, Share{Data: []byte("share"), Version: 1}, Caller{Proof: proof}), 1, true)
		if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrOwnershipRequired) {
			t.Errorf("a bare pull after proof %d: %v", proof, err)
		}
	}
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{Proof: 1}); !errors.Is(err, api.ErrOwnershipInvalid) {
		t.Errorf("a pull with proof 1 after 2: %v", err)
	}
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{Proof: 2}); err != nil {
		t.Errorf("the owner's pull: %v", err)
	}
}
