package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

func TestCompact(t *testing.T) {
	path := newPath(t)
	b, err := Open(path)
	must(t, err)
	revs := map[string]backend.Revision{}
	for n := range 40 {
		key := fmt.Sprintf("shares/%04d", n)
		revs[key] = put(t, b, key, strings.Repeat(key, 3000))
		if n%4 != 0 {
			must(t, b.Delete(t.Context(), key, backend.AnyRevision))
			delete(revs, key)
		}
	}
	must(t, b.Close())
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, link))
	done, err := Compact(t.Context(), link)
	if err != nil || done.Objects != len(revs) || done.BytesAfter >= done.BytesBefore/2 {
		t.Fatalf("Compact = %+v, %v", done, err)
	}
	for name, want := range map[string]int64{path: done.BytesAfter, link: done.BytesAfter} {
		if info, err := os.Stat(name); err != nil || info.Size() != want || info.Mode().Perm() != fileMode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside it there are %v, %v", names, err)
	}
	b = opened(t, path)
	for key, rev := range revs {
		holds(t, b, key, strings.Repeat(key, 3000))
		if _, now, err := b.Get(t.Context(), key); err != nil || now != rev {
			t.Errorf("%s was at %v, is at %v, %v", key, rev, now, err)
		}
	}
	if rev := put(t, b, "new", "x"); rev != revisionOf(41) {
		t.Errorf("the sequence goes on with %v", rev)
	}
}

func TestCompactRefuses(t *testing.T) {
	path := newPath(t)
	if _, err := Compact(t.Context(), path); !errors.Is(err, os.ErrNotExist) || Exists(path) {
		t.Errorf("of a file that is not there: %v", err)
	}
	opened(t, path)
	if _, err := compact(t.Context(), path, 100*time.Millisecond); !errors.Is(err, ErrLocked) {
		t.Errorf("of a file in use: %v", err)
	}
	damaged := newPath(t)
	makeFull(t, damaged)
	overwrite(t, damaged, 6*4096, 1<<20)
	if done, err := Compact(t.Context(), damaged); err == nil {
		t.Errorf("of a damaged file: %+v", done)
	}
	if names, err := os.ReadDir(filepath.Dir(damaged)); err != nil || len(names) != 1 {
		t.Errorf("beside it there are %v, %v", names, err)
	}
}

func TestCompactBrokenOffChangesNothing(t *testing.T) {
	path := newPath(t)
	makeFull(t, path)
	before, err := os.Stat(path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compact(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact = %v", err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced, %v", err)
	}
	holds(t, opened(t, path), "shares/0001", strings.Repeat("x", 10_000))
}
