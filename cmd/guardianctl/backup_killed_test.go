package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// TestKilledBackupIsNone kills backups at different moments: what is listed then
// is whole, what had ended well is listed, the guardian knows of none that is not, and
// the next one is made.
func TestKilledBackupIsNone(t *testing.T) {
	t.Parallel()
	dir, kept := t.TempDir(), filepath.Join(t.TempDir(), "kept")
	fill(t, dir, 60)
	keyFile := filepath.Join(dir, "integrity.key")
	listed := func() (ids []string) {
		out, _ := guardianctl(t, exitOK, "backup", "list", "--from", kept, "--integrity-key-file", keyFile, "--json")
		var rows []shownBackup
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		return ids
	}
	guardianctl(t, exitOK, "backup", "full", "--storage", dir, "--to", kept, "--rate", "0")
	done := listed()
	for _, delay := range []time.Duration{5, 20, 50, 100, 200, 400} {
		cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "backup", "full", "--storage", dir, "--to", kept, "--rate", "0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay * time.Millisecond)
		_ = cmd.Process.Kill()
		endedWell := cmd.Wait() == nil
		now := listed()
		if len(now) > len(done)+1 || endedWell && len(now) != len(done)+1 || !slices.Equal(now[len(now)-len(done):], done) {
			t.Fatalf("ended well: %v, listed %v after %v", endedWell, now, done)
		}
		if b := lastBackupOf(t, dir, keyFile); !slices.Contains(now, b.ID) || endedWell && b.ID != now[0] {
			t.Fatalf("the guardian knows of %+v, of %v", b, now)
		}
		done = now
		guardianctl(t, exitOK, "backup", "verify", "--from", kept, "--integrity-key-file", keyFile)
	}
	guardianctl(t, exitOK, "backup", "incremental", "--storage", dir, "--to", kept, "--rate", "0")
	out, _ := guardianctl(t, exitOK, "backup", "verify", "--from", kept, "--integrity-key-file", keyFile, "--json")
	wantText(t, out, `"identities": 60`)
}

// lastBackupOf is what the guardian over a directory knows of its last backup.
func lastBackupOf(t *testing.T, dir, keyFile string) last.Backup {
	t.Helper()
	at, err := location.Parse(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := at.Open(t.Context(), location.Options{NodeID: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sealer, err := integrity.NewSealer(t.Context(), "local", integrity.FileSource{Path: keyFile}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	b, err := last.Get(t.Context(), store, sealer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
