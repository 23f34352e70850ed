package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/repair"
)

// newStorage is for the release that changes what is stored:
//
//	go test ./cmd/guardian -run TestStoredFormats -new-storage v0.2.0
//
// What was written once is never written again: it is what users have.
var newStorage = flag.String("new-storage", "", "first write testdata/storage-`NAME`, with this build")

// What the storages of testdata hold, beside a secret that was moved once: on each
// guardian a share without owner in three versions, a tombstone, and a named secret.
var (
	keptBare    = strings.Repeat("ab", 32)
	keptDeleted = strings.Repeat("cd", 32)
)

const (
	keptGuardians = 4
	keptName      = "monday"
	keptSecret    = "The key is under the third stone."
	deletedAt     = 5
)

func bareShare(n *neighbour, version uint64) string {
	return fmt.Sprintf("\x01version %d at %s", version, n.id)
}

// TestStoredFormats starts this build on storages that earlier ones have written,
// integrity keys and registry included.
func TestStoredFormats(t *testing.T) {
	t.Parallel()
	if *newStorage != "" {
		writeStorage(t, filepath.Join("testdata", "storage-"+*newStorage))
	}
	all, err := filepath.Glob("testdata/storage-*")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, dir := range all {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			l := keptLeague(t)
			l.take(t, dir)
			l.startAll(t)
			l.allSee(t, l.states(nobody, ""))
			l.wantKept(t)
			l.wantSoundScrubs(t)
			l.wantGoesOn(t)
			l.wantCleanEnd(t)
		})
	}
}

func keptLeague(t *testing.T) *league {
	t.Helper()
	l := makeLeague(t, keptGuardians)
	l.secret = []byte(keptSecret)
	return l
}

// parts are the directories of a storage in testdata, and where they are in use.
func (l *league) parts() map[string]string {
	registry := l.environ[indexOf(l.environ, "GUARDIAN_REGISTRY=")]
	parts := map[string]string{"registry": strings.TrimPrefix(registry, "GUARDIAN_REGISTRY=")}
	for _, n := range l.all {
		parts[n.id] = filepath.Join(l.dir, n.id)
	}
	return parts
}

