package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	backendfs "github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	soundID   = "0000000000000000000000000000000000000000000000000000000000000001"
	damagedID = "0000000000000000000000000000000000000000000000000000000000000002"
	absentID  = "0000000000000000000000000000000000000000000000000000000000000003"
)

// storageWith makes a guardian's directory that keeps version 7 of each
// identity.
func storageWith(t *testing.T, identities ...string) string {
	t.Helper()
	dir := t.TempDir()
	store, err := backendfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	key := integrity.FileSource{Path: filepath.Join(dir, "integrity.key"), Create: true}
	sealer, err := integrity.NewSealer(t.Context(), "local", key, log)
	if err != nil {
		t.Fatal(err)
	}
	n, err := guardian.Open(t.Context(), store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range identities {
		share := guardian.Share{Data: []byte("a secret share"), Version: 7, Threshold: 3}
		if err := n.Push(t.Context(), guardian.Slot{Identity: identity}, share, guardian.Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// damage changes the stored share of an identity.
func damage(t *testing.T, dir, identity string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "shares", identity, "*", "share.bin"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.WriteFile(found[0], []byte("a secret Share"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// guardianctl runs a command line and returns what it printed.
func guardianctl(t *testing.T, wantCode int, args ...string) (out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, streams{strings.NewReader(""), &stdout, &stderr}); code != wantCode {
		t.Fatalf("guardianctl %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, &stdout, &stderr)
	}
	if strings.Contains(stdout.String()+stderr.String(), "secret share") {
		t.Fatalf("guardianctl %s shows the share", strings.Join(args, " "))
	}
	return stdout.String(), stderr.String()
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Fatalf("%q is not in:\n%s", part, text)
		}
	}
}

func TestShares(t *testing.T) {
	dir := storageWith(t, soundID, damagedID)
	out, _ := guardianctl(t, exitOK, "shares", "list", "--storage", dir)
	wantText(t, out, "IDENTITY", soundID, damagedID, "live")
	out, _ = guardianctl(t, exitOK, "shares", "count", "--storage", dir)
	wantText(t, out, "live 2, moved 0, deleted 0, damaged 0")
	out, _ = guardianctl(t, exitOK, "shares", "count", "--storage", dir, "--json")
	wantText(t, out, `"live": 2`, `"moved": 0`)
	out, _ = guardianctl(t, exitOK, "shares", "show", strings.ToUpper(soundID), "--storage", dir, "--json")
	var info guardian.Info
	if err := json.Unmarshal([]byte(out), &info); err != nil || info.Version != 7 || info.Retained[0].Threshold != 3 {
		t.Fatalf("%s, %v", out, err)
	}
	guardianctl(t, exitNotFound, "shares", "show", absentID, "--storage", dir)

	damage(t, dir, damagedID)
	out, errs := guardianctl(t, exitVerification, "shares", "list", "--storage", dir)
	wantText(t, out, soundID, "damaged")
	wantText(t, errs, "1 identities are damaged", "next: guardianctl quarantine list")
	guardianctl(t, exitVerification, "shares", "count", "--storage", dir)
	guardianctl(t, exitVerification, "shares", "show", damagedID, "--storage", dir)

	_, errs = guardianctl(t, exitUsage, "shares", "purge", soundID, "--storage", dir)
	wantText(t, errs, "nothing was done", "next: run it again with --yes")
	guardianctl(t, exitOK, "shares", "show", soundID, "--storage", dir)
	guardianctl(t, exitOK, "shares", "purge", soundID, "--storage", dir, "--yes")
	guardianctl(t, exitNotFound, "shares", "purge", soundID, "--storage", dir, "--yes")
}

func TestQuarantineCommands(t *testing.T) {
	dir := storageWith(t, soundID, damagedID)
	damage(t, dir, damagedID)
	guardianctl(t, exitVerification, "shares", "list", "--storage", dir)
	out, _ := guardianctl(t, exitOK, "quarantine", "list", "--storage", dir)
	wantText(t, out, damagedID, "integrity mismatch")
	if strings.Contains(out, soundID) {
		t.Fatalf("the sound share is in quarantine:\n%s", out)
	}
	_, errs := guardianctl(t, exitVerification, "quarantine", "release", damagedID, "--storage", dir)
	wantText(t, errs, "next: ")
	guardianctl(t, exitNotFound, "quarantine", "release", soundID, "--storage", dir)
	guardianctl(t, exitFailure, "quarantine", "drop", soundID, "--storage", dir, "--yes")
	guardianctl(t, exitUsage, "quarantine", "drop", damagedID, "--storage", dir)
	guardianctl(t, exitOK, "quarantine", "drop", damagedID, "--storage", dir, "--yes")
	out, _ = guardianctl(t, exitOK, "quarantine", "list", "--storage", dir, "--json")
	if out != "" {
		t.Fatalf("after drop: %s", out)
	}
	out, _ = guardianctl(t, exitOK, "shares", "show", damagedID, "--storage", dir)
	wantText(t, out, "deleted", "7")
}

// TestOperatorCommandsMakeNothing: a wrong --storage is refused and stays as it
// was; a wrong key or node id is told from damage.
func TestOperatorCommandsMakeNothing(t *testing.T) {
	empty := t.TempDir()
	absent := filepath.Join(empty, "absent")
	for _, dir := range []string{empty, absent} {
		_, errs := guardianctl(t, exitFailure, "shares", "list", "--storage", dir)
		wantText(t, errs, "next: correct --storage")
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Fatalf("%v was made, %v", entries, err)
	}
	guardianctl(t, exitUsage, "shares", "list", "--storage", "")

	dir := storageWith(t, soundID)
	_, errs := guardianctl(t, exitFailure, "shares", "list", "--storage", dir, "--node-id", "other")
	wantText(t, errs, "other", "next: correct --integrity-key-file and --node-id")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	guardianctl(t, exitFailure, "shares", "list", "--storage", dir, "--integrity-key-file", key)
	guardianctl(t, exitFailure, "shares", "list", "--storage", dir, "--integrity-key-file", key+"-absent")
	out, _ := guardianctl(t, exitOK, "quarantine", "list", "--storage", dir)
	if strings.Contains(out, soundID) {
		t.Fatal("a wrong key looked like damage")
	}
}
