package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/guardian"
)

func init() { fetchStall = 10 * time.Second }

// hotGuardian is a real guardian that keeps its shares in one file.
type hotGuardian struct {
	*benched
	storage, keyFile string
}

func startHot(t *testing.T, environ ...string) hotGuardian {
	t.Helper()
	dir := t.TempDir()
	g := hotGuardian{storage: "bolt://" + filepath.Join(dir, "guardian.db"), keyFile: filepath.Join(dir, "integrity.key")}
	g.benched = startBenched(t, append([]string{
		"GUARDIAN_STORAGE=" + g.storage, "GUARDIAN_SERVER_BEARER_TOKEN=", "GUARDIAN_OWNERSHIP=off", "GUARDIAN_UNAUTHENTICATED=true",
	}, environ...)...)
	return g
}

// push stores a version and reports whether it was acknowledged.
func (g hotGuardian) push(identity string, version uint64) error {
	body := fmt.Sprintf(`{"identity":%q,"share":"c2hhcmU=","version":%d}`, identity, version)
	response, err := http.Post(g.url+"/v1/vault/push", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d %s, %w", response.StatusCode, answer, err)
	}
	return nil
}

// said is what its admin plane answers.
func (g hotGuardian) said(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get(g.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// backUp runs the real program, with a directory for temporary files of its own.
func (g hotGuardian) backUp(t *testing.T, kind, to string) (m shownBackup) {
	t.Helper()
	temporary := t.TempDir()
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "backup", kind, "--storage", g.storage, "--admin", g.admin, "--to", to, "--rate", "0", "--json")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || json.Unmarshal(out, &m) != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	wantEmpty(t, temporary)
	return m
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("in %s there are %v, %v", dir, entries, err)
	}
}

const hotIdentities = 40

