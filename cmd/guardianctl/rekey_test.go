package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/awssecrets/secretstest"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// fill keeps version 1 of so many identities in a directory.
func fill(t *testing.T, dir string, slots int) {
	t.Helper()
	err := serve(dir, func(ctx context.Context, n *guardian.Node) error {
		for i := range slots {
			if err := push(ctx, n, []string{fmt.Sprintf("%064x", i), "1", fmt.Sprint("share ", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rotate(t *testing.T, dir string) {
	t.Helper()
	err := changeKeyFile(filepath.Join(dir, "integrity.key"), func(ring *keyFile) {
		ring.Primary, ring.Keys["k2"] = "k2", strings.Repeat("02", integrity.KeySize)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok, which it must be within a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// TestRekeyStoppedAndResumed interrupts the real program half-way.
func TestRekeyStoppedAndResumed(t *testing.T) {
	t.Parallel()
	const slots = 50
	dir := t.TempDir()
	fill(t, dir, slots)
	rotate(t, dir)
	resealed := func() (count int) {
		versions, err := filepath.Glob(filepath.Join(dir, "shares", "*", "version"))
		if err != nil || len(versions) != slots {
			t.Fatalf("%d version objects, %v", len(versions), err)
		}
		for _, path := range versions {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("\nhmac k2 ")) {
				count++
			}
		}
		return count
	}
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "rekey", "--storage", dir, "--rate", "5")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "the first version object is re-sealed", func() bool { return resealed() > 0 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != exitFailure {
		t.Fatalf("rekey ended with %v, want exit code %d", exit, exitFailure)
	}
	wantText(t, errs.String(), "stopped after ", "next: run it again")
	if count := resealed(); count == 0 || count == slots {
		t.Fatalf("%d of %d are re-sealed: it was not stopped half-way", count, slots)
	}
	before := resealed()
	out, _ := guardianctl(t, exitOK, "rekey", "--storage", dir, "--rate", "0", "--json")
	var result rekeyResult
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	if result.Resealed+result.Already != 2*slots || result.Already < 2*before || result.Canary != canaryResealed {
		t.Errorf("%d were re-sealed before; the next run says %s", before, out)
	}
	if count := resealed(); count != slots {
		t.Errorf("%d of %d are re-sealed in the end", count, slots)
	}
}

// setenv sets NAME=value variables for the time of the test.
func setenv(t *testing.T, variables []string) {
	t.Helper()
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// TestRekeyOnABucket rotates a keyring in Secrets Manager.
func TestRekeyOnABucket(t *testing.T) {
	bucket, secrets := s3test.Versity(t), secretstest.New(t)
	secrets.Trust(bucket.AccessKey, bucket.SecretKey)
	setenv(t, bucket.Environ())
	for _, variable := range secrets.Environ() {
		if name, value, _ := strings.Cut(variable, "="); name == "AWS_ENDPOINT_URL_SECRETS_MANAGER" {
			t.Setenv(name, value)
		}
	}
	const slots = 20
	dir := t.TempDir()
	fill(t, dir, slots)
	keyring := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "integrity.key"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	secrets.Put("guardian/local", keyring())
	storage := "s3://" + bucket.NewBucket(t) + "/guardians"
	guardianctl(t, exitOK, "migrate", "--from", dir, "--to", storage, "--node-id", "local")
	with := func(nodeID, secret string) []string {
		return []string{"--storage", storage, "--node-id", nodeID, "--integrity-key-aws-secret", secrets.ARN(secret)}
	}
	at := with("local", "guardian/local")

	rotate(t, dir)
	secrets.Put("guardian/local", keyring())
	out, _ := guardianctl(t, exitOK, append([]string{"rekey", "--rate", "0"}, at...)...)
	wantText(t, out, fmt.Sprintf("re-sealed %d objects of %d identities under key \"k2\"; 0 were already\n", 2*slots, slots))
	out, _ = guardianctl(t, exitOK, append([]string{"rekey", "--rate", "0"}, at...)...)
	wantText(t, out, fmt.Sprintf("re-sealed 0 objects of 0 identities under key \"k2\"; %d were already\n", 2*slots))

	// The old key is not needed any more.
	if err := changeKeyFile(filepath.Join(dir, "integrity.key"), func(ring *keyFile) { delete(ring.Keys, "k1") }); err != nil {
		t.Fatal(err)
	}
	secrets.Put("guardian/local", keyring())
	out, _ = guardianctl(t, exitOK, append([]string{"shares", "count"}, at...)...)
	wantText(t, out, fmt.Sprintf("live %d, moved 0, deleted 0, damaged 0", slots))

	secrets.Put("other", strings.Repeat("5a", integrity.KeySize))
	for name, broken := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no such secret": {with("local", "absent"), exitFailure, []string{"absent", "next: "}},
		"another secret": {with("local", "other"), exitFailure, []string{"integrity key refused", "next: correct --integrity-key-file and --node-id"}},
		"no key":         {at[:4], exitUsage, []string{"no integrity key given", "next: pass --integrity-key-aws-secret"}},
		"another node":   {with("absent", "guardian/local"), exitFailure, []string{"holds nothing of a guardian", "next: correct --storage"}},
		"no bucket":      {append([]string{"--storage", "s3://no-such-bucket"}, at[2:]...), exitFailure, []string{"no-such-bucket", "next: "}},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := guardianctl(t, broken.code, append([]string{"rekey"}, broken.args...)...)
			wantText(t, errs, broken.says...)
		})
	}
}
