//go:build linux

package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/backend"
)

// pushes applies batches one after the other, each of which drops what the one before
// has created.
type pushes struct {
	t    *testing.T
	f    *FS
	n    int
	size int // of what is created, in bytes
	rev  backend.Revision
}

// pushInto takes the disk, and the clock, out of what is tested.
func pushInto(t *testing.T, f *FS) *pushes {
	together(f)
	f.writer.whole.syncfs = synced
	f.writer.spares.rest = time.Hour
	return &pushes{t: t, f: f, size: 100}
}

func synced(*os.File) error { return nil }

func (p *pushes) file(n int, name string) string {
	return filepath.Join(p.f.dir, fmt.Sprintf("a/%d", n), name)
}

func (p *pushes) content(n int) []byte { return bytes.Repeat([]byte{'0' + byte(n%10)}, p.size) }

func (p *pushes) name(n int) []byte { return append([]byte(fmt.Sprint(n)), p.content(n)...) }

// push fails the test where what is stored then is not what was pushed.
func (p *pushes) push() {
	p.t.Helper()
	p.n++
	batch := aBatch(fmt.Sprint(p.n), p.rev)
	for i := range batch.Create {
		batch.Create[i].Data = p.content(p.n)
	}
	batch.Put.Data = p.name(p.n)
	if p.n > 1 {
		batch.Drop = []string{fmt.Sprintf("a/%d/x", p.n-1), fmt.Sprintf("a/%d/y", p.n-1)}
	}
	var err error
	if p.rev, err = p.f.Apply(p.t.Context(), batch); err != nil {
		p.t.Fatalf("push %d: %v", p.n, err)
	}
	for _, object := range append(batch.Create, batch.Put) {
		if got, _, err := p.f.Get(p.t.Context(), object.Key); err != nil || !bytes.Equal(got, object.Data) {
			p.t.Fatalf("push %d: %s is %.20q, %v", p.n, object.Key, got, err)
		}
	}
	for _, key := range batch.Drop {
		if holds(p.t, p.f, key) {
			p.t.Fatalf("push %d: %s is still there", p.n, key)
		}
	}
}

func number(t *testing.T, file string) uint64 {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

// What the second push drops the fourth writes over: it is durable by the third that
// it has another name. What it puts another in place of the third does.
func TestSparesAreWrittenAnew(t *testing.T) {
	p := pushInto(t, open(t, t.TempDir()))
	p.push()
	first, firstName := number(t, p.file(1, "x")), number(t, filepath.Join(p.f.dir, "a/name"))
	p.push()
	if got := number(t, p.file(2, "x")); got == first {
		t.Fatal("the second wrote over what was stored")
	}
	p.push()
	switch number(t, p.file(3, "x")) {
	case first:
		t.Fatal("the third wrote over what might have its old name yet after a loss of power")
	case firstName:
	default:
		t.Error("the third has not written over what the second has put another name in place of")
	}
	p.size = 10 // shorter than what was there
	p.push()
	if number(t, p.file(4, "x")) != first {
		t.Error("the fourth has not written over what the second has dropped")
	}
	p.size = 1000
	for range 5 {
		p.push()
	}
}

// A guardian that starts on the directory while another pushes removes spares, and
// nothing that one was used for.
func TestSweepSparesWhatIsUsed(t *testing.T) {
	f := open(t, t.TempDir())
	p := pushInto(t, f)
	name := filepath.Join(f.dir, "a/name")
	p.push()
	p.push()
	second := number(t, name)
	p.push()
	f.writer.whole.syncfs = func(*os.File) error { return sweepTemporary(f.root) }
	p.push()
	if number(t, name) != second {
		t.Error("the fourth has not written over what the third has replaced")
	}
	for range 3 {
		p.push()
	}
}

// What was replaced is renamed, to be told from what has the name: on XFS it is not
// changed by an exchange of names.
func TestReplacedIsRenamed(t *testing.T) {
	f := open(t, t.TempDir())
	p := pushInto(t, f)
	p.push()
	first := number(t, filepath.Join(f.dir, "a/name"))
	p.push()
	found := false
	for _, name := range temporaries(t, f.dir) {
		if !isSpare(name) {
			t.Errorf("%s was not renamed", name)
		}
		found = found || number(t, filepath.Join(f.dir, tempDir, name)) == first
	}
	if !found {
		t.Error("what was replaced is no spare")
	}
}

// It is kept, or removed, also where the call ends before the push does.
func TestReplacedIsNotLeft(t *testing.T) {
	f := open(t, t.TempDir())
	p := pushInto(t, f)
	p.push()
	ctx, cancel := context.WithCancel(t.Context())
	f.writer.tree.here = endsWith{f.writer.tree.here, func() {
		if got, err := os.ReadFile(filepath.Join(f.dir, "a/name")); err == nil && string(got) == "2" {
			cancel() // in the exchange
		}
	}}
	if _, err := f.Apply(ctx, aBatch("2", p.rev, "a/1/x", "a/1/y")); !errors.Is(err, context.Canceled) {
		t.Fatalf("Apply = %v", err)
	}
	f.writer.spares.end()
	for deadline := time.Now().Add(10 * time.Second); len(temporaries(t, f.dir)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left in .tmp: %q", temporaries(t, f.dir))
		}
	}
}

