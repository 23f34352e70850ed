package guardian

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	backendfs "github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/integrity"
)

// dropped are names that an operator may give to a file.
var dropped = []string{
	"inbox/-", "inbox/2026-11-21.txt", "inbox/Lost_And.Found", "inbox/all.key", "inbox/checksum.bin",
	"inbox/deep/er/version", "inbox/share.bin", "inbox/version", "inbox/" + strings.Repeat("x", 200),
}

func openDirectory(t *testing.T, dir string) backend.Backend {
	t.Helper()
	store, err := backendfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// What an operator drops into the directory is found by the queue, as it is.
func TestQueueInADirectory(t *testing.T) {
	dir := t.TempDir()
	n := openNode(t, openDirectory(t, dir))
	for _, name := range dropped {
		path := filepath.Join(dir, "queue", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("of "+name), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".hidden", "with space", "caf\u00e9.txt", "list.txt~"} {
		if err := os.WriteFile(filepath.Join(dir, "queue/inbox", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantDropped(t, n)
}

// The same with objects that another client of the bucket has put.
func TestQueueInABucket(t *testing.T) {
	server := s3test.Versity(t)
	for _, variable := range server.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	bucket := server.NewBucket(t)
	open := func(prefix string) backend.Backend {
		store, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	n := openNode(t, open("nodes/n1"))
	root := open("nodes")
	for _, name := range dropped {
		put(t, root, "n1/queue/"+name, []byte("of "+name))
	}
	put(t, root, "n2/queue/inbox/others", nil)
	wantDropped(t, n)
}

// wantDropped: the queue lists, reads and removes what was dropped, and nothing
// else of the node is confused by it.
func wantDropped(t *testing.T, n *Node) {
	t.Helper()
	mustPush(t, n, slotOf("ab"), 1, "share")
	settle(t, n)
	queue := n.Queue()
	list := func() (keys []string) {
		for entry, err := range queue.List(t.Context(), "inbox/", "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, entry.Key)
		}
		return keys
	}
	if got, want := list(), slices.Sorted(slices.Values(dropped)); !slices.Equal(got, want) {
		t.Errorf("the inbox holds %q, want %q", got, want)
	}
	unconfused(t, n)
	for _, key := range list() {
		data, rev, err := queue.Get(t.Context(), key)
		if err != nil || string(data) != "of "+key {
			t.Fatalf("%s is %q, %v", key, data, err)
		}
		if err := queue.Delete(t.Context(), key, rev); err != nil {
			t.Error(err)
		}
	}
	if got := list(); got != nil {
		t.Errorf("%q are left", got)
	}
	unconfused(t, n)
	if err := queue.Close(); err != nil {
		t.Error(err)
	}
	wantPull(t, n, slotOf("ab"), 1, "share")
}

// unconfused: every walk over the storage finds the one share, and no more.
func unconfused(t *testing.T, n *Node) {
	t.Helper()
	if found, err := n.pass(t.Context()); err != nil || found != (tally{live: 1}) {
		t.Errorf("pass: %+v, %v", found, err)
	}
	visited := 0
	if err := n.Walk(t.Context(), Slot{}, func(Examined) error { visited++; return nil }); err != nil || visited != 1 {
		t.Errorf("walk: %d, %v", visited, err)
	}
	for slot, err := range n.Slots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Rekey(t.Context(), slot); err != nil {
			t.Error(err)
		}
		if _, err := n.CopyTo(t.Context(), openNode(t, backendtest.NewMemory()), slot); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.RekeyCanary(t.Context()); err != nil {
		t.Error(err)
	}
	if err := n.VerifyAll(t.Context()); err != nil {
		t.Error(err)
	}
	if empty, err := Empty(t.Context(), n.store); err != nil || empty {
		t.Errorf("empty: %v, %v", empty, err)
	}
}

// Work that waits is nothing of a node: a key may still be made, and once there
// is one no other opens it.
func TestQueueBeforeTheFirstStart(t *testing.T) {
	for name, test := range map[string]struct {
		keys  []string
		empty bool
	}{
		"nothing":          {nil, true},
		"a file":           {[]string{"queue/inbox/list"}, true},
		"many":             {[]string{"queue/inbox/list", "queue/inbox/more", "queue/scrub/progress"}, true},
		"a queue by name":  {[]string{"queue-inbox/list"}, false},
		"an object queue":  {[]string{"queue"}, false},
		"a share behind":   {[]string{"queue/inbox/list", "shares/x"}, false},
		"audit before":     {[]string{"audit/1", "queue/inbox/list"}, false},
		"vault far behind": {[]string{"queue/inbox/list", "vaults/a/b/version"}, false},
	} {
		store := backendtest.NewMemory()
		for _, key := range test.keys {
			put(t, store, key, []byte("x"))
		}
		if empty, err := Empty(t.Context(), store); err != nil || empty != test.empty {
			t.Errorf("%s: empty %v, %v", name, empty, err)
		}
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "queue/inbox"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "queue/inbox/list"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := openDirectory(t, dir)
	if empty, err := Empty(t.Context(), store); err != nil || !empty {
		t.Errorf("a directory with a queue: empty %v, %v", empty, err)
	}
	openNode(t, store)
	if _, err := Open(t.Context(), store, sealerWith(t, "k9"), Config{Retain: 2, Logger: quiet}); !errors.Is(err, integrity.ErrKeyRefused) {
		t.Errorf("another key: %v", err)
	}
}
