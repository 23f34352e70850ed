package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

const migratedSlots = 40

// TestMigrateAcrossBuckets moves a guardian from a directory to a bucket, to
// another prefix of it, and to a directory. Each move is stopped on its way,
// both sides change meanwhile, and the next run does what is right.
func TestMigrateAcrossBuckets(t *testing.T) {
	server := s3test.Versity(t)
	setenv(t, server.Environ())
	bucket := "s3://" + server.NewBucket(t)
	first, last := t.TempDir(), filepath.Join(t.TempDir(), "made", "by", "migrate")
	m := &mover{at: first, keyFile: filepath.Join(first, "integrity.key"), versions: map[guardian.Slot]uint64{}}
	fill(t, first, 1) // makes the key file
	t.Setenv("GUARDIAN_INTEGRITY_KEY_FILE", m.keyFile)
	m.visit(t, first, func(ctx context.Context, n *guardian.Node) error {
		for i := range migratedSlots {
			m.push(ctx, t, n, guardian.Slot{Identity: fmt.Sprintf("%064x", i)}, 2)
		}
		gone := guardian.Slot{Identity: strings.Repeat("f", 64)}
		m.push(ctx, t, n, gone, 1)
		return n.Delete(ctx, gone, 1, guardian.Caller{})
	})
	delete(m.versions, guardian.Slot{Identity: strings.Repeat("f", 64)})
	for _, to := range []string{bucket + "/one", bucket, last} {
		m.move(t, to)
	}
	m.wantAll(t)
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1") // the bucket is not needed any more
	out, _ := guardianctl(t, exitOK, "shares", "count", "--storage", last)
	wantText(t, out, fmt.Sprintf("live %d, moved 0, deleted 1, damaged 0", migratedSlots))
}

// mover is a guardian that goes from place to place, and what it must serve.
type mover struct {
	at, keyFile string
	versions    map[guardian.Slot]uint64
}

func textOf(slot guardian.Slot, version uint64) string {
	return fmt.Sprintf("share of %s at version %d", slot.Identity, version)
}

// visit is the guardian at a place for the time of do.
func (m *mover) visit(t *testing.T, at string, do func(context.Context, *guardian.Node) error) {
	t.Helper()
	ctx := t.Context()
	place, err := location.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	store, err := place.Open(ctx, location.Options{NodeID: "local", SkipProbe: true})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(ctx, "local", integrity.FileSource{Path: m.keyFile}, log)
	if err != nil {
		t.Fatal(err)
	}
	n, err := guardian.Open(ctx, store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(ctx, n), n.Close(ctx), store.Close()); err != nil {
		t.Fatal(err)
	}
}

func (m *mover) push(ctx context.Context, t *testing.T, n *guardian.Node, slot guardian.Slot, version uint64) {
	t.Helper()
	if err := n.Push(ctx, slot, guardian.Share{Data: []byte(textOf(slot, version)), Version: version}, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	m.versions[slot] = version
}

func (m *mover) move(t *testing.T, to string) {
	t.Helper()
	arrived := m.stopHalfWay(t, to)
	updated, ahead := arrived[0], arrived[1]
	m.visit(t, m.at, func(ctx context.Context, n *guardian.Node) error {
		m.push(ctx, t, n, updated, m.versions[updated]+1)
		return nil
	})
	m.visit(t, to, func(ctx context.Context, n *guardian.Node) error {
		m.push(ctx, t, n, ahead, m.versions[ahead]+1)
		return nil
	})
	for _, again := range []bool{false, true} {
		out, _ := guardianctl(t, exitOK, "migrate", "--from", m.at, "--to", to, "--node-id", "local", "--rate", "0", "--json")
		var result migrateResult
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			t.Fatal(err)
		}
		// The identity that is ahead there is left alone, all others are there.
		if result.Newer != 1 || result.Copied+result.Already != migratedSlots ||
			result.Already == 0 || (result.Copied == 0) != again {
			t.Errorf("%s to %s, once more %v, after %d had arrived: %s", m.at, to, again, len(arrived), out)
		}
	}
	m.at = to
}

// stopHalfWay cancels a run once some identities have arrived, and returns
// those that have.
func (m *mover) stopHalfWay(t *testing.T, to string) (arrived []guardian.Slot) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		args := []string{"migrate", "--from", m.at, "--to", to, "--node-id", "local", "--rate", "5"}
		ended <- run(ctx, args, streams{strings.NewReader(""), &out, &errs})
	}()
	eventually(t, "some identities have arrived", func() bool { return len(m.arrived(t, to)) >= 3 })
	cancel()
	if code := <-ended; code != exitFailure {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errs)
	}
	wantText(t, errs.String(), "stopped after ", "next: run it again: what is done stays done")
	if arrived = m.arrived(t, to); len(arrived) >= migratedSlots {
		t.Fatalf("all %d arrived before it was stopped", len(arrived))
	}
	return arrived
}

// arrived are the identities that a guardian would serve there.
func (m *mover) arrived(t *testing.T, at string) (slots []guardian.Slot) {
	t.Helper()
	m.visit(t, at, func(ctx context.Context, n *guardian.Node) error {
		for slot, err := range n.Slots(ctx) {
			if err != nil {
				return err
			}
			if _, err := n.Pull(ctx, slot, nil, nil, guardian.Caller{}); err == nil {
				slots = append(slots, slot)
			} else if !errors.Is(err, api.ErrNotFound) { // on its way, or deleted
				return err
			}
		}
		return nil
	})
	return slots
}

// wantAll fails unless every identity is served at its version, and none goes
// back.
func (m *mover) wantAll(t *testing.T) {
	t.Helper()
	m.visit(t, m.at, func(ctx context.Context, n *guardian.Node) error {
		for slot, version := range m.versions {
			got, err := n.Pull(ctx, slot, nil, nil, guardian.Caller{})
			if err != nil || got.Version != version || string(got.Data) != textOf(slot, version) {
				t.Errorf("%s is version %d: %q, %v; want version %d", slot.Short(), got.Version, got.Data, err, version)
			}
			if err := n.Push(ctx, slot, guardian.Share{Data: []byte("older"), Version: version}, guardian.Caller{}); !errors.Is(err, api.ErrVersionConflict) {
				t.Errorf("pushing version %d of %s again: %v", version, slot.Short(), err)
			}
		}
		return nil
	})
	if len(m.versions) != migratedSlots {
		t.Errorf("%d identities, want %d", len(m.versions), migratedSlots)
	}
	if _, err := os.Stat(filepath.Join(m.at, "integrity.key")); err == nil {
		t.Error("the key file was copied")
	}
}