// load pushes every identity again and again, until stopped, and returns the version
// of each that was acknowledged last.
func (g hotGuardian) load(t *testing.T) (acknowledged *[hotIdentities]atomic.Uint64, stop func()) {
	t.Helper()
	acknowledged = new([hotIdentities]atomic.Uint64)
	ctx, end := context.WithCancel(context.Background())
	var pushing sync.WaitGroup
	const at = 4
	for first := range at {
		pushing.Go(func() {
			for version := uint64(1); ctx.Err() == nil; version++ {
				for i := first; i < hotIdentities; i += at {
					if err := g.push(fmt.Sprintf("%064x", i), version); err != nil {
						t.Error(err)
						return
					}
					acknowledged[i].Store(version)
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { end(); pushing.Wait() })
	t.Cleanup(stop)
	return acknowledged, stop
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: not within a minute", what)
		}
	}
}

// TestHotBackup backs up a guardian on a file that runs and is pushed to: what is
// restored is no older than what was acknowledged before the backup began, and the
// guardian knows of it.
func TestHotBackup(t *testing.T) {
	t.Parallel()
	g := startHot(t)
	acknowledged, stop := g.load(t)
	kept := filepath.Join(t.TempDir(), "kept")
	for round, kind := range []string{"full", "incremental", "incremental"} {
		await(t, "pushes", func() bool { return acknowledged[hotIdentities-1].Load() > uint64(round) })
		var before [hotIdentities]uint64
		for i := range acknowledged {
			before[i] = acknowledged[i].Load()
		}
		m := g.backUp(t, kind, kept)
		if m.Kind != kind || m.Damaged > 0 || m.Identities == 0 {
			t.Errorf("%+v", m)
		}
		if said := g.said(t, "/admin/backup"); !strings.Contains(said, m.ID) {
			t.Errorf("%s, but the guardian knows of %s", m.ID, said)
		}
		g.wantAtLeast(t, kept, m.ID, before)
	}
	stop()
	if said := g.said(t, "/metrics"); !strings.Contains(said, "\nguardian_backup_last_success_timestamp_seconds 1.") {
		t.Error("it has no metric of its last backup")
	}
	guardianctl(t, exitOK, "backup", "verify", "--from", kept, "--integrity-key-file", g.keyFile)
	guardianctl(t, exitOK, "drill", "--from", kept, "--integrity-key-file", g.keyFile)

	_, errs := guardianctl(t, exitFailure, "backup", "full", "--storage", g.storage, "--to", kept)
	wantText(t, errs, "database is locked by", "next: while a guardian has it, back it up through that: pass its admin plane, for example --admin http://127.0.0.1:9090")
}

// wantAtLeast restores a backup and pulls everything.
func (g hotGuardian) wantAtLeast(t *testing.T, kept, id string, versions [hotIdentities]uint64) {
	t.Helper()
	restored := t.TempDir()
	guardianctl(t, exitOK, "backup", "restore", "--from", kept, "--backup-id", id, "--to", restored, "--integrity-key-file", g.keyFile)
	key, err := os.ReadFile(g.keyFile)
	if err == nil {
		err = os.WriteFile(filepath.Join(restored, "integrity.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = serve(restored, func(ctx context.Context, n *guardian.Node) error {
		for i, version := range versions {
			share, err := n.Pull(ctx, guardian.Slot{Identity: fmt.Sprintf("%064x", i)}, nil, nil, guardian.Caller{})
			if version > 0 && (err != nil || share.Version < version) {
				t.Errorf("%d is at %d, not at least %d: %v", i, share.Version, version, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Where the admin plane wants a token, so does a backup; and the guardian's keyring
// always.
func TestHotBackupIsForWhoHasTokenAndKeyring(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokens := file("tokens.json", `{"admin":"token-of-an-operator","prometheus":"token-of-a-scraper"}`)
	g := startHot(t, "GUARDIAN_ADMIN_TOKENS_FILE="+tokens)
	if err := g.push(soundID, 1); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, "kept")
	backup := func(code int, args ...string) string {
		_, errs := guardianctl(t, code, append([]string{"backup", "full", "--storage", g.storage, "--admin", g.admin, "--to", kept}, args...)...)
		return errs
	}
	wantText(t, backup(exitFailure), "the guardian answered: missing bearer token", "next: pass --admin-token-file")
	wantText(t, backup(exitFailure, "--admin-token-file", file("scraper", "token-of-a-scraper")), "this actor may only watch", "next: pass --admin-token-file")
	token := file("token", "token-of-an-operator")
	foreign := file("foreign.key", strings.Repeat("5a", 32))
	wantText(t, backup(exitFailure, "--admin-token-file", token, "--integrity-key-file", foreign), "not sealed with this guardian's keyring", "next: pass the --integrity-key-file")
	wantText(t, backup(exitFailure, "--admin-token-file", token, "--node-id", "other"), "not sealed with this guardian's keyring")
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
	backup(exitOK, "--admin-token-file", token)
}

// planeThat answers a request for a copy.
func planeThat(t *testing.T, answers http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+hot.Path, func(w http.ResponseWriter, r *http.Request) {
		var request hot.Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Tag == "" {
			t.Errorf("asked with %+v, %v", request, err)
		}
		answers(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// A copy that is not whole is no backup, and whatever else may be wrong is said.
func TestHotBackupRefused(t *testing.T) {
	t.Parallel()
	refusing := func(status int, code, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": text, "code": code})
		}
	}
	sending := func(said, sent int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(said))
			_, _ = w.Write(bytes.Repeat([]byte("x"), sent))
		}
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answers http.HandlerFunc
		want    []string
	}{
		"cut":      {sending(1<<20, 1<<19), []string{"fetching a copy of the database", "unexpected EOF", "next: nothing was backed up: look into the guardian's log"}},
		"foreign":  {sending(1<<16, 1<<16), []string{"damaged, or not the database of a guardian", "next: nothing was backed up"}},
		"no end":   {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, []string{"the answer is not a guardian's"}},
		"no room":  {refusing(507, "no_room", "no room for a copy"), []string{"the guardian answered: no room for a copy", "next: make room on the guardian's disk"}},
		"no file":  {refusing(409, "no_snapshot", "this guardian's storage is no file"), []string{"next: leave out --admin"}},
		"two":      {refusing(409, "running", "it is being copied"), []string{"next: wait for the one that runs"}},
		"old":      {refusing(404, "no_route", "not found"), []string{"next: update the guardian"}},
		"too much": {sending(1<<62, 1), []string{"no room for a copy of the database", "next: name a directory in TMPDIR that has the room"}},
		"silent":   {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"it sends nothing", "next: nothing was backed up"}},
		"stuck": {func(w http.ResponseWriter, r *http.Request) {
			sending(1<<20, 7)(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, []string{"it sends nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := filepath.Join(t.TempDir(), "kept")
			_, errs := guardianctl(t, exitFailure, "backup", "full", "--storage", "bolt:///none/guardian.db", "--integrity-key-file", key, "--admin", planeThat(t, test.answers), "--to", kept)
			wantText(t, errs, test.want...)
			if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was kept: %v", err)
			}
		})
	}
}

// Whatever ends it while it fetches, nothing of the copy stays.
func TestHotBackupEnded(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		sent := make(chan struct{})
		url := planeThat(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(1<<26))
			_, _ = w.Write(make([]byte, 1<<25)) // more than is on its way: some is in its file
			w.(http.Flusher).Flush()
			close(sent)
			<-r.Context().Done()
		})
		temporary := t.TempDir()
		cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "backup", "full", "--storage", "bolt:///none/guardian.db", "--integrity-key-file", key, "--admin", url, "--to", filepath.Join(t.TempDir(), "kept"))
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-sent
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the exit code is in ProcessState
		if signal != syscall.SIGKILL && (cmd.ProcessState.ExitCode() != exitFailure || !strings.Contains(stderr.String(), "next: interrupted: run the command again")) {
			t.Errorf("%v: exit code %d: %s", signal, cmd.ProcessState.ExitCode(), &stderr)
		}
		wantEmpty(t, temporary)
	}
}

// --admin is for what cannot be read beside the guardian; from the environment it says
// nothing about the rest.
func TestAdminOfBackups(t *testing.T) {
	dir := storageWith(t, soundID)
	kept := filepath.Join(t.TempDir(), "kept")
	_, errs := guardianctl(t, exitUsage, "backup", "full", "--storage", dir, "--to", kept, "--admin", "http://127.0.0.1:1")
	wantText(t, errs, "--admin is for bolt:// only", "next: leave out --admin")
	_, errs = guardianctl(t, exitUsage, "backup", "full", "--storage", "bolt://./x.db", "--to", kept, "--admin", "127.0.0.1:9090")
	wantText(t, errs, "is not http://HOST:PORT")
	t.Setenv(adminVariable, "http://127.0.0.1:1")
	guardianctl(t, exitOK, "backup", "full", "--storage", dir, "--to", kept)
	_, errs = guardianctl(t, exitFailure, "backup", "full", "--storage", "bolt://./x.db", "--integrity-key-file", filepath.Join(dir, "integrity.key"), "--to", kept)
	wantText(t, errs, "connection refused", "next: while the guardian is stopped, leave out --admin, and GUARDIANCTL_ADMIN")

	t.Setenv("TMPDIR", filepath.Join(dir, "absent"))
	url := planeThat(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) })
	_, errs = guardianctl(t, exitFailure, "backup", "full", "--storage", "bolt://./x.db", "--admin", url, "--integrity-key-file", filepath.Join(dir, "integrity.key"), "--to", kept)
	wantText(t, errs, "no such file or directory", "next: name a directory in TMPDIR")
}
