package backend_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

const place = "queue/"

// behind is a storage that holds what is under place at its root, so that the
// longest keys fit, and fails the test when it is asked for anything else.
type behind struct {
	*backendtest.Memory
	t *testing.T
}

func (b behind) inside(key string) string {
	rest, ok := strings.CutPrefix(key, place)
	if !ok {
		b.t.Errorf("the storage is asked for %q", key)
	}
	return rest
}

func (b behind) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	return b.Memory.Get(ctx, b.inside(key))
}

func (b behind) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	return b.Memory.Put(ctx, b.inside(key), data, rev)
}

func (b behind) Delete(ctx context.Context, key string, rev backend.Revision) error {
	return b.Memory.Delete(ctx, b.inside(key), rev)
}

func (b behind) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(b.Memory.List, ctx, prefix, after)
}

func (b behind) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(b.Memory.ListSegments, ctx, prefix, after)
}

type lister func(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error]

func (b behind) list(list lister, ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	if after != "" {
		after = b.inside(after)
	}
	return func(yield func(backend.Entry, error) bool) {
		for entry, err := range list(ctx, b.inside(prefix), after) {
			if err == nil {
				entry.Key = place + entry.Key
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

func (b behind) Close() error { b.t.Error("the storage is closed"); return nil }

func TestUnder(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		memory := backendtest.NewMemory()
		return func(t *testing.T) backend.Backend { return backend.Under(behind{memory, t}, place) }
	})
}

// What lies beside the view is neither listed nor reached, whatever it is asked
// for.
func TestUnderIsConfined(t *testing.T) {
	memory := backendtest.NewMemory()
	for _, key := range []string{"canary", "queue", "queue-/x", "queue./x", "queue0", "queued/x", "qqueue/x", "shares/a", "queue/own.key"} {
		if _, err := memory.Put(t.Context(), key, []byte("not yours"), backend.Revision{}); err != nil {
			t.Fatal(err)
		}
	}
	before := len(memory.Objects())
	view := backend.Under(memory, place)
	for _, prefix := range []string{"", "../", "..", "/", "-", "own"} {
		for _, list := range []lister{view.List, view.ListSegments} {
			for entry, err := range list(t.Context(), prefix, "") {
				t.Errorf("with %q it lists %+v, %v", prefix, entry, err)
			}
		}
	}
	for _, key := range []string{"../canary", "..", "/canary", "", "../queue/x", "x/../../canary", "own.key", strings.Repeat("a/", 253) + "a"} {
		_, _, err := view.Get(t.Context(), key)
		_, errPut := view.Put(t.Context(), key, []byte("x"), backend.AnyRevision)
		for _, err := range []error{err, errPut, view.Delete(t.Context(), key, backend.AnyRevision)} {
			if !errors.Is(err, backend.ErrInvalidKey) {
				t.Errorf("%q: %v", key, err)
			}
		}
	}
	if after := len(memory.Objects()); after != before {
		t.Errorf("there are %d objects, there were %d", after, before)
	}
	if got, want := view.String(), memory.String()+"/queue/"; got != want {
		t.Errorf("it is at %q, want %q", got, want)
	}
}
