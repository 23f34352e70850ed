package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

// snapshotOf takes a snapshot and opens it as one that came from elsewhere.
func snapshotOf(t *testing.T, b *Bolt) *Bolt {
	t.Helper()
	file, err := b.Snapshot(t.Context())
	must(t, err)
	defer file.Close()
	info, err := file.Stat()
	must(t, err)
	copied, err := ReadSnapshot(t.TempDir(), file, info.Size())
	must(t, err)
	t.Cleanup(func() { must(t, copied.Close()) })
	return copied
}

// names are those of all files in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return strings.Join(all, " ")
}

// A snapshot shows what was there when it was taken, can only be read, and no file
// with a name is made for it.
func TestSnapshot(t *testing.T) {
	path := newPath(t)
	b := opened(t, path)
	for n := range 300 {
		put(t, b, fmt.Sprintf("shares/%04d", n), strings.Repeat("x", n))
	}
	put(t, b, "a", "before")
	copied := snapshotOf(t, b)
	put(t, b, "a", "after")
	holds(t, copied, "a", "before")
	holds(t, copied, "shares/0299", strings.Repeat("x", 299))
	if _, err := copied.Put(t.Context(), "a", nil, backend.AnyRevision); err == nil {
		t.Error("a copy was written to")
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(copied.path)} {
		if left := names(t, dir); left != "" && left != filepath.Base(path) {
			t.Errorf("in %s there are %s", dir, left)
		}
	}
}

// Under load everything is in a snapshot that was there before it, and it is a whole
// database.
func TestSnapshotUnderLoad(t *testing.T) {
	b := opened(t, newPath(t))
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	acknowledged := map[string]int{}
	var writing sync.WaitGroup
	for w := range 8 {
		writing.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("%d/%d", w, n%50)
				if _, err := b.Put(ctx, key, bytes.Repeat([]byte{byte(w)}, n), backend.AnyRevision); err == nil {
					mu.Lock()
					acknowledged[key] = n
					mu.Unlock()
				}
			}
		})
	}
	so := func(most int) (now map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range acknowledged {
			if n > most {
				return maps.Clone(acknowledged)
			}
		}
		return nil
	}
	for round := range 20 {
		before := so(5 * round)
		for deadline := time.Now().Add(time.Minute); before == nil; before = so(5 * round) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is written any more")
			}
			time.Sleep(time.Millisecond)
		}
		copied := snapshotOf(t, b)
		for key, n := range before {
			if data, _, err := copied.Get(t.Context(), key); err != nil || len(data) < n {
				t.Fatalf("of %s there are %d bytes, not at least %d: %v", key, len(data), n, err)
			}
		}
		must(t, copied.db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				t.Error(err)
			}
			return nil
		}))
	}
	stop()
	writing.Wait()
}

// slow takes its time for every write, and calls first before the first one.
type slow struct {
	first func()
	began bool
}

func (s *slow) Write(data []byte) (int, error) {
	if !s.began {
		s.began = true
		s.first()
	}
	time.Sleep(5 * time.Millisecond)
	return len(data), nil
}

// A writer for whom the file must be mapped anew does not wait until a copy is made
// that takes long, nor do those who read: the copy gives way.
func TestSnapshotGivesWay(t *testing.T) {
	b := opened(t, newPath(t))
	const large = 4 << 20
	for n := range 7 { // not a power of two, so that there is some room left
		put(t, b, fmt.Sprint(n), strings.Repeat("x", large))
	}
	written := make(chan error, 1)
	to := &slow{first: func() {
		go func() {
			var err error
			for n := 0; n < 4 && err == nil; n++ {
				_, err = b.Put(context.Background(), fmt.Sprintf("more%d", n), make([]byte, large), backend.Revision{})
			}
			written <- err
		}()
	}}
	if err := b.copyTo(t.Context(), to); !errors.Is(err, errHeldUp) {
		t.Errorf("copying ended with %v", err)
	}
	must(t, <-written)
	holds(t, snapshotOf(t, b), "more3", string(make([]byte, large)))
}

// What ends a copy leaves nothing of it, and the database as it was.
func TestSnapshotEnded(t *testing.T) {
	path := newPath(t)
	b := opened(t, path)
	put(t, b, "a", strings.Repeat("x", 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	if err := b.copyTo(ctx, &slow{first: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("copying ended with %v", err)
	}
	if file, err := b.Snapshot(ctx); !errors.Is(err, context.Canceled) || file != nil {
		t.Errorf("Snapshot = %v, %v", file, err)
	}
	if left := names(t, filepath.Dir(path)); left != filepath.Base(path) {
		t.Errorf("there are %s", left)
	}
	put(t, b, "a", "x")

	other, err := Open(newPath(t))
	must(t, err)
	put(t, other, "a", strings.Repeat("x", 1<<20))
	closed := make(chan error, 1)
	err = other.copyTo(t.Context(), &slow{first: func() {
		go func() { closed <- other.Close() }()
		<-other.closing
	}})
	if !errors.Is(err, errClosed) {
		t.Errorf("copying ended with %v", err)
	}
	must(t, <-closed)
}

// What is no whole snapshot is refused, and nothing of it stays.
func TestUnusableSnapshots(t *testing.T) {
	b := opened(t, newPath(t))
	put(t, b, "a", strings.Repeat("x", 1<<20))
	file, err := b.Snapshot(t.Context())
	must(t, err)
	defer file.Close()
	whole, err := io.ReadAll(file)
	must(t, err)
	size := int64(len(whole))
	for name, test := range map[string]struct {
		data []byte
		size int64
		want error
	}{
		"cut":            {whole[:size-1], size, io.ErrUnexpectedEOF},
		"nothing":        {nil, size, io.ErrUnexpectedEOF},
		"said to be cut": {whole, size / 2, ErrDamaged},
		"said to be so":  {nil, 0, ErrDamaged},
		"text":           {bytes.Repeat([]byte("text "), 10_000), 50_000, ErrDamaged},
		"no room":        {whole, 1 << 60, ErrNoRoom},
	} {
		dir := t.TempDir()
		if b, err := ReadSnapshot(dir, bytes.NewReader(test.data), test.size); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		if left := names(t, dir); left != "" {
			t.Errorf("%s: there are %s", name, left)
		}
	}
}
