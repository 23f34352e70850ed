package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
)

// counted counts what is read of a storage, some keys of which cannot be read.
type counted struct {
	backend.Backend
	unreadable     map[string]error
	listed, gotten atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	c.gotten.Add(1)
	if err := c.unreadable[key]; err != nil {
		return nil, backend.Revision{}, err
	}
	return c.Backend.Get(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return c.count(c.Backend.List(ctx, prefix, after))
}

func (c *counted) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return c.count(c.Backend.ListSegments(ctx, prefix, after))
}

func (c *counted) count(listing iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		for entry, err := range listing {
			c.listed.Add(1)
			if !yield(entry, err) {
				return
			}
		}
	}
}

// TestBucketAmongOthers puts a registry where something else is already.
func TestBucketAmongOthers(t *testing.T) {
	for name, test := range map[string]struct {
		key            string // of many
		listed, gotten int64  // at most, by one List of two members
	}{
		"a storage":          {"nodes/g1/shares/%04d", 4, 2},
		"a prefix below":     {"guardians/x/%04d", 5, 2},
		"records":            {"records/%04d", 4, 2},
		"guardians unknown":  {"guardians/n-%04d", 1258, 2},
		"strange guardians":  {"guardians/X%04d", 1258, 2},
		"strange indices":    {"indices/9%04d", 1258, 2},
		"before all that is": {"aaa/%04d", 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			store := &counted{Backend: backendtest.NewMemory()}
			for i := range 5000 {
				put(t, store, fmt.Sprintf(test.key, i), "x")
			}
			log := &strings.Builder{}
			r := cluster.NewBucket(store, slog.New(slog.NewTextHandler(log, nil)))
			wantIndex(t, r, guardianCalled("a"), 1)
			wantIndex(t, r, guardianCalled("b"), 2)
			wantSome(t, r) // claims are read now
			store.listed.Store(0)
			store.gotten.Store(0)
			log.Reset()
			wantSome(t, r)
			if listed, gotten := store.listed.Load(), store.gotten.Load(); listed > test.listed || gotten > test.gotten {
				t.Errorf("it listed %d objects and read %d, want at most %d and %d", listed, gotten, test.listed, test.gotten)
			}
			if log.Len() > 0 {
				t.Errorf("it complains again: %.500s", log)
			}
		})
	}
}

// wantSome wants a list without an error: strange names may hide members.
func wantSome(t *testing.T, r cluster.Registry) {
	t.Helper()
	if _, err := r.List(t.Context()); err != nil {
		t.Fatalf("List() = %v", err)
	}
}

func TestBucketStopsListing(t *testing.T) {
	store := &counted{Backend: backendtest.NewMemory()}
	for i := range 5000 {
		put(t, store, fmt.Sprintf("guardians/n-%04d", i), "x")
	}
	log := &strings.Builder{}
	r := cluster.NewBucket(store, slog.New(slog.NewTextHandler(log, nil)))
	wantIndex(t, r, guardianCalled("a"), 1)
	wantMembers(t, r, 1)
	if lines := strings.Count(log.String(), "\n"); lines > 21 {
		t.Errorf("%d lines: %.2000s", lines, log)
	}
}

// TestBucketUnreadable has one object be listed and not given, as one whose key
// is lost, or that lies in an archive.
func TestBucketUnreadable(t *testing.T) {
	forbidden := errors.New("status 403, request 1234")
	for name, test := range map[string]struct {
		key   string
		err   error
		index int // of the next guardian
	}{
		"record":           {"guardians/zz", forbidden, 4},
		"record too large": {"guardians/zz", backend.ErrTooLarge, 4},
		"claim":            {"indices/003", forbidden, 4},
		"claim too large":  {"indices/003", backend.ErrTooLarge, 4},
	} {
		t.Run(name, func(t *testing.T) {
			memory := backendtest.NewMemory()
			for i, node := range []string{"a", "b", "zz"} {
				wantIndex(t, cluster.NewBucket(memory, nil), guardianCalled(node), i+1)
			}
			log := &strings.Builder{}
			store := &counted{Backend: memory, unreadable: map[string]error{test.key: test.err}}
			r := cluster.NewBucket(store, slog.New(slog.NewTextHandler(log, nil)))
			wantMembers(t, r, 2)
			wantIndex(t, r, guardianCalled("c"), test.index)
			wantMembers(t, r, 3)
			store.unreadable[test.key] = fmt.Errorf("%w and 5678", test.err)
			wantMembers(t, r, 3)
			name := test.key[strings.LastIndex(test.key, "/")+1:]
			if n := strings.Count(log.String(), name+" ") + strings.Count(log.String(), name+"\n"); n != 1 {
				t.Errorf("%d lines about it: %s", n, log)
			}
		})
	}
}

// One object alone is no proof that the storage cannot be read.
func TestBucketOnlyObjectUnreadable(t *testing.T) {
	memory := backendtest.NewMemory()
	put(t, memory, "indices/001", "x")
	put(t, memory, "guardians/x", "x")
	store := &counted{Backend: memory, unreadable: map[string]error{"indices/001": errors.New("status 403")}}
	r := cluster.NewBucket(store, nil)
	wantMembers(t, r, 0)
	wantIndex(t, r, guardianCalled("a"), 2)
	wantMembers(t, r, 1)
}

// Where nothing can be read, nobody is taken for gone.
func TestBucketAllUnreadable(t *testing.T) {
	memory := backendtest.NewMemory()
	forbidden := errors.New("status 403")
	store := &counted{Backend: memory, unreadable: map[string]error{}}
	for i, node := range []string{"a", "b"} {
		wantIndex(t, cluster.NewBucket(memory, nil), guardianCalled(node), i+1)
		store.unreadable["guardians/"+node] = forbidden
	}
	r := cluster.NewBucket(store, nil)
	if members, err := r.List(t.Context()); !errors.Is(err, forbidden) {
		t.Errorf("List() = %v, %v", members, err)
	}
}
