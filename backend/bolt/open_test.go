package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

func TestLockedNamesTheHolder(t *testing.T) {
	path := newPath(t)
	opened(t, path)
	_, err := open(path, 100*time.Millisecond)
	want := "another guardian or guardianctl"
	if runtime.GOOS == "linux" {
		want = fmt.Sprintf("%q (process %d)", processName(t), os.Getpid())
	}
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "opening database "+path+": database is locked by "+want) {
		t.Errorf("Open = %v, want %s", err, want)
	}
}

func processName(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	must(t, err)
	return strings.TrimSpace(string(name))
}

// What is no database of a guardian, or no whole one, is refused and stays as it
// is.
func TestUnusableFiles(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path string){
		"empty": func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) },
		"short": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("hello"), 0o600)) },
		"text": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("hello "), 10_000), 0o600))
		},
		"another's":   makeForeign,
		"cut short":   func(t *testing.T, path string) { makeFull(t, path); must(t, os.Truncate(path, 5*4096)) },
		"cut to head": func(t *testing.T, path string) { makeFull(t, path); must(t, os.Truncate(path, 2*4096)) },
		"in the head": func(t *testing.T, path string) { makeFull(t, path); must(t, os.Truncate(path, 5000)) },
		"bad head":    func(t *testing.T, path string) { makeFull(t, path); overwrite(t, path, 0, 2*4096) },
		"bad pages":   func(t *testing.T, path string) { makeFull(t, path); overwrite(t, path, 2*4096, 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			make(t, path)
			before, err := os.ReadFile(path)
			must(t, err)
			b, err := Open(path)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open = %v, %v", b, err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed, %v", err)
			}
			must(t, os.Truncate(path, 0))
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			defer file.Close()
			if who := holder(path); who != "" {
				t.Errorf("%s has still locked it", who)
			}
		})
	}
}

func TestDirectoryIsNoDatabase(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open = %v", err)
	}
}

func makeForeign(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("key"))
		return err
	}))
	must(t, db.Close())
}

func makeFull(t *testing.T, path string) {
	t.Helper()
	b, err := Open(path)
	must(t, err)
	for n := range 50 {
		put(t, b, fmt.Sprintf("shares/%04d", n), strings.Repeat("x", 10_000))
	}
	must(t, b.Close())
}

func overwrite(t *testing.T, path string, from, to int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	info, err := file.Stat()
	must(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0xa5}, int(min(to, info.Size())-from)), from)
	must(t, errors.Join(err, file.Close()))
}

// A file that is cut short or overwritten while it is open fails calls, and does
// not end the process.
func TestDamageUnderARunningProcess(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"cut short":   func(t *testing.T, path string) { must(t, os.Truncate(path, 2*4096)) },
		"overwritten": func(t *testing.T, path string) { overwrite(t, path, 2*4096, 1<<30) },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			makeFull(t, path)
			b := opened(t, path)
			damage(t, path)
			if _, _, err := b.Get(t.Context(), "shares/0007"); !errors.Is(err, ErrDamaged) {
				t.Errorf("Get = %v", err)
			}
			for _, err := range b.List(t.Context(), "", "") {
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("List = %v", err)
				}
			}
			for range 2 {
				if _, err := b.Put(t.Context(), "a", nil, backend.AnyRevision); !errors.Is(err, ErrDamaged) {
					t.Errorf("Put = %v", err)
				}
			}
			if err := b.Check(t.Context()); err == nil {
				t.Error("Check says nothing")
			}
		})
	}
}

// Whoever waits for the lock of a file that is replaced meanwhile gets the new
// one.
func TestFileReplacedWhileWaitingForItsLock(t *testing.T) {
	path, other := newPath(t), newPath(t)
	makeFull(t, path)
	old, err := Open(other)
	must(t, err)
	put(t, old, "old", "x")
	must(t, old.Close())
	must(t, os.Rename(path, path+".new"))
	must(t, os.Rename(other, path))
	// It lets others look, and not write.
	reader, err := bbolt.Open(path, fileMode, &bbolt.Options{ReadOnly: true})
	must(t, err)
	waiting := make(chan *Bolt)
	go func() {
		b, err := Open(path)
		if err != nil {
			t.Error(err)
		}
		waiting <- b
	}()
	time.Sleep(100 * time.Millisecond) // it asks for the lock, or comes late and sees the same
	must(t, os.Rename(path+".new", path))
	must(t, reader.Close())
	b := <-waiting
	if b == nil {
		t.FailNow()
	}
	holds(t, b, "shares/0001", strings.Repeat("x", 10_000))
	must(t, b.Close())
}

func TestLeftoversOfTheKilledAreSwept(t *testing.T) {
	path := newPath(t)
	left := filepath.Join(filepath.Dir(path), temporary(path)+"123")
	must(t, os.WriteFile(left, nil, 0o600))
	opened(t, path)
	if Exists(left) {
		t.Error("it is still there")
	}
}
