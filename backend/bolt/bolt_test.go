package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// shared is one database with several users, who in place of processes of their
// own share one that has it open.
type shared struct {
	mu    sync.Mutex
	users int
	bolt  *Bolt
}

type user struct {
	*Bolt
	of *shared
}

func (s *shared) open(t *testing.T, path string) backend.Backend {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users == 1 {
		b, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s.bolt = b
	}
	return user{s.bolt, s}
}

func (u user) Close() error {
	u.of.mu.Lock()
	defer u.of.mu.Unlock()
	if u.of.users--; u.of.users == 0 {
		return u.Bolt.Close()
	}
	return nil
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Opener {
		s, path := new(shared), newPath(t)
		return func(t *testing.T) backend.Backend { return s.open(t, path) }
	})
}

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "guardian.db")
}

func opened(t testing.TB, path string) *Bolt {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, b *Bolt, key, data string) backend.Revision {
	t.Helper()
	rev, err := b.Put(t.Context(), key, []byte(data), backend.AnyRevision)
	must(t, err)
	return rev
}

func holds(t *testing.T, b *Bolt, key, data string) {
	t.Helper()
	got, _, err := b.Get(t.Context(), key)
	if err != nil || string(got) != data {
		t.Errorf("%s holds %q, %v; want %q", key, got, err, data)
	}
}

func TestFileAndDirectoryAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "deep", "guardian.db")
	opened(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("the directory holds %v, %v", names, err)
	}
}

func TestEqualBytesAreAnotherRevision(t *testing.T) {
	b := opened(t, newPath(t))
	first, second := put(t, b, "a", "one"), put(t, b, "a", "one")
	if first == second {
		t.Error("two writes have one revision")
	}
	must(t, b.Delete(t.Context(), "a", second))
	if third := put(t, b, "a", "one"); third == first || third == second {
		t.Error("a revision comes back after a delete")
	}
}

// A listing holds no transaction while its consumer is slow: what is written
// meanwhile takes the room of what it replaces.
func TestListingKeepsNoTransactionOpen(t *testing.T) {
	b := opened(t, newPath(t))
	for _, key := range []string{"a", "b", "c"} {
		put(t, b, key, "one")
	}
	big := string(make([]byte, 100_000))
	put(t, b, "b", big)
	for _, err := range b.List(t.Context(), "", "") {
		must(t, err)
		if n := b.db.Stats().OpenTxN; n != 0 {
			t.Fatalf("%d transactions are open", n)
		}
		for range 20 {
			put(t, b, "b", big)
		}
	}
	if size := b.fileSize(); size > 2<<20 {
		t.Errorf("the file has %v bytes", size)
	}
}

func TestAbandonedWriteInTheQueueIsNotApplied(t *testing.T) {
	b := opened(t, newPath(t))
	entered, release := b.hang()
	first := make(chan error)
	go func() {
		_, err := b.Put(t.Context(), "first", nil, backend.Revision{})
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Put(ctx, "second", nil, backend.Revision{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put = %v", err)
	}
	close(release)
	must(t, <-first)
	if _, _, err := b.Get(t.Context(), "second"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Get = %v", err)
	}
}

func TestCallerOfAHungDiskIsLetGo(t *testing.T) {
	b := opened(t, newPath(t))
	entered, release := b.hang()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	data := []byte("one")
	if _, err := b.Put(ctx, "a", data, backend.Revision{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v", err)
	}
	clear(data)
	close(release)
	put(t, b, "b", "two") // behind what was left behind
	holds(t, b, "a", "one")
}

func TestCheckSeesAnotherFileInItsPlace(t *testing.T) {
	path := newPath(t)
	b := opened(t, path)
	must(t, b.Check(t.Context()))
	must(t, os.Rename(path, path+".away"))
	if err := b.Check(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a file that was moved: %v", err)
	}
	must(t, os.WriteFile(path, nil, 0o600))
	if err := b.Check(t.Context()); err == nil {
		t.Error("of another file it says nothing")
	}
}
