package fs

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestWindowsMakeNoDifference(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	var keys []string
	for i := range 7 {
		keys = append(keys, fmt.Sprintf("a/%d", i), fmt.Sprintf("a/%d-/x", i), fmt.Sprintf("a/%d./x", i), fmt.Sprintf("b%d/c/x", i), fmt.Sprintf("b%d/d", i))
	}
	keys = append(keys, "a-/x", "a.")
	for _, key := range keys {
		plant(t, dir, key, "x")
	}
	slices.Sort(keys)
	for _, f.window = range []int{1, 2, 3, 5, len(keys), defaultWindow} {
		for _, prefix := range []string{"", "a", "a/", "a/3", "b3/"} {
			for _, after := range []string{"", "a", "a/3", "a/3-/x", "a/3-0", "b3/", "b3/c/x", "z"} {
				want := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) || key <= after })
				if got := listed(t, f, prefix, after); !slices.Equal(got, want) {
					t.Errorf("window %d: List(%q, %q) = %q, want %q", f.window, prefix, after, got, want)
				}
			}
		}
	}
}

func TestMemoryOfAListingIsTheWindow(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	f.window = 4
	for i := range 100 {
		plant(t, dir, fmt.Sprintf("a/%03d", i), "x")
	}
	w := walk{FS: f, ctx: t.Context()}
	names, err := w.smallest("a/", "a/049")
	if want := []string{"a/050", "a/051", "a/052", "a/053"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("window is %q, %v, want %q", names, err, want)
	}
	if cap(names) > 4*f.window {
		t.Errorf("it takes memory for %d names", cap(names))
	}
}

func TestListingReportsItsError(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	plant(t, dir, "a/x", "x")
	must(t, os.Symlink("a", dir+"/b"))
	must(t, os.Symlink(t.TempDir(), dir+"/out"))
	var errs []error
	for entry, err := range f.List(t.Context(), "out/", "") {
		if err == nil {
			t.Errorf("listed %q outside", entry.Key)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 {
		t.Errorf("errors are %v, want one", errs)
	}
}

func TestListingBrokenOffClosesItsFiles(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for _, key := range []string{"a/b/c/x", "a/b/y", "a/z", "b/x"} {
		plant(t, dir, key, "x")
	}
	before := openFiles(t)
	for range 20 {
		for range f.List(t.Context(), "", "") { //nolint:errcheck // what it yields is not what this is about
			break
		}
		for range f.ListSegments(t.Context(), "", "") { //nolint:errcheck // what it yields is not what this is about
			break
		}
	}
	eventually(t, "closing of all files", func() bool { return openFiles(t) <= before })
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/dev/fd")
	must(t, err)
	return len(files)
}
