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
