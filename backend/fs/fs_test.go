package fs

import (
	"context"
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
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Opener {
		dir := t.TempDir()
		return func(t *testing.T) backend.Backend {
			f, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	})
}

func open(t *testing.T, dir string) *FS {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return f
}

func put(t *testing.T, f *FS, key string) {
	t.Helper()
	if _, err := f.Put(t.Context(), key, []byte("at "+key), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, f *FS, key string) {
	t.Helper()
	if err := f.Delete(t.Context(), key, backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, f *FS, key string) bool {
	t.Helper()
	_, _, err := f.Get(t.Context(), key)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func listed(t *testing.T, f *FS, prefix, after string) []string {
	t.Helper()
	var keys []string
	for entry, err := range f.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, entry.Key)
	}
	return keys
}

// plant makes a file that no guardian wrote.
func plant(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), fileMode); err != nil {
		t.Fatal(err)
	}
}

func temporaries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(dir, tempDir))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, file := range found {
		names = append(names, file.Name())
	}
	return names
}

func TestModesAreThePrivateOnes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "new", "storage")
	f := open(t, dir)
	put(t, f, "a/b/c")
	staged, err := f.writer.stage([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(filepath.Dir(dir), func(path string, found fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := found.Info()
		want := fs.FileMode(fileMode)
		if found.IsDir() {
			want = fs.ModeDir | dirMode
		}
		if err == nil && info.Mode() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode(), want)
		}
		seen[strings.TrimPrefix(path, dir+"/")] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/c", staged, ".locks/00", ".locks/3f"} {
		if !seen[name] {
			t.Errorf("%s is not there", name)
		}
	}
}

func TestExistingDirectoryKeepsItsMode(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o750 {
		t.Errorf("mode became %v", info.Mode())
	}
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "file", "x")
	for _, name := range []string{"file", "file/below"} {
		if _, err := Open(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("Open(%s) = %v", name, err)
		}
	}
}

func TestOpenRefusesTemporaryDirectoryElsewhere(t *testing.T) {
	for _, name := range []string{tempDir, lockDir} {
		dir, outside := t.TempDir(), t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("Open took a link out of the directory for %s", name)
		}
	}
}

func TestStringIsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if got := open(t, dir).String(); got != dir {
		t.Errorf("String() = %q, want %q", got, dir)
	}
}

func TestLeftoversOfDeadWritersAreRemoved(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	plant(t, dir, tempDir+"/dead", "x")
	plant(t, dir, tempDir+"/alive", "x")
	plant(t, dir, tempDir+"/"+sparePrefix+"directory/x", "somebody's")
	old := time.Now().Add(-tempAge - time.Minute)
	if err := os.Chtimes(filepath.Join(dir, tempDir, "dead"), old, old); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if got := temporaries(t, dir); !slices.Equal(got, []string{"alive", sparePrefix + "directory"}) {
		t.Errorf("temporary files are %q, want those of the last hour, and what is no file", got)
	}
}

func TestNoTemporaryFileIsLeft(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	put(t, f, "a/b")
	for range 3 {
		if _, err := f.Put(t.Context(), "a/b", []byte("x"), backend.Revision{}); !errors.Is(err, backend.ErrConflict) {
			t.Fatal(err)
		}
	}
	if got := temporaries(t, dir); len(got) > 0 {
		t.Errorf("temporary files %q are left", got)
	}
}

func TestForeignFilesAreNotListed(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	put(t, f, "a/object")
	put(t, f, "integrity-canary")
	for _, name := range []string{".tmp/left", ".hidden", "a/.hidden", "a/.dir/x", "integrity.key", "a/with space", "a/caf\u00e9", "b c/x"} {
		plant(t, dir, name, "x")
	}
	if err := os.Symlink("object", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "a", "pipe"), fileMode); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty", "below"), dirMode); err != nil {
		t.Fatal(err)
	}
	if got, want := listed(t, f, "", ""), []string{"a/object", "integrity-canary"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	var segments []string
	for entry, err := range f.ListSegments(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, entry.Key)
	}
	if want := []string{"a/", "integrity-canary"}; !slices.Equal(segments, want) {
		t.Errorf("segments are %q, want %q", segments, want)
	}
}

func TestPipeDoesNotHangAReader(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), fileMode); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := f.Get(ctx, "pipe"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get of a pipe = %v", err)
	}
}

