package backup

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// stage is a storage in memory, for the objects of one slot on their way.
type stage struct {
	mu      sync.Mutex
	objects map[string]staged
	writes  int
}

type staged struct {
	data     []byte
	rev      backend.Revision
	modified time.Time
}

func newStage() *stage { return &stage{objects: map[string]staged{}} }

// clear leaves nothing.
func (s *stage) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.objects)
}

// put stores the objects, whatever is there.
func (s *stage) put(objects []object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.store(o.key, o.data)
	}
}

// store is called with mu held.
func (s *stage) store(key string, data []byte) backend.Revision {
	s.writes++
	now := backend.NewRevision(strconv.Itoa(s.writes))
	s.objects[key] = staged{append([]byte{}, data...), now, time.Now()}
	return now
}

// all returns the objects in order of their keys.
func (s *stage) all() (all []object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		all = append(all, object{key, s.objects[key].data})
	}
	return all
}

func admit(ctx context.Context, key string) error {
	if !backend.ValidKey(key) {
		return backend.ErrInvalidKey
	}
	return ctx.Err()
}

// Get implements [backend.Backend].
func (s *stage) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if err := admit(ctx, key); err != nil {
		return nil, backend.Revision{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, found := s.objects[key]
	if !found {
		return nil, backend.Revision{}, backend.ErrNotFound
	}
	return bytes.Clone(o.data), o.rev, nil
}

// Put implements [backend.Backend].
func (s *stage) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if err := admit(ctx, key); err != nil {
		return backend.Revision{}, err
	}
	if len(data) > backend.MaxObjectSize {
		return backend.Revision{}, backend.ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !rev.IsAny() && s.objects[key].rev != rev {
		return backend.Revision{}, backend.ErrConflict
	}
	return s.store(key, data), nil
}

// Delete implements [backend.Backend].
func (s *stage) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if err := admit(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, found := s.objects[key]; found && !rev.IsAny() && o.rev != rev {
		return backend.ErrConflict
	}
	delete(s.objects, key)
	return nil
}

// List implements [backend.Backend].
func (s *stage) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, prefix, after, func(key string) string { return key })
}

// ListSegments implements [backend.Backend].
func (s *stage) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, prefix, after, func(key string) string {
		segment, _, isGroup := strings.Cut(key[len(prefix):], "/")
		if isGroup {
			segment += "/"
		}
		return prefix + segment
	})
}

func (s *stage) list(ctx context.Context, prefix, after string, shown func(key string) string) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		for entries := s.entries(prefix, after, shown); ; entries = entries[1:] {
			if err := ctx.Err(); err != nil {
				yield(backend.Entry{}, err)
				return
			}
			if len(entries) == 0 || !yield(entries[0], nil) {
				return
			}
		}
	}
}

func (s *stage) entries(prefix, after string, shown func(key string) string) (entries []backend.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		entry := backend.Entry{Key: shown(key)}
		if entry.Key <= after || len(entries) > 0 && entries[len(entries)-1].Key == entry.Key {
			continue
		}
		if entry.Key == key {
			entry.Size, entry.ModTime = int64(len(s.objects[key].data)), s.objects[key].modified
		}
		entries = append(entries, entry)
	}
	return entries
}

// Check implements [backend.Backend].
func (s *stage) Check(ctx context.Context) error { return ctx.Err() }

// Close implements [backend.Backend].
func (s *stage) Close() error { return nil }

// String implements [backend.Backend].
func (s *stage) String() string { return "memory" }
