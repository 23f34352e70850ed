package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestKilledBackupIsNone kills backups at different moments: what is listed then
// is whole, what had ended well is listed, and the next one is made.
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
		done = now
		guardianctl(t, exitOK, "backup", "verify", "--from", kept, "--integrity-key-file", keyFile)
	}
	guardianctl(t, exitOK, "backup", "incremental", "--storage", dir, "--to", kept, "--rate", "0")
	out, _ := guardianctl(t, exitOK, "backup", "verify", "--from", kept, "--integrity-key-file", keyFile, "--json")
	wantText(t, out, `"identities": 60`)
}
