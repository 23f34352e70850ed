package backendtest

import (
	"bytes"
	"context"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// Memory is a [backend.Backend] in memory: one storage, of which every holder
// of the pointer is a client. The zero Memory is empty and ready. It is cheap
// enough to be made anew for every state that a model checker visits.
//
// Its revisions depend on the content alone, as those of most real storages
// do: a key that returns to earlier bytes returns to its earlier revision.
type Memory struct {
	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	data     []byte // never written to after it was stored
	modified time.Time
}

var _ backend.Backend = (*Memory)(nil)

// NewMemory returns an empty storage.
func NewMemory() *Memory { return &Memory{} }

// Objects returns a copy of all that is stored.
func (m *Memory) Objects() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][]byte, len(m.objects))
	for key, stored := range m.objects {
		all[key] = bytes.Clone(stored.data)
	}
	return all
}

// Get implements [backend.Backend].
func (m *Memory) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if err := admit(ctx, key); err != nil {
		return nil, backend.Revision{}, err
	}
	m.mu.Lock()
	stored, found := m.objects[key]
	m.mu.Unlock()
	if !found {
		return nil, backend.Revision{}, backend.ErrNotFound
	}
	return append([]byte{}, stored.data...), revisionOf(stored.data), nil
}

// Put implements [backend.Backend].
func (m *Memory) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if err := admit(ctx, key); err != nil {
		return backend.Revision{}, err
	}
	if len(data) > backend.MaxObjectSize {
		return backend.Revision{}, backend.ErrTooLarge
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isAt(key, rev) {
		return backend.Revision{}, backend.ErrConflict
	}
	if m.objects == nil {
		m.objects = make(map[string]object)
	}
	m.objects[key] = object{data: bytes.Clone(data), modified: time.Now()}
	return revisionOf(data), nil
}

// Delete implements [backend.Backend].
func (m *Memory) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if err := admit(ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.objects[key]; found && !m.isAt(key, rev) {
		return backend.ErrConflict
	}
	delete(m.objects, key)
	return nil
}

// List implements [backend.Backend].
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		for _, key := range m.keys() {
			if err := ctx.Err(); err != nil {
				yield(backend.Entry{}, err)
				return
			}
			if key <= after || !strings.HasPrefix(key, prefix) {
				continue
			}
			if entry, found := m.entry(key); found && !yield(entry, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(backend.Entry{}, err)
		}
	}
}

// ListSegments implements [backend.Backend].
func (m *Memory) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		last := after
		for entry, err := range m.List(ctx, prefix, "") {
			if group, deeper := groupOf(entry.Key, prefix); deeper {
				entry = backend.Entry{Key: group}
			}
			if err == nil && entry.Key <= last {
				continue
			}
			last = entry.Key
			if !yield(entry, err) {
				return
			}
		}
	}
}

// Check implements [backend.Backend].
func (m *Memory) Check(ctx context.Context) error { return ctx.Err() }

// Close does nothing: other clients of the storage may go on, and a later
// Open is another use of the same pointer.
func (m *Memory) Close() error { return nil }

func (m *Memory) String() string { return "memory" }

func (m *Memory) isAt(key string, rev backend.Revision) bool {
	stored, found := m.objects[key]
	switch {
	case rev.IsAny():
		return true
	case rev.IsZero():
		return !found
	default:
		return found && revisionOf(stored.data) == rev
	}
}

func (m *Memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

func (m *Memory) entry(key string) (backend.Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, found := m.objects[key]
	return backend.Entry{Key: key, Size: int64(len(stored.data)), ModTime: stored.modified}, found
}

// groupOf returns the part of key up to the first slash behind prefix.
func groupOf(key, prefix string) (string, bool) {
	if len(key) < len(prefix) {
		return "", false
	}
	slash := strings.IndexByte(key[len(prefix):], '/')
	return key[:len(prefix)+slash+1], slash >= 0
}

func admit(ctx context.Context, key string) error {
	if !backend.ValidKey(key) {
		return backend.ErrInvalidKey
	}
	return ctx.Err()
}

var seed = maphash.MakeSeed()

func revisionOf(data []byte) backend.Revision {
	return backend.NewRevision(strconv.FormatUint(maphash.Bytes(seed, data), 36))
}