// endsWith calls ended after each use of a connection.
type endsWith struct {
	syscall.RawConn
	ended func()
}

func (e endsWith) Control(use func(fd uintptr)) error {
	defer e.ended()
	return e.RawConn.Control(use)
}

// A spare does for an object in directories that are not there yet, too.
func TestSpareForAnother(t *testing.T) {
	f := open(t, t.TempDir())
	p := pushInto(t, f)
	p.push()
	first := number(t, p.file(1, "x"))
	p.push()
	p.push()
	_, err := f.Apply(t.Context(), backend.Batch{
		Create: []backend.Object{{Key: "b/c/1/y", Data: []byte("y")}, {Key: "b/c/1/x", Data: []byte("x")}},
		Put:    backend.Object{Key: "b/c/name"},
	})
	must(t, err)
	if number(t, filepath.Join(f.dir, "b/c/1/y")) != first {
		t.Error("it was not used")
	}
	if x, y := contentAt(t, filepath.Join(f.dir, "b/c/1/x")), contentAt(t, filepath.Join(f.dir, "b/c/1/y")); string(x) != "x" || string(y) != "y" {
		t.Errorf("x is %q, y is %q", x, y)
	}
}

// Spares do for objects in several directories, and right below the root, where
// directories stay.
func TestSparesInAnyDirectory(t *testing.T) {
	for _, keys := range [][]string{{"b/1/x", "b/2/y"}, {"b/x", "b/y"}} {
		p := pushInto(t, open(t, t.TempDir()))
		for range 3 {
			p.push()
		}
		first, err := p.f.Apply(t.Context(), backend.Batch{
			Create: []backend.Object{{Key: keys[0], Data: []byte("x")}, {Key: keys[1], Data: []byte("y")}},
			Put:    backend.Object{Key: "c/name"},
		})
		must(t, err)
		if !holds(t, p.f, keys[0]) || !holds(t, p.f, keys[1]) {
			t.Fatalf("%q are not all there", keys)
		}
		batch := aBatch("last", backend.Revision{}, keys...)
		batch.Put.Key, batch.Rev = "c/name", first
		_, err = p.f.Apply(t.Context(), batch)
		must(t, err)
		if _, err := os.Stat(filepath.Join(p.f.dir, "b")); holds(t, p.f, keys[0]) || holds(t, p.f, keys[1]) || err != nil && path.Dir(keys[0]) == "b" {
			t.Errorf("%q: something is left, or too little: %v", keys, err)
		}
	}
}

