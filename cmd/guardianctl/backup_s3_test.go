package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/guardian"
)

// TestBackupAcrossStorages backs a guardian up from a directory to a bucket,
// restores it into a bucket, backs that up to another bucket, restores that there,
// backs that up to a directory, and restores that into a directory: what is there in the end is what was there, to the byte.
func TestBackupAcrossStorages(t *testing.T) {
	server := s3test.Versity(t)
	setenv(t, server.Environ())
	first, end := t.TempDir(), filepath.Join(t.TempDir(), "restored")
	kept, bucket := filepath.Join(t.TempDir(), "kept"), "s3://"+server.NewBucket(t)
	other := "s3://" + server.NewBucket(t)
	fill(t, first, 1) // makes the key file
	keyFile := filepath.Join(first, "integrity.key")
	t.Setenv("GUARDIAN_INTEGRITY_KEY_FILE", keyFile)
	m := &mover{at: first, keyFile: keyFile, versions: map[guardian.Slot]uint64{}}
	m.visit(t, first, func(ctx context.Context, n *guardian.Node) error {
		for i := range 12 {
			m.push(ctx, t, n, guardian.Slot{Identity: fmt.Sprintf("%064x", i)}, 2)
		}
		return n.Delete(ctx, guardian.Slot{Identity: fmt.Sprintf("%064x", 3)}, 2, guardian.Caller{})
	})
	backUp := func(kind, storage, to string) {
		t.Helper()
		guardianctl(t, exitOK, "backup", kind, "--storage", storage, "--to", to, "--node-id", "local", "--rate", "0")
		guardianctl(t, exitOK, "backup", "verify", "--from", to, "--node-id", "local")
	}
	restore := func(from, to string) {
		t.Helper()
		guardianctl(t, exitOK, "backup", "restore", "--from", from, "--to", to, "--node-id", "local")
	}
	backUp("full", first, bucket+"/backups")
	m.visit(t, first, func(ctx context.Context, n *guardian.Node) error {
		m.push(ctx, t, n, guardian.Slot{Identity: fmt.Sprintf("%064x", 5)}, 3)
		return nil
	})
	backUp("incremental", first, bucket+"/backups")
	restore(bucket+"/backups", bucket+"/guardians")
	backUp("full", bucket+"/guardians", other+"/backups")
	restore(other+"/backups", other+"/guardians")
	backUp("full", other+"/guardians", kept)
	restore(kept, end)

	want, got := objectsAt(t, first), objectsAt(t, end)
	if len(want[last.Key]) == 0 {
		t.Error("the first does not know of its backup")
	}
	delete(want, last.Key) // it is true of the first alone
	for key, data := range want {
		if !bytes.Equal(got[key], data) {
			t.Errorf("%s is %q, want %q", key, got[key], data)
		}
	}
	if len(got) != len(want) || len(want) < 3*12 {
		t.Errorf("%d objects of %d", len(got), len(want))
	}

	out, _ := guardianctl(t, exitOK, "drill", "--from", bucket+"/backups", "--node-id", "local", "--json")
	var result drillResult
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Identities != 12 || result.RTO <= 0 || len(result.Chain) != 2 {
		t.Errorf("%s, %v", out, err)
	}
	out, _ = guardianctl(t, exitOK, "backup", "list", "--from", bucket+"/backups", "--node-id", "local")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "incremental") || !strings.HasPrefix(lines[0], result.ID) {
		t.Errorf("listed %q", lines)
	}
}

// objectsAt are all that a directory holds.
func objectsAt(t *testing.T, dir string) map[string][]byte {
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
	all := map[string][]byte{}
	for entry, err := range store.List(t.Context(), "", "") {
		if err == nil {
			all[entry.Key], _, err = store.Get(t.Context(), entry.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
