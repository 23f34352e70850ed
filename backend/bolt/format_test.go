package bolt

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// newDatabase is for the release that changes what is stored. What was written
// once is never written again: it is what users have.
var newDatabase = flag.String("new-database", "", "first write testdata/`NAME`.db, with this build")

// TestStoredFormat opens what an earlier build has written, and goes on with it.
func TestStoredFormat(t *testing.T) {
	const written = "testdata/guardian-objects-1.db"
	if *newDatabase != "" {
		writeDatabase(t, "testdata/"+*newDatabase+".db")
	}
	data, err := os.ReadFile(written)
	must(t, err)
	path := newPath(t)
	must(t, os.WriteFile(path, data, fileMode))
	b := opened(t, path)
	for n := range 20 {
		got, rev, err := b.Get(t.Context(), storedKey(n))
		if n%3 == 0 {
			if !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("%s is %q, %v", storedKey(n), got, err)
			}
			continue
		}
		if err != nil || string(got) != storedText(n) || rev != revisionOf(uint64(n+1)) {
			t.Errorf("%s is %q at %v, %v", storedKey(n), got, rev, err)
		}
	}
	for entry, err := range b.List(t.Context(), "shares/", "") {
		if err != nil || entry.ModTime.Year() < 2026 || entry.ModTime.Year() > 2027 {
			t.Errorf("%+v, %v", entry, err)
		}
	}
	now, err := b.Put(t.Context(), storedKey(1), []byte("new"), revisionOf(2))
	if err != nil || now != revisionOf(21) {
		t.Errorf("Put = %v, %v", now, err)
	}
}

func storedKey(n int) string  { return fmt.Sprintf("shares/%02d/version", n) }
func storedText(n int) string { return fmt.Sprintf("text of %d", n) }

func writeDatabase(t *testing.T, path string) {
	t.Helper()
	if Exists(path) { // never over another
		t.Fatalf("%s is there", path)
	}
	b, err := Open(path)
	must(t, err)
	for n := range 20 {
		put(t, b, storedKey(n), storedText(n))
	}
	for n := 0; n < 20; n += 3 {
		must(t, b.Delete(t.Context(), storedKey(n), backend.AnyRevision))
	}
	must(t, b.Close())
}
