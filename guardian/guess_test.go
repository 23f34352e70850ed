package guardian

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// counting is a storage that takes batches and counts how often `version` is read
// by itself.
type counting struct {
	backendtest.Stepwise
	reads *int
}

func (c counting) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if strings.HasSuffix(key, "/version") {
		*c.reads++
	}
	return c.Stepwise.Get(ctx, key)
}

// A push does not read what its process has seen lately, and yet nothing is decided by
// that when others have been there since.
func TestPushByAGuess(t *testing.T) {
	ctx, store, sealer, reads := t.Context(), backendtest.NewMemory(), testSealer(t), 0
	node := func(store backend.Backend, quota int64) *Node {
		n, err := newNode(store, sealer, Config{Retain: 2, RequestTimeout: time.Minute, MaxBytes: quota, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close(context.Background()) })
		return n
	}
	slot, created := ownedSlot(""), 0
	bare := Caller{Create: func() error { created++; return nil }}
	owner := Caller{Proof: 2, Create: bare.Create}
	one, other, bounded := node(counting{backendtest.Stepwise{Backend: store}, &reads}, 0), node(store, 0), node(counting{backendtest.Stepwise{Backend: store}, &reads}, 1<<20)
	push := func(n *Node, version uint64, by Caller) error {
		return n.Push(ctx, slot, Share{Data: []byte("share"), Version: version}, by)
	}
	for _, step := range []struct {
		name    string
		do      func() error
		want    error
		reads   int
		created int
	}{
		{"the first", func() error { return push(one, 1, bare) }, nil, 1, 1},
		{"the second", func() error { return push(one, 2, bare) }, nil, 0, 0},
		{"by another", func() error { return push(other, 5, bare) }, nil, 0, 0},
		{"below that, above what is remembered", func() error { return push(one, 4, bare) }, api.ErrVersionConflict, 1, 0},
		{"above that", func() error { return push(one, 6, bare) }, nil, 0, 0},
		{"by another, above", func() error { return push(other, 7, bare) }, nil, 0, 0},
		{"above what is not remembered", func() error { return push(one, 8, bare) }, nil, 1, 0},
		{"the same again", func() error { return push(one, 8, bare) }, api.ErrVersionConflict, 1, 0},
		{"below", func() error { return push(one, 7, bare) }, api.ErrVersionConflict, 1, 0},
		{"delete by another", func() error { return other.Delete(ctx, slot, 8, bare) }, nil, 0, 0},
		{"at the tombstone", func() error { return push(one, 8, bare) }, api.ErrVersionConflict, 1, 0},
		{"above the tombstone", func() error { return push(one, 9, bare) }, nil, 1, 0},
		{"purge by another", func() error { return other.Purge(ctx, slot) }, nil, 0, 0},
		{"where there is nothing any more", func() error { return push(one, 10, bare) }, nil, 1, 1},
		{"by its owner elsewhere", func() error { return push(other, 11, owner) }, nil, 0, 0},
		{"by somebody", func() error { return push(one, 12, bare) }, api.ErrOwnershipRequired, 1, 0},
		{"by its owner", func() error { return push(one, 12, owner) }, nil, 0, 0},
		{"with a manifest", func() error {
			return one.Push(ctx, slot, withManifest(t, slot, Share{Data: []byte("\x01share"), Version: 13}), owner)
		}, nil, 0, 0},
		{"without", func() error { return push(one, 14, owner) }, api.ErrInvalidManifest, 1, 0},
		{"purge by another again", func() error { return other.Purge(ctx, slot) }, nil, 0, 0},
		{"by its owner, without a manifest, where there is nothing any more", func() error { return push(one, 14, owner) }, nil, 1, 1},
		{"purge by another once more", func() error { return other.Purge(ctx, slot) }, nil, 0, 0},
		{"by somebody, where there is nothing any more", func() error { return push(one, 15, bare) }, nil, 1, 1},
		{"under a quota", func() error { return push(bounded, 16, owner) }, nil, 1, 0},
		{"under a quota again", func() error { return push(bounded, 17, owner) }, nil, 1, 0},
	} {
		reads, created = 0, 0
		if err := step.do(); !errors.Is(err, step.want) || reads != step.reads || created != step.created {
			t.Fatalf("%s: %v, want %v; version read %d times, want %d; creation asked for %d times, want %d",
				step.name, err, step.want, reads, step.reads, created, step.created)
		}
	}
	if got, err := one.Pull(ctx, slot, nil, nil, owner); err != nil || got.Version != 17 {
		t.Errorf("pulled version %d, %v", got.Version, err)
	}
}

// What was not read must not be put again as it was: that would leave nothing of it.
func TestGuessIsNotMadeDurable(t *testing.T) {
	ctx, store := t.Context(), backendtest.NewMemory()
	n, err := newNode(backendtest.Stepwise{Backend: store}, testSealer(t), Config{Retain: 2, RequestTimeout: time.Minute, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	slot := Slot{Identity: strings.Repeat("a", 64)}
	if err := n.Push(ctx, slot, Share{Data: []byte("share"), Version: 1}, Caller{}); err != nil {
		t.Fatal(err)
	}
	guess, ok := n.guesses.Get(slot)
	if !ok || guess.rev.IsZero() {
		t.Fatalf("nothing is remembered: %+v", guess)
	}
	if err := n.makeDurable(ctx, slot, guess); !errors.Is(err, api.ErrStorageUnavailable) {
		t.Errorf("made durable: %v", err)
	}
	if _, rev, err := store.Get(ctx, slot.commitKey()); err != nil || rev != guess.rev {
		t.Errorf("`version` has changed: %v", err)
	}
}