// A directory of a name that is to be dropped is no object, nor is a link.
func TestOnlyFilesAreSpares(t *testing.T) {
	p := pushInto(t, open(t, t.TempDir()))
	p.push()
	put(t, p.f, "b/dir/x")
	must(t, os.Symlink("dir/x", filepath.Join(p.f.dir, "b/link")))
	_, err := p.f.Apply(t.Context(), aBatch("2", p.rev, "b/dir", "b/link"))
	must(t, err)
	if !holds(t, p.f, "b/dir/x") {
		t.Error("a directory was dropped")
	}
	if got := temporaries(t, p.f.dir); len(got) != 1 { // what had the name
		t.Errorf("%q are in .tmp", got)
	}
}

// Nothing is left of a batch that wrote over spares and could not be made durable.
func TestFailedBatchOverSparesLeavesNothing(t *testing.T) {
	p := pushInto(t, open(t, t.TempDir()))
	for range 3 {
		p.push()
	}
	p.f.writer.whole.syncfs = func(*os.File) error { return syscall.EIO }
	p.f.writer.syncFile = func(*os.File) error { return syscall.ENOSPC }
	if _, err := p.f.Apply(t.Context(), aBatch("4", p.rev)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if holds(t, p.f, "a/4/x") || holds(t, p.f, "a/4/y") || !holds(t, p.f, "a/3/x") {
		t.Error("something of it is left, or something before it is not")
	}
}

// Bytes that somebody reads, or has made a link to, stay as they are.
func TestWhatIsReadIsNotWrittenAnew(t *testing.T) {
	for what, hold := range map[string]func(t *testing.T, file string) (now func() []byte){
		"read": func(t *testing.T, file string) func() []byte {
			opened, err := os.Open(file)
			must(t, err)
			t.Cleanup(func() { _ = opened.Close() })
			return func() []byte { return contentOf(t, opened) }
		},
		"linked": func(t *testing.T, file string) func() []byte {
			link := filepath.Join(t.TempDir(), "link")
			must(t, os.Link(file, link))
			return func() []byte { return contentAt(t, link) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := pushInto(t, open(t, t.TempDir()))
			for range 4 {
				p.push()
				was := p.n
				share, name := hold(t, p.file(was, "y")), hold(t, filepath.Join(p.f.dir, "a/name"))
				for range 5 {
					p.push()
				}
				if got := share(); !bytes.Equal(got, p.content(was)) {
					t.Errorf("share of %d is %.20q now", was, got)
				}
				if got := name(); !bytes.Equal(got, p.name(was)) {
					t.Errorf("name of %d is %.20q now", was, got)
				}
			}
		})
	}
}

func contentOf(t *testing.T, file *os.File) []byte {
	t.Helper()
	data := make([]byte, 4096)
	n, err := file.Read(data)
	must(t, err)
	return data[:n]
}

func contentAt(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return data
}

// What a failed syncfs may have lost the next one does not make durable.
func TestSpareOfBeforeAFailureIsNeverUsed(t *testing.T) {
	p := pushInto(t, open(t, t.TempDir()))
	p.push()
	first := number(t, p.file(1, "x"))
	p.push()
	p.f.writer.whole.syncfs = func(*os.File) error { return syscall.EIO }
	p.push()
	p.f.writer.whole.syncfs = synced
	p.f.writer.whole.pause.Store(new(time.Time))
	keep, err := os.Open(filepath.Join(p.f.dir, tempDir)) // the number stays taken
	must(t, err)
	defer keep.Close()
	for range 4 {
		p.push()
		if number(t, p.file(p.n, "x")) == first {
			t.Fatalf("push %d has used it", p.n)
		}
	}
}

// Nor is the one that was replaced, where a syncfs since then failed.
func TestReplacedBeforeAFailureIsNeverUsed(t *testing.T) {
	fail := func(*os.File) error { return syscall.EIO }
	for name, failing := range map[string]func(f *FS){
		"its own": func(f *FS) {
			calls := 0
			f.writer.whole.syncfs = func(root *os.File) error {
				if calls++; calls == 2 {
					return fail(root)
				}
				return nil
			}
		},
		"another's, before it was set aside": func(f *FS) {
			whole, here, done := f.writer.whole, f.tree.here, false
			f.tree.here = endsWith{here, func() {
				if !done && bytes.HasPrefix(contentAt(t, filepath.Join(f.dir, "a/name")), []byte("2")) {
					done = true
					whole.syncfs = fail
					_ = whole.run()
					whole.syncfs = synced
				}
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pushInto(t, open(t, t.TempDir()))
			name := filepath.Join(p.f.dir, "a/name")
			p.push()
			first := number(t, name)
			failing(p.f)
			p.push()
			p.f.writer.whole.syncfs = synced
			for range 4 {
				p.f.writer.whole.pause.Store(new(time.Time))
				p.push()
				for _, file := range []string{p.file(p.n, "x"), p.file(p.n, "y"), name} {
					if number(t, file) == first {
						t.Fatalf("push %d has used it for %s", p.n, file)
					}
				}
			}
		})
	}
}

func TestWhatIsNoSpare(t *testing.T) {
	for name, test := range map[string]struct {
		size  int
		plant string
		set   func(*FS)
		want  int // that are left in .tmp
	}{
		"small":          {100, "", together, 3}, // the objects, and what had the name
		"large":          {maxSpareSize + 1, "", together, 0},
		"not alone":      {100, "a/1/other", together, 3},
		"without syncfs": {100, "", apart, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := pushInto(t, open(t, t.TempDir()))
			test.set(p.f)
			p.size = test.size
			p.push()
			if test.plant != "" {
				plant(t, p.f.dir, test.plant, "kept")
			}
			p.push()
			if got := temporaries(t, p.f.dir); len(got) != test.want {
				t.Errorf("%q are left, want %d", got, test.want)
			}
			if test.plant != "" && string(contentAt(t, filepath.Join(p.f.dir, test.plant))) != "kept" {
				t.Errorf("%s has changed", test.plant)
			}
		})
	}
}

// What was dropped is gone after a second, with the storage closed, and at once where
// a batch only drops.
func TestSparesAreRemoved(t *testing.T) {
	f := open(t, t.TempDir())
	p := pushInto(t, f)
	for range 3 {
		p.push()
	}
	_, err := f.Apply(t.Context(), backend.Batch{
		Put: backend.Object{Key: "a/name", Data: []byte("deleted")}, Rev: p.rev, Drop: []string{"a/3/x", "a/3/y"},
	})
	must(t, err)
	left, err := filepath.Glob(filepath.Join(f.dir, tempDir, "*"))
	must(t, err)
	if len(left) == 0 {
		t.Error("there is no spare")
	}
	for _, name := range left {
		if bytes.Equal(contentAt(t, name), p.content(3)) {
			t.Error("what was deleted is still there")
		}
	}

	f = open(t, t.TempDir())
	p = pushInto(t, f)
	f.writer.spares.rest = 100 * time.Millisecond
	for range 3 {
		p.push()
	}
	for deadline := time.Now().Add(30 * time.Second); len(temporaries(t, f.dir)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q are left", temporaries(t, f.dir))
		}
	}

	f = open(t, t.TempDir())
	p = pushInto(t, f)
	for range 3 {
		p.push()
	}
	f.writer.spares.end()
	if got := temporaries(t, f.dir); len(got) > 0 {
		t.Errorf("%q are left at the end", got)
	}
	p.push()
	if got := temporaries(t, f.dir); len(got) > 0 {
		t.Errorf("%q are left after it", got)
	}
}

