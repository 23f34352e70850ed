package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// syncLog records which directories are made durable, and fails those that
// refuse says.
type syncLog struct {
	mu     sync.Mutex
	root   string
	dirs   []string
	refuse func(dir string) error
}

func watch(f *FS) *syncLog {
	log := &syncLog{root: f.dir, refuse: func(string) error { return nil }}
	f.writer.syncDir = log.sync
	return log
}

func (l *syncLog) sync(file *os.File) error {
	dir, err := filepath.Rel(l.root, file.Name())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirs = append(l.dirs, dir)
	if err := l.refuse(dir); err != nil {
		return err
	}
	return file.Sync()
}

// take returns what was made durable since the last take.
func (l *syncLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	dirs := l.dirs
	l.dirs = nil
	slices.Sort(dirs)
	return dirs
}

func (l *syncLog) want(t *testing.T, what string, dirs ...string) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, dirs) {
		t.Errorf("%s: made durable %q, want %q", what, got, dirs)
	}
}

func TestWhichDirectoriesAreMadeDurable(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	log := watch(f)

	put(t, f, "a/b/c/x")
	log.want(t, "first object", ".", "a", "a/b", "a/b/c")
	put(t, f, "a/b/c/y")
	log.want(t, "second object", "a/b/c")
	put(t, f, "a/b/d/x")
	log.want(t, "new directory", "a/b", "a/b/d")
	put(t, f, "top")
	log.want(t, "object at the root", ".")

	remove(t, f, "a/b/c/x")
	log.want(t, "removal", "a/b/c")
	remove(t, f, "a/b/c/y")
	log.want(t, "removal of the last", "a/b")
	remove(t, f, "a/b/c/y")
	log.want(t, "removal of what is gone", "a/b")
	put(t, f, "a/b/c/x")
	log.want(t, "directory made again", "a/b", "a/b/c")
}

func TestDirectoryFoundIsNotTakenForDurable(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	log := watch(f)
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), dirMode))
	put(t, f, "a/b/x")
	log.want(t, "made by another", ".", "a", "a/b")
	put(t, f, "a/b/x")
	log.want(t, "the second time", "a/b")

	must(t, os.RemoveAll(filepath.Join(dir, "a/b")))
	must(t, os.Mkdir(filepath.Join(dir, "a/b"), dirMode))
	put(t, f, "a/b/x")
	log.want(t, "made anew by another", "a", "a/b")
}

func TestRefusedPutMakesNothingDurable(t *testing.T) {
	f := open(t, t.TempDir())
	put(t, f, "a/x")
	log := watch(f)
	if _, err := f.Put(t.Context(), "a/x", nil, backend.Revision{}); !errors.Is(err, backend.ErrConflict) {
		t.Fatal(err)
	}
	log.want(t, "conflict")
}

func TestDirectoriesHeldOpenAreBounded(t *testing.T) {
	f := open(t, t.TempDir())
	for i := range maxSettled + 10 {
		put(t, f, fmt.Sprintf("a/%d/x", i))
	}
	if got := f.writer.settled.held.Len(); got != maxSettled {
		t.Errorf("%d directories are held open, want %d", got, maxSettled)
	}
}

func TestFailedFsyncStopsWriting(t *testing.T) {
	broken := errors.New("input/output error")
	dir := t.TempDir()
	f := open(t, dir)
	put(t, f, "a/x")
	log := watch(f)
	log.refuse = func(string) error { return broken }
	if _, err := f.Put(t.Context(), "a/y", nil, backend.Revision{}); !errors.Is(err, broken) {
		t.Fatalf("Put over a broken disk = %v", err)
	}
	log.refuse = func(string) error { return nil }

	_, putErr := f.Put(t.Context(), "b/x", nil, backend.Revision{})
	for what, err := range map[string]error{
		"Put":    putErr,
		"Delete": f.Delete(t.Context(), "a/x", backend.AnyRevision),
		"Check":  f.Check(t.Context()),
	} {
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "check the disk and restart") {
			t.Errorf("%s = %v, want the failure and what to do", what, err)
		}
	}
	if !holds(t, f, "a/x") || holds(t, f, "b/x") {
		t.Error("reading does not show the state before")
	}
	if got := temporaries(t, dir); len(got) > 0 {
		t.Errorf("temporary files %q are left", got)
	}
	again := open(t, dir)
	put(t, again, "b/x")
}

func TestFailedFsyncStopsDelete(t *testing.T) {
	broken := errors.New("input/output error")
	f := open(t, t.TempDir())
	put(t, f, "a/x")
	watch(f).refuse = func(string) error { return broken }
	if err := f.Delete(t.Context(), "a/x", backend.AnyRevision); !errors.Is(err, broken) {
		t.Fatalf("Delete over a broken disk = %v", err)
	}
	if err := f.Check(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Check() = %v", err)
	}
}

func TestFsyncBesideAFailedOneDoesNotCount(t *testing.T) {
	broken := errors.New("input/output error")
	f := open(t, t.TempDir())
	log := watch(f)
	log.refuse = func(dir string) error {
		if dir == "a" {
			return broken
		}
		return nil
	}
	if _, err := f.Put(t.Context(), "a/b/x", nil, backend.Revision{}); !errors.Is(err, broken) {
		t.Errorf("Put whose parent's fsync failed = %v", err)
	}
	if _, err := f.Put(t.Context(), "a/b/x", nil, backend.AnyRevision); !errors.Is(err, broken) {
		t.Errorf("next Put = %v", err)
	}
}

// TestBytesAreOnDiskBeforeTheName: the file is synced while nobody can read it
// yet, and one that could not be synced never gets its name.
func TestBytesAreOnDiskBeforeTheName(t *testing.T) {
	f, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var synced int64
	f.writer.syncFile = func(file *os.File) error {
		if _, _, err := f.Get(t.Context(), "a/b"); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("before the fsync: %v", err)
		}
		info, err := file.Stat()
		if err == nil {
			synced = info.Size()
		}
		return err
	}
	if _, err := f.Put(t.Context(), "a/b", []byte("four"), backend.Revision{}); err != nil || synced != 4 {
		t.Fatalf("%d bytes synced, %v", synced, err)
	}
	f.writer.syncFile = func(*os.File) error { return syscall.EIO }
	if _, err := f.Put(t.Context(), "a/c", []byte("four"), backend.Revision{}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("failed fsync: %v", err)
	}
	if _, _, err := f.Get(t.Context(), "a/c"); !errors.Is(err, backend.ErrNotFound) {
		t.Fatalf("after a failed fsync: %v", err)
	}
}