// take puts a copy of what was written once under the guardians.
func (l *league) take(t *testing.T, dir string) {
	t.Helper()
	for name, path := range l.parts() {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(path, os.DirFS(filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
}

func writeStorage(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil { // never over another
		t.Fatal(err)
	}
	l := keptLeague(t)
	l.begin(t, keptGuardians)
	l.move(t, 0, "{}")
	l.wantConsistent(t, everyone(keptGuardians)...)
	if _, err := l.named(t).Store(t.Context(), l.identity, l.secret); err != nil {
		t.Fatal(err)
	}
	for _, n := range l.all {
		for version := range uint64(3) {
			must(t, n.bare(t).Push(t.Context(), barePush(keptBare, bareShare(n, version+1), version+1)))
		}
		must(t, n.bare(t).Push(t.Context(), barePush(keptDeleted, "\x01gone", deletedAt)))
		version := uint64(deletedAt)
		must(t, n.bare(t).Delete(t.Context(), api.DeleteRequest{Identity: keptDeleted, Version: &version}))
	}
	l.wantSoundScrubs(t)
	l.wantCleanEnd(t)
	for name, path := range l.parts() {
		must(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(path)))
		for _, ours := range []string{".locks", ".tmp"} { // of processes, not of the storage
			must(t, os.RemoveAll(filepath.Join(dir, name, ours)))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bare speaks to a guardian as nobody.
func (n *neighbour) bare(t *testing.T) *client.Guardian {
	t.Helper()
	g, err := client.New("http://"+n.address, "")
	must(t, err)
	return g
}

// named is the vault of the secret that has a name.
func (l *league) named(t *testing.T) *client.Vault {
	t.Helper()
	vault, err := l.vaultOf(everyone(keptGuardians), client.WithName(keptName))
	must(t, err)
	return vault
}

func barePush(identity, share string, version uint64) api.PushRequest {
	return api.PushRequest{Identity: identity, Share: base64.StdEncoding.EncodeToString([]byte(share)), Version: &version}
}

// wantKept reads all that was stored.
func (l *league) wantKept(t *testing.T) {
	t.Helper()
	vault, err := l.vaultOf(everyone(keptGuardians))
	must(t, err)
	for what, v := range map[string]*client.Vault{"moved": vault, "named": l.named(t)} {
		got, report, err := v.Pull(t.Context(), l.identity)
		if err != nil || string(got) != keptSecret {
			t.Fatalf("the %s secret is %q, %+v, %v", what, got, report, err)
		}
		if what == "moved" {
			l.version = report.Version
		}
	}
	for i, n := range l.all {
		if _, epoch, err := l.shown(i); err != nil || epoch == 0 {
			t.Errorf("%s shows epoch %d, %v", n.id, epoch, err)
		}
		for _, version := range []uint64{2, 3} {
			got, err := n.bare(t).Pull(t.Context(), api.PullRequest{Identity: keptBare, Version: &version})
			if share, _ := base64.StdEncoding.DecodeString(got.Share); err != nil || string(share) != bareShare(n, version) {
				t.Errorf("%s shows version %d as %q, %v", n.id, version, share, err)
			}
		}
		if _, err := n.bare(t).Pull(t.Context(), api.PullRequest{Identity: keptDeleted}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%s shows what was deleted: %v", n.id, err)
		}
	}
}

// wantSoundScrubs has each scrub all, and nothing be wrong with any of it.
func (l *league) wantSoundScrubs(t *testing.T) {
	t.Helper()
	for _, n := range l.all {
		before := n.scrub(t).Last.FinishedNS
		asksAdmin[repair.ScrubProgress](t, n, http.MethodPost, "/admin/scrub", "")
		l.until(t, n.id+" has scrubbed", func() bool { return n.scrub(t).Last.FinishedNS > before })
		r := n.scrub(t).Last
		if r.Good != 3 || r.Deleted != 1 || r.Corrupt+r.Missing+r.Unreadable+r.Stale+r.Lacking+r.Orphaned != 0 {
			t.Errorf("%s has found %+v", n.id, r)
		}
		if status := ask[api.StatusResponse](n, api.RouteStatus); status.Quarantined != 0 {
			t.Errorf("%d are in quarantine at %s", status.Quarantined, n.id)
		}
		for _, what := range []string{"integrity check failed", "canary was missing", "level=ERROR"} {
			if lines := n.logged(what); lines != nil {
				t.Errorf("%s logs %s", n.id, lines)
			}
		}
	}
}

// wantGoesOn writes over all that was stored: versions do not go back, and shares
// are moved on.
func (l *league) wantGoesOn(t *testing.T) {
	t.Helper()
	for _, n := range l.all {
		for identity, current := range map[string]uint64{keptBare: 3, keptDeleted: deletedAt} {
			err := n.bare(t).Push(t.Context(), barePush(identity, "\x01old", current))
			if !errors.Is(err, api.ErrVersionConflict) {
				t.Errorf("%s takes version %d again: %v", n.id, current, err)
			}
			must(t, n.bare(t).Push(t.Context(), barePush(identity, "\x01new", current+1)))
		}
	}
	l.move(t, 1, fmt.Sprintf(`{"slots":[{"identity":%q}]}`, l.identity))
	l.wantConsistent(t, everyone(keptGuardians)...)
	vault, err := l.vaultOf(everyone(keptGuardians))
	must(t, err)
	for _, v := range []*client.Vault{vault, l.named(t)} {
		for deadline := time.Now().Add(movePatience); ; time.Sleep(time.Second) { // a round may be under way
			if _, err = v.Store(t.Context(), l.identity, []byte("a new one")); err == nil || time.Now().After(deadline) {
				break
			}
		}
		must(t, err)
		if got, _, err := v.Pull(t.Context(), l.identity); err != nil || string(got) != "a new one" {
			t.Errorf("what was stored anew is %q, %v", got, err)
		}
	}
}
