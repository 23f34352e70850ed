package fs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

func aBatch(name string, rev backend.Revision, drop ...string) backend.Batch {
	return backend.Batch{
		Create: []backend.Object{
			{Key: "a/" + name + "/x", Data: []byte("x of " + name)},
			{Key: "a/" + name + "/y", Data: []byte("y of " + name)},
		},
		Put: backend.Object{Key: "a/name", Data: []byte(name)},
		Rev: rev, Drop: drop,
	}
}

// steps records what is made durable, and whether a/name had its new bytes then.
type steps struct {
	mu   sync.Mutex
	t    *testing.T
	f    *FS
	name string
	done []string
	fail func(step string) error
}

func record(t *testing.T, f *FS, name string) *steps {
	s := &steps{t: t, f: f, name: name, fail: func(string) error { return nil }}
	f.writer.syncFile = func(file *os.File) error { return s.step("file " + s.relative(file)) }
	f.writer.syncDir = func(dir *os.File) error { return s.step("dir " + s.relative(dir)) }
	f.writer.whole.syncfs = func(*os.File) error { return s.step("all") }
	return s
}

func (s *steps) relative(file *os.File) string {
	name, err := filepath.Rel(s.f.dir, file.Name())
	if err != nil {
		s.t.Error(err)
	}
	if strings.HasPrefix(name, tempDir) {
		return "temporary"
	}
	return name
}

func (s *steps) step(what string) error {
	data, _, _ := s.f.Get(s.t.Context(), "a/name")
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(data) == s.name {
		what = "named: " + what
	}
	s.done = append(s.done, what)
	return s.fail(what)
}

func (s *steps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := slices.Sorted(slices.Values(s.done))
	s.done = nil
	return done
}

func apart(f *FS) { f.writer.whole.root = nil }

func together(f *FS) { f.writer.whole.root = f.dirFile }

// All that a batch creates is durable, and the bytes of its name, before it has
// that name; and that name is before Apply returns.
func TestBatchIsDurableBeforeItsName(t *testing.T) {
	for how, want := range map[string]struct {
		set   func(*FS)
		first []string
		next  []string
	}{
		"together": {together, []string{"all", "named: all"}, []string{"all", "named: all"}},
		"apart": {
			apart,
			[]string{"dir .", "dir a", "dir a/1", "file a/1/x", "file a/1/y", "file temporary", "named: dir a"},
			[]string{"dir a", "dir a/2", "file a/2/x", "file a/2/y", "file temporary", "named: dir a"},
		},
	} {
		t.Run(how, func(t *testing.T) {
			f := open(t, t.TempDir())
			want.set(f)
			s := record(t, f, "1")
			rev, err := f.Apply(t.Context(), aBatch("1", backend.Revision{}))
			if got := s.take(); err != nil || !slices.Equal(got, want.first) {
				t.Fatalf("the first: %q, %v", got, err)
			}
			s = record(t, f, "2")
			_, err = f.Apply(t.Context(), aBatch("2", rev, "a/1/x", "a/1/y"))
			if got := s.take(); err != nil || !slices.Equal(got, want.next) {
				t.Fatalf("the next: %q, %v", got, err)
			}
			if _, err := os.Stat(filepath.Join(f.dir, "a/1")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory of what was dropped: %v", err)
			}
		})
	}
}

// A syncfs that fails says nothing about our files: each is synced by itself, and
// so it stays for a while.
func TestFailedSyncOfAllIsDoneApart(t *testing.T) {
	f := open(t, t.TempDir())
	together(f)
	s := record(t, f, "1")
	s.fail = func(step string) error {
		if strings.HasSuffix(step, "all") {
			return syscall.EIO
		}
		return nil
	}
	rev, err := f.Apply(t.Context(), aBatch("1", backend.Revision{}))
	want := []string{"all", "dir .", "dir a", "dir a/1", "file a/1/x", "file a/1/y", "file temporary", "named: dir a"}
	if got := s.take(); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
	s = record(t, f, "2")
	if _, err := f.Apply(t.Context(), aBatch("2", rev)); err != nil || slices.Contains(s.take(), "all") {
		t.Errorf("the next is not done apart: %v", err)
	}
}

// The kernel tells of an error once. Who has written before that, and waits for a
// later syncfs, which succeeds, does not take that for an answer.
func TestSyncOfAllBehindAFailedOneDoesNotCount(t *testing.T) {
	w := newWhole(nil)
	w.root = os.Stdin // passed on only
	results := []error{nil, syscall.EIO, nil, nil}
	w.syncfs = func(*os.File) error { err := results[0]; results = results[1:]; return err }
	first, second := w.begin(), w.begin()
	if err := w.sync(first); err != nil {
		t.Fatal(err)
	}
	if err := w.sync(first); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := w.sync(second); !errors.Is(err, errApart) || len(results) != 2 {
		t.Errorf("right after an error it is tried again: %v", err)
	}
	w.pause.Store(new(time.Time))
	if err := w.sync(second); !errors.Is(err, errApart) {
		t.Errorf("what was written before the error counts as durable: %v", err)
	}
	if err := w.sync(w.begin()); err != nil {
		t.Errorf("what was written since does not: %v", err)
	}
}

// A syncfs that has much of others to write is not waited for.
func TestSlowSyncOfAllIsDoneApart(t *testing.T) {
	f := open(t, t.TempDir())
	together(f)
	s := record(t, f, "1")
	end := make(chan struct{})
	f.writer.whole.syncfs = func(*os.File) error { <-end; return nil }
	if _, err := f.Apply(t.Context(), aBatch("1", backend.Revision{})); err != nil {
		t.Fatal(err)
	}
	close(end)
	if got := s.take(); !slices.Contains(got, "file a/1/x") || !slices.Contains(got, "named: dir a") {
		t.Errorf("%q", got)
	}
}