func TestForeignFileTooLarge(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	plant(t, dir, "a", "")
	if err := os.Truncate(filepath.Join(dir, "a"), backend.MaxObjectSize+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Get(t.Context(), "a"); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("Get = %v, want %v", err, backend.ErrTooLarge)
	}
	if _, err := f.Put(t.Context(), "a", nil, backend.Revision{}); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("Put = %v, want %v", err, backend.ErrConflict)
	}
	put(t, f, "a")
	if !holds(t, f, "a") {
		t.Error("unconditional Put did not replace it")
	}
}

func TestReadingGoesByTheSizeAtFirst(t *testing.T) {
	for _, test := range []struct {
		there, want string
		size        int64
	}{{"abc", "abc", 3}, {"longer by now", "lon", 3}, {"ab", "ab", 3}, {"", "", 3}, {"abc", "", 0}} {
		got, err := readAll(strings.NewReader(test.there), test.size)
		if err != nil || string(got.data) != test.want || got.rev != revisionOf([]byte(test.want)) {
			t.Errorf("of %q, once %d bytes, it reads %q, %v", test.there, test.size, got.data, err)
		}
	}
}

func TestLinksDoNotLeadOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	f := open(t, dir)
	plant(t, outside, "target", "secret")
	for link, to := range map[string]string{"out": outside, "file": filepath.Join(outside, "target"), "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"out/target", "file", "up/x"} {
		if data, _, err := f.Get(t.Context(), key); err == nil {
			t.Errorf("Get(%s) = %q", key, data)
		}
	}
	for _, key := range []string{"out/target", "out/new", "up/new"} {
		if _, err := f.Put(t.Context(), key, []byte("x"), backend.AnyRevision); err == nil {
			t.Errorf("Put(%s) went through a link", key)
		}
		if err := f.Delete(t.Context(), key, backend.AnyRevision); err == nil {
			t.Errorf("Delete(%s) went through a link", key)
		}
	}
	if got := listed(t, f, "", ""); len(got) > 0 {
		t.Errorf("listed %q", got)
	}
	put(t, f, "file")
	if data, err := os.ReadFile(filepath.Join(outside, "target")); err != nil || string(data) != "secret" {
		t.Errorf("outside there is now %q, %v", data, err)
	}
}

func TestDeleteRemovesEmptiedDirectories(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	put(t, f, "a/b/c/x")
	put(t, f, "a/b/y")
	remove(t, f, "a/b/c/x")
	if exists("a/b/c") || !exists("a/b/y") {
		t.Error("of a/b/c and a/b, the empty one must go and the other stay")
	}
	remove(t, f, "a/b/y")
	if exists("a/b") || !exists("a") {
		t.Error("of a/b and a, the first-level one must stay")
	}
}

func TestCheck(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"directory gone":     func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"directory moved":    func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")) },
		"directory replaced": func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")); must(t, os.Mkdir(dir, dirMode)) },
		"locks gone":         func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, lockDir))) },
		"locks replaced": func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, lockDir), filepath.Join(dir, ".old")))
			open(t, dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "storage")
			f := open(t, dir)
			must(t, f.Check(t.Context()))
			spoil(t, dir)
			if err := f.Check(t.Context()); err == nil {
				t.Error("Check() = nil")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpenWhereNoDirectoryCanBe: below a link to nowhere, a directory cannot be
// made and cannot be found.
func TestOpenWhereNoDirectoryCanBe(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "absent", "volume"), link); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(filepath.Join(link, "data")); err == nil {
		t.Fatalf("opened %s", f)
	}
}

// TestTemporaryDirectoryIsMadeAgain: somebody who tidies up does not stop the
// writing.
func TestTemporaryDirectoryIsMadeAgain(t *testing.T) {
	f, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.root.RemoveAll(tempDir); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(t.Context(), "a/b", []byte("x"), backend.Revision{}); err != nil {
		t.Fatal(err)
	}
}

// The contract leaves it open whether a conditional Put or an unconditional
// Delete beside it is the last; under one lock it is the Delete, or the Put lost.
func TestUpdateNeverOutlivesDelete(t *testing.T) {
	dir := t.TempDir()
	updating, deleting := open(t, dir), open(t, dir)
	for range 100 {
		rev, err := updating.Put(t.Context(), "x/y/a", []byte("one"), backend.AnyRevision)
		if err != nil {
			t.Fatal(err)
		}
		var racing sync.WaitGroup
		racing.Go(func() { _, _ = updating.Put(t.Context(), "x/y/a", []byte("update"), rev) }) // wins or loses
		if err := deleting.Delete(t.Context(), "x/y/a", backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
		racing.Wait()
		if _, _, err := updating.Get(t.Context(), "x/y/a"); !errors.Is(err, backend.ErrNotFound) {
			t.Fatalf("after a delete: %v", err)
		}
	}
}
