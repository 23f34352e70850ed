package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

// The commands and the admin plane itself understand each other.
func TestRealAdminPlane(t *testing.T) {
	t.Parallel()
	store := backendtest.NewMemory()
	url := realPlane(t, store)
	out, _ := guardianctl(t, exitOK, "scrub", "--admin", url)
	wantText(t, out, "good", "2", "orphaned")
	out, _ = guardianctl(t, exitOK, "repair", "add", soundID, absentID, "--admin", url)
	wantText(t, out, "queued 2")
	out, _ = guardianctl(t, exitOK, "repair", "run", "--admin", url)
	wantText(t, out, "0 queued", "1 found sound, 1 unknown")

	for key, data := range store.Objects() {
		if strings.HasPrefix(key, "shares/"+damagedID) && strings.HasSuffix(key, "share.bin") {
			data[0] ^= 1
			if _, err := store.Put(t.Context(), key, data, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, errs := guardianctl(t, exitVerification, "scrub", "--admin", url)
	wantText(t, errs, "1 are not as they should be", "next: they are queued")
	_, errs = guardianctl(t, exitFailure, "repair", "run", "--admin", url)
	wantText(t, errs, "1 shares could not be repaired yet")
	out, _ = guardianctl(t, exitOK, "repair", "status", "--admin", url)
	wantText(t, out, damagedID, "damaged")
	_, errs = guardianctl(t, exitFailure, "verify", "--cluster", "--admin", url)
	wantText(t, errs, "in no cluster", "next: give the guardian a GUARDIAN_REGISTRY")
}

// realPlane serves the plane of a guardian alone that keeps two shares.
func realPlane(t *testing.T, store backend.Backend) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	sealer := planeSealer(t)
	node, err := guardian.Open(t.Context(), store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{soundID, damagedID} {
		share := guardian.Share{Data: []byte("a secret share"), Version: 7, Threshold: 3}
		if err := node.Push(t.Context(), guardian.Slot{Identity: identity}, share, guardian.Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	repairer := repair.New(repair.Config{Node: node, Poll: 20 * time.Millisecond, Logger: log})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { repairer.Run(ctx) })
	server := httptest.NewServer(admin.New(admin.Config{Registry: admin.NewRegistry(), Repairer: repairer, Backup: last.NewWatch(store, sealer, log), Logger: log}))
	t.Cleanup(func() {
		server.Close()
		stop()
		running.Wait()
		_ = node.Close(context.Background())
	})
	return server.URL
}

// planeSealer is that of realPlane's guardian.
func planeSealer(t *testing.T) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), "local", integrity.InlineSource{Text: strings.Repeat("0f", 32)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}