// The storage may be closed while a syncfs goes on that nobody waits for any more:
// the race detector sees a descriptor that is used by then.
func TestCloseDuringSyncOfAll(t *testing.T) {
	root, err := os.Open(t.TempDir())
	must(t, err)
	w := newWhole(root)
	begun := make(chan struct{})
	w.syncfs = func(*os.File) error { close(begun); return syncfs(root) }
	turn := w.rounds.join(".", w.run)
	<-begun
	must(t, root.Close())
	<-turn.over
	if failed := w.failures.Load() == 1; failed != (turn.err != nil) {
		t.Errorf("failed: %v, %v", failed, turn.err)
	}
}

// Nothing is left of a batch that could not be made durable.
func TestFailedBatchLeavesNothing(t *testing.T) {
	for _, failing := range []string{"file a/2/x", "file a/2/y", "file temporary"} {
		f := open(t, t.TempDir())
		apart(f)
		rev, err := f.Apply(t.Context(), aBatch("1", backend.Revision{}))
		must(t, err)
		s := record(t, f, "2")
		s.fail = func(step string) error {
			if step == failing {
				return syscall.ENOSPC
			}
			return nil
		}
		if _, err := f.Apply(t.Context(), aBatch("2", rev, "a/1/x", "a/1/y")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", failing, err)
		}
		if holds(t, f, "a/2/x") || holds(t, f, "a/2/y") || !holds(t, f, "a/1/x") || len(temporaries(t, f.dir)) > 0 {
			t.Errorf("%s failed, and something of it is left or something before it is not", failing)
		}
		s.fail = func(string) error { return nil }
		if _, err := f.Apply(t.Context(), aBatch("2", rev)); err != nil {
			t.Errorf("the same again: %v", err)
		}
	}
}

// What is there under a name that is to be created is not written over.
func TestBatchReplacesNoObject(t *testing.T) {
	f := open(t, t.TempDir())
	put(t, f, "a/1/x")
	if _, err := f.Apply(t.Context(), aBatch("1", backend.Revision{})); err == nil || errors.Is(err, backend.ErrConflict) {
		t.Fatalf("Apply over another object = %v", err)
	}
	if holds(t, f, "a/name") || holds(t, f, "a/1/y") || !holds(t, f, "a/1/x") {
		t.Error("something of it was done")
	}
}

// A directory is not replaced, and what is in it stays.
func TestBatchReplacesNoDirectory(t *testing.T) {
	for _, rev := range []backend.Revision{{}, backend.AnyRevision} {
		f := open(t, t.TempDir())
		together(f)
		f.writer.whole.syncfs = func(*os.File) error { return nil }
		put(t, f, "a/name/x")
		if _, err := f.Apply(t.Context(), aBatch("1", rev)); err == nil {
			t.Error("a directory was replaced")
		}
		if !holds(t, f, "a/name/x") || len(temporaries(t, f.dir)) > 0 {
			t.Errorf("what was in it is gone, or lies in %q", temporaries(t, f.dir))
		}
	}
}

// A system without openat2 does the same.
func TestWalkingStepByStep(t *testing.T) {
	for _, walks := range []bool{false, true} {
		f := open(t, t.TempDir())
		f.tree.walks = f.tree.walks || walks
		put(t, f, "a/b/x")
		if !holds(t, f, "a/b/x") || holds(t, f, "a/b") || holds(t, f, "a/b/x/y") {
			t.Error("it reads something else")
		}
		rev, err := f.Apply(t.Context(), aBatch("1", backend.Revision{}))
		must(t, err)
		_, err = f.Apply(t.Context(), aBatch("2", rev, "a/1/x", "a/1/y", "b", "c/absent"))
		must(t, err)
		if holds(t, f, "a/1/x") || holds(t, f, "a/1/y") || !holds(t, f, "a/2/x") || !holds(t, f, "a/b/x") {
			t.Error("it drops something else")
		}
		if _, err := os.Lstat(filepath.Join(f.dir, "a/1")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an empty directory is left: %v", err)
		}
	}
}

// No link leads a write out of the directory, whichever way it goes.
func TestNoWriteGoesAlongALinkOut(t *testing.T) {
	for _, walks := range []bool{false, true} {
		f, outside := open(t, t.TempDir()), t.TempDir()
		f.tree.walks = f.tree.walks || walks
		plant(t, outside, "1/x", "kept")
		must(t, os.Symlink(outside, filepath.Join(f.dir, "out")))
		must(t, os.Symlink(filepath.Join(outside, "1/x"), filepath.Join(f.dir, "file")))
		for _, err := range []error{
			errorOf(f.tree.create("out/new")), errorOf(f.tree.create("file")), f.tree.makeAll("out/dir"),
			f.tree.rename("file", "out/renamed"), f.tree.remove("out/1/x"), errorOf(f.tree.open("file")),
		} {
			if err == nil {
				t.Errorf("something was done outside, walking: %v", walks)
			}
		}
		f.tree.removeAll("out/1", []string{"x"})
		f.tree.removeAll("out", []string{"1"})
		var found []string
		must(t, filepath.WalkDir(outside, func(path string, _ fs.DirEntry, err error) error {
			found = append(found, strings.TrimPrefix(path, outside))
			return err
		}))
		if !slices.Equal(found, []string{"", "/1", "/1/x"}) {
			t.Errorf("outside there is now %q", found)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
