package main

import (
	"context"
	"errors"
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/vault-guardian/guardian/backend"
)

// tally counts by name. The zero tally has counted nothing. It is safe for
// concurrent use.
type tally struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (t *tally) add(name string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int64{}
	}
	t.counts[name] += n
}

func (t *tally) one(name string) { t.add(name, 1) }

// take returns what was counted since it was called before.
func (t *tally) take() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := maps.Clone(t.counts)
	clear(t.counts)
	return taken
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// counted counts the calls of a storage, and can fail like one whose process was
// killed.
type counted struct {
	backend.Backend
	calls *tally
	dead  atomic.Bool
}

var errDead = errors.New("this process is as good as dead")

func (c *counted) begin(call string) error {
	if c.dead.Load() {
		return errDead
	}
	c.calls.one(call)
	return nil
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if err := c.begin("get"); err != nil {
		return nil, backend.Revision{}, err
	}
	return c.Backend.Get(ctx, key)
}

func (c *counted) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if err := c.begin("put"); err != nil {
		return backend.Revision{}, err
	}
	return c.Backend.Put(ctx, key, data, rev)
}

func (c *counted) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if err := c.begin("delete"); err != nil {
		return err
	}
	return c.Backend.Delete(ctx, key, rev)
}

func (c *counted) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return c.list("list", c.Backend.List(ctx, prefix, after))
}

func (c *counted) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return c.list("list segments", c.Backend.ListSegments(ctx, prefix, after))
}

func (c *counted) list(call string, entries iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		if err := c.begin(call); err != nil {
			yield(backend.Entry{}, err)
			return
		}
		for entry, err := range entries {
			if c.dead.Load() {
				entry, err = backend.Entry{}, errDead
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
