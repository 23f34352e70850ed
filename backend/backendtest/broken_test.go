package backendtest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// brokenVariable names the flaw that a second run of this binary is to suffer
// from.
const brokenVariable = "GUARDIAN_BACKENDTEST_BROKEN"

// broken is a Memory with one promise of the contract taken out.
type broken struct {
	*backendtest.Memory
	flaw string
}

// flaws maps each flaw to a sub-test that must catch it.
var flaws = map[string]string{
	"none":                  "",
	"checks before it puts": "race/one_update_wins",
	"ignores revisions":     "condition/stale_revision_conflicts",
	"deletes regardless":    "condition/delete_at_the_zero_revision",
	"misses are errors":     "condition/delete_of_absent_key",
	"takes any key":         "key/invalid_key",
	"takes any size":        "object/larger_object",
	"keeps the caller's":    "object/bytes_put_stay",
	"sorts by segment":      "list/byte_order",
	"after is included":     "list/byte_order",
	"groups repeat":         "segments/groups_come_once",
	"ignores contexts":      "lifecycle/ended_context",
	"listing never fails":   "list/cancelled_context",
	"forgets":               "lifecycle/reopen",
}

func TestBrokenBackendsAreCaught(t *testing.T) {
	for flaw, test := range flaws {
		t.Run(flaw, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), brokenVariable+"="+flaw)
			out, err := cmd.CombinedOutput()
			if test == "" {
				if err != nil {
					t.Errorf("sound backend fails: %v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestBroken/"+test) {
				t.Errorf("%s did not catch it: %v\n%s", test, err, out)
			}
		})
	}
}

// TestBroken runs the suite over the flaw that the variable names; by itself,
// over none.
func TestBroken(t *testing.T) {
	flaw := os.Getenv(brokenVariable)
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		memory := backendtest.NewMemory()
		return func(*testing.T) backend.Backend {
			if flaw == "forgets" {
				memory = backendtest.NewMemory()
			}
			return broken{memory, flaw}
		}
	})
}

func (b broken) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if kept, found := hoard.Load(hoardKey{b.Memory, key}); found && b.flaw == "keeps the caller's" {
		_, rev, err := b.Memory.Get(ctx, key)
		return bytes.Clone(kept.([]byte)), rev, err
	}
	return b.Memory.Get(b.context(ctx), b.key(key))
}

func (b broken) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	switch b.flaw {
	case "ignores revisions":
		rev = backend.AnyRevision
	case "checks before it puts":
		_, now, err := b.Memory.Get(ctx, key)
		if !rev.IsAny() && now != rev {
			return backend.Revision{}, backend.ErrConflict
		}
		if err == nil || errors.Is(err, backend.ErrNotFound) {
			rev = backend.AnyRevision
		}
		runtime.Gosched() // the other racers check now
	case "takes any size":
		data = data[:min(len(data), backend.MaxObjectSize)]
	case "keeps the caller's":
		hoard.Store(hoardKey{b.Memory, key}, data)
	}
	return b.Memory.Put(b.context(ctx), b.key(key), data, rev)
}

func (b broken) Delete(ctx context.Context, key string, rev backend.Revision) error {
	switch b.flaw {
	case "deletes regardless":
		rev = backend.AnyRevision
	case "misses are errors":
		if _, _, err := b.Memory.Get(ctx, key); err != nil {
			return err
		}
	}
	return b.Memory.Delete(b.context(ctx), b.key(key), rev)
}

func (b broken) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	switch b.flaw {
	case "sorts by segment":
		return bySegment(b.Memory.List(ctx, prefix, after))
	case "after is included":
		after = strings.TrimSuffix(after, "x")
	case "listing never fails":
		ctx = context.WithoutCancel(ctx)
	}
	return b.Memory.List(ctx, prefix, after)
}

func (b broken) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	if b.flaw != "groups repeat" {
		return b.Memory.ListSegments(ctx, prefix, after)
	}
	return func(yield func(backend.Entry, error) bool) {
		for entry, err := range b.Memory.ListSegments(ctx, prefix, after) {
			if !yield(entry, err) || strings.HasSuffix(entry.Key, "/") && !yield(entry, err) {
				return
			}
		}
	}
}

func (b broken) context(ctx context.Context) context.Context {
	if b.flaw == "ignores contexts" {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (b broken) key(key string) string {
	if b.flaw == "takes any key" && !backend.ValidKey(key) {
		return "b"
	}
	return key
}

// hoard holds the slices that a flawed Put did not copy.
var hoard sync.Map

type hoardKey struct {
	memory *backendtest.Memory
	key    string
}

// bySegment sorts as a walk over directories does.
func bySegment(entries iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	var sorted []backend.Entry
	for entry, err := range entries {
		if err == nil {
			sorted = append(sorted, entry)
		}
	}
	slices.SortFunc(sorted, func(a, b backend.Entry) int {
		return slices.Compare(strings.Split(a.Key, "/"), strings.Split(b.Key, "/"))
	})
	return func(yield func(backend.Entry, error) bool) {
		for _, entry := range sorted {
			if !yield(entry, nil) {
				return
			}
		}
	}
}
