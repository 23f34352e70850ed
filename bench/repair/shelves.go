package main

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest" //nolint:depguard // the bench module is no part of the product
)

// shelves are a storage in memory with a shelf for each identity: a
// [backendtest.Memory] sorts all that it has whenever something is listed, which
// with thousands of identities would be most of what is measured.
type shelves struct {
	*backendtest.Memory // what is the same for any

	mu     sync.Mutex
	byName map[string]*backendtest.Memory
}

func newShelves() *shelves {
	return &shelves{Memory: backendtest.NewMemory(), byName: map[string]*backendtest.Memory{}}
}

// shelfOf is a key up to its second slash, or to the last before.
func shelfOf(key string) string {
	first := strings.IndexByte(key, '/') + 1
	return key[:first+strings.IndexByte(key[first:], '/')+1]
}

func (s *shelves) shelf(key string) *backendtest.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := shelfOf(key)
	if s.byName[name] == nil {
		s.byName[name] = backendtest.NewMemory()
	}
	return s.byName[name]
}

func (s *shelves) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	return s.shelf(key).Get(ctx, key)
}

func (s *shelves) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	return s.shelf(key).Put(ctx, key, data, rev)
}

func (s *shelves) Delete(ctx context.Context, key string, rev backend.Revision) error {
	return s.shelf(key).Delete(ctx, key, rev)
}

func (s *shelves) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	if strings.Count(prefix, "/") >= 2 {
		return s.shelf(prefix).List(ctx, prefix, after)
	}
	return s.listed(ctx, prefix, func(shelf *backendtest.Memory) iter.Seq2[backend.Entry, error] {
		return shelf.List(ctx, prefix, after)
	})
}

func (s *shelves) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	if strings.Count(prefix, "/") >= 2 {
		return s.shelf(prefix).ListSegments(ctx, prefix, after)
	}
	return s.listed(ctx, prefix, func(shelf *backendtest.Memory) iter.Seq2[backend.Entry, error] {
		return shelf.ListSegments(ctx, prefix, after)
	})
}

// listed yields what all shelves with a prefix list, each key once.
func (s *shelves) listed(ctx context.Context, prefix string, list func(*backendtest.Memory) iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		var all []backend.Entry
		for _, shelf := range s.under(prefix) {
			for entry, err := range list(shelf) {
				if err != nil {
					yield(entry, err)
					return
				}
				all = append(all, entry)
			}
		}
		slices.SortFunc(all, func(a, b backend.Entry) int { return cmp.Compare(a.Key, b.Key) })
		for _, entry := range slices.CompactFunc(all, func(a, b backend.Entry) bool { return a.Key == b.Key }) {
			err := ctx.Err()
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// under has one shelf at least, to refuse for all what a storage refuses.
func (s *shelves) under(prefix string) []*backendtest.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []*backendtest.Memory{s.Memory}
	for name, shelf := range s.byName {
		if strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name) {
			all = append(all, shelf)
		}
	}
	return all
}

// size is that of all that is stored, in bytes.
func (s *shelves) size(ctx context.Context) (total int64, err error) {
	for _, shelf := range s.under("") {
		for entry, err := range shelf.List(ctx, "", "") {
			if err != nil {
				return 0, err
			}
			total += entry.Size
		}
	}
	return total, nil
}