func TestSparesAreBounded(t *testing.T) {
	removed := 0
	s := newSpares(newWhole(nil), func(string) { removed++ })
	for i := range maxSpares + 10 {
		s.keep(fmt.Sprint(i), s.whole.now(0))
	}
	if len(s.kept) != maxSpares || removed != 10 || s.kept[0].name != "10" {
		t.Errorf("%d are kept from %s on, %d removed", len(s.kept), s.kept[0].name, removed)
	}
	s.end()
	if removed != maxSpares+10 {
		t.Errorf("%d removed at the end", removed)
	}
}

// Another process that opens the storage, or somebody who tidies, takes spares away; so
// do those of a process that died go.
func TestSparesThatAreGone(t *testing.T) {
	for name, take := range map[string]func(t *testing.T, dir string){
		"by another": func(t *testing.T, dir string) { open(t, dir) },
		"by hand":    func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, tempDir))) },
		"in part": func(t *testing.T, dir string) {
			found := temporaries(t, dir)
			if len(found) < 4 {
				t.Errorf("there are only %q", found)
			}
			for i := 0; i < len(found); i += 2 {
				must(t, os.Remove(filepath.Join(dir, tempDir, found[i])))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pushInto(t, open(t, t.TempDir()))
			for range 4 {
				p.push()
			}
			take(t, p.f.dir)
			for range 4 {
				p.push()
			}
		})
	}
	dir := t.TempDir()
	plant(t, dir, tempDir+"/"+sparePrefix+"dead", "x")
	open(t, dir)
	if got := temporaries(t, dir); len(got) > 0 {
		t.Errorf("%q are left of a process that died", got)
	}
}

