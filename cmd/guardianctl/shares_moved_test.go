package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	backendfs "github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

func testKey(of string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(of))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testHolder(x byte, node string, share []byte) manifest.Holder {
	return manifest.Holder{X: x, Node: node, Key: testKey(node).Public().(ed25519.PublicKey), SHA256: sha256.Sum256(share)}
}

// moveAway puts two versions of a secret into a guardian's directory, and moves
// the second to others. It returns the identity.
func moveAway(t *testing.T, dir string) string {
	t.Helper()
	store, err := backendfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "local", integrity.FileSource{Path: filepath.Join(dir, "integrity.key")}, log)
	if err != nil {
		t.Fatal(err)
	}
	n, err := guardian.Open(t.Context(), store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	pushOwned(t, n, 6)
	slot, signed := pushOwned(t, n, 7)
	if err := n.Release(t.Context(), slot, movedChain(t, signed)); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return slot.Identity
}

// pushOwned pushes a version that its owner lets guardians move.
func pushOwned(t *testing.T, n *guardian.Node, version uint64) (guardian.Slot, []byte) {
	t.Helper()
	owner := testKey("owner")
	identity := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	share := []byte("\x01a secret share")
	m := manifest.Manifest{
		Identity: hex.EncodeToString(identity[:]), Version: version, Threshold: 2, Split: strings.Repeat("0a", 16), PayloadSize: len(share) - 1,
		Holders: []manifest.Holder{testHolder(1, "local", share), testHolder(2, "g2", nil), testHolder(3, "g3", nil), testHolder(4, "g4", nil)},
		Policy:  manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 4, Admission: testKey("admission").Public().(ed25519.PublicKey)},
	}
	signed, err := m.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	slot := guardian.Slot{Identity: m.Identity}
	if err := n.Push(t.Context(), slot, guardian.Share{Data: share, Version: version, Manifest: signed}, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	return slot, signed
}

// movedChain is the record of a round after which the first holder is none.
func movedChain(t *testing.T, signed []byte) []byte {
	t.Helper()
	base, err := record.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	votes := record.Certificate{Seed: [32]byte{1}}
	to := record.Proposal{Threshold: base.Threshold}
	for _, h := range base.Holders[1:] {
		to.Holders = append(to.Holders, record.Target{X: h.X, Node: h.Node, Key: h.Key})
	}
	next, body, err := record.Next(base, to, votes.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range to.Holders {
		sign := func(message []byte) []byte { return ed25519.Sign(testKey(h.Node), message) }
		votes.Agreed = append(votes.Agreed, record.Vote{X: h.X, Signature: sign(record.AgreedMessage(next.Hash, votes.Seed, h.X))})
		share := sha256.Sum256([]byte(h.Node))
		votes.Prepared = append(votes.Prepared, record.Vote{X: h.X, Share: share, Signature: sign(record.PreparedMessage(next.Hash, votes.Seed, h.X, share))})
	}
	chain, err := record.Extend(signed, body, votes)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// What other guardians hold now is told from what is here, and has no size here
// although an older version stays.
func TestMovedShares(t *testing.T) {
	t.Parallel()
	dir := storageWith(t, soundID)
	movedID := moveAway(t, dir)
	out, _ := guardianctl(t, exitOK, "shares", "count", "--storage", dir)
	wantText(t, out, "live 1, moved 1, deleted 0, damaged 0\n")
	out, _ = guardianctl(t, exitOK, "shares", "count", "--storage", dir, "--json")
	var counts map[string]int
	if err := json.Unmarshal([]byte(out), &counts); err != nil || len(counts) != 4 || counts["live"] != 1 || counts["moved"] != 1 {
		t.Errorf("count --json: %s, %v", out, err)
	}
	out, _ = guardianctl(t, exitOK, "shares", "list", "--storage", dir)
	rows := strings.Split(out, "\n")
	if !slices.ContainsFunc(rows, func(row string) bool { return slices.Equal(strings.Fields(row), []string{movedID, "7", "-", "moved"}) }) {
		t.Errorf("list: no row of what has moved:\n%s", out)
	}
	out, _ = guardianctl(t, exitOK, "shares", "list", "--storage", dir, "--json")
	wantText(t, out, `"identity":"`+movedID+`","state":"moved","version":7`)
	out, _ = guardianctl(t, exitOK, "shares", "show", movedID, "--storage", dir)
	wantText(t, out, "moved", "6-", "epoch 0, 15 bytes")
}