// Who reads while others push gets what was stored under that name, whole, at some time
// meanwhile, in whichever way paths are looked up.
func TestReadersOfSparesSeeNothingElse(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	together(f)
	f.writer.whole.syncfs = synced
	walking := open(t, dir)
	walking.tree.walks = true
	const slots, writers = 3, 6
	var over atomic.Bool
	var done, read atomic.Int64
	var group, reading sync.WaitGroup
	value := func(slot, n int) []byte {
		return bytes.Repeat(fmt.Appendf(nil, "%d:%d;", slot, n), 1+n%50)
	}
	numberOf := func(data []byte) (n int) {
		first, _, _ := strings.Cut(string(data), ";")
		_, _ = fmt.Sscanf(first, "%d:%d", new(int), &n) // 0 of what is unsound
		return n
	}
	for slot := range slots {
		for _, reader := range []*FS{f, f, walking} {
			reading.Go(func() {
				for !over.Load() {
					data, _, err := reader.Get(t.Context(), fmt.Sprintf("s/%d/name", slot))
					if errors.Is(err, backend.ErrNotFound) {
						continue
					}
					n := numberOf(data)
					if err != nil || !bytes.Equal(data, value(slot, n)) {
						t.Errorf("name of %d: %.40q, %v", slot, data, err)
						return
					}
					x, _, err := reader.Get(t.Context(), fmt.Sprintf("s/%d/%d-%d/x", slot, n%writers, n/writers))
					if err == nil && !bytes.Equal(x, value(slot, n/writers)) {
						t.Errorf("x of %d: %.40q", slot, x)
						return
					}
					if err == nil {
						read.Add(1)
					}
				}
			})
		}
	}
	for writer := range writers {
		group.Go(func() {
			slot := writer % slots
			for n := range 150 {
				key := fmt.Sprintf("s/%d/name", slot)
				_, rev, err := f.Get(t.Context(), key)
				if err != nil && !errors.Is(err, backend.ErrNotFound) {
					t.Error(err)
					return
				}
				gen := fmt.Sprintf("s/%d/%d-%d", slot, writer, n)
				_, err = f.Apply(t.Context(), backend.Batch{
					Create: []backend.Object{{Key: gen + "/x", Data: value(slot, n)}, {Key: gen + "/y", Data: value(slot, n+1)}},
					Put:    backend.Object{Key: key, Data: value(slot, n*writers+writer)}, Rev: rev,
					Drop: []string{fmt.Sprintf("s/%d/%d-%d/x", slot, writer, n-1), fmt.Sprintf("s/%d/%d-%d/y", slot, writer, n-1)},
				})
				if err == nil {
					done.Add(1)
					if got, _, err := f.Get(t.Context(), gen+"/x"); err != nil || !bytes.Equal(got, value(slot, n)) {
						t.Errorf("%s/x: %.40q, %v", gen, got, err)
					}
				} else if !errors.Is(err, backend.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	over.Store(true)
	reading.Wait()
	if done.Load() < 100 || read.Load() < 100 {
		t.Errorf("only %d pushes and %d reads went through", done.Load(), read.Load())
	}
}

func TestIsNamed(t *testing.T) {
	f := open(t, t.TempDir())
	put(t, f, "a/x")
	var was unix.Stat_t
	must(t, unix.Stat(filepath.Join(f.dir, "a/x"), &was))
	isNamed := func() (named bool) {
		must(t, f.tree.either(
			func(b beneath) (err error) { named, err = b.isNamed(&was, "a/x"); return err },
			func() error { return errors.New("paths are not looked up in one step") },
		))
		return named
	}
	if !isNamed() {
		t.Error("it has not its own name")
	}
	must(t, os.Rename(filepath.Join(f.dir, "a/x"), filepath.Join(f.dir, "a/y")))
	if isNamed() {
		t.Error("it has a name that nothing has")
	}
	put(t, f, "a/x")
	if isNamed() {
		t.Error("it has another's name")
	}
}

func TestChangedSince(t *testing.T) {
	f := open(t, t.TempDir())
	before := time.Now().Add(-clockSlack)
	put(t, f, "x")
	file, err := f.tree.open("x")
	must(t, err)
	defer file.Close()
	if d := file.(descriptor); !d.changedSince(before) || d.changedSince(time.Now().Add(clockSlack)) {
		t.Errorf("it was changed at %v", d.stat.Ctim)
	}
}

// A clock that is set back makes what was changed look old.
func TestSetBack(t *testing.T) {
	if setBackSince(time.Now()) {
		t.Error("nobody set it back")
	}
	for wall, want := range map[time.Duration]bool{time.Second: false, 0: true, -time.Hour: true, time.Hour: false} {
		if got := setBack(time.Second, wall); got != want {
			t.Errorf("a second in which the clock went on by %v: %t", wall, got)
		}
	}
}

// A file that others may read, or somebody else owns, is not made one of ours.
func TestModeIsNotTaken(t *testing.T) {
	p := pushInto(t, open(t, t.TempDir()))
	p.push()
	must(t, os.Chmod(p.file(1, "x"), 0o644))
	must(t, os.Chmod(filepath.Join(p.f.dir, "a/name"), 0o644))
	for range 4 {
		p.push()
		for _, file := range []string{p.file(p.n, "x"), p.file(p.n, "y"), filepath.Join(p.f.dir, "a/name")} {
			if info, err := os.Stat(file); p.n > 2 && (err != nil || info.Mode() != fileMode) {
				t.Errorf("push %d: %s has mode %v, %v", p.n, file, info.Mode(), err)
			}
		}
	}
}

// A lease is waited for, and changes nothing for good.
func TestLeased(t *testing.T) {
	f := open(t, t.TempDir())
	put(t, f, "a/x")
	file, err := os.OpenFile(filepath.Join(f.dir, "a/x"), os.O_WRONLY, 0)
	must(t, err)
	defer file.Close()
	fd, ended := int(file.Fd()), make(chan struct{})
	must(t, lease(fd, unix.F_WRLCK))
	time.AfterFunc(10*time.Millisecond, func() { defer close(ended); _ = lease(fd, unix.F_UNLCK) })
	defer func() { <-ended }()
	if !holds(t, f, "a/x") || f.tree.walks {
		t.Errorf("it is not found, or paths are looked up in another way since: %t", f.tree.walks)
	}
}
