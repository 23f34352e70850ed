package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// repairPatience is how long a test waits for a repair.
const repairPatience = 2 * time.Minute

// surgery is guardians whose storages are written before they start, and what
// is in them.
type surgery struct {
	*guardians
	k       int
	keys    []*integrity.NodeKey
	nodes   []*guardian.Node
	stores  []*backendtest.Memory
	secrets []*stored
}

// stored is one secret.
type stored struct {
	slot   guardian.Slot
	shares map[int][]byte // by holder
	signed []byte
}

// newSurgery makes n guardians on directories that scrub at an interval, for
// secrets that k shares rebuild.
func newSurgery(t *testing.T, n, k int, scrub time.Duration, environ ...string) *surgery {
	t.Helper()
	s := &surgery{guardians: newGuardians(t, n, filepath.Join(t.TempDir(), "registry")), k: k}
	s.environ = append(s.environ, "GUARDIAN_SCRUB_INTERVAL="+scrub.String(), "GUARDIAN_INTEGRITY_KEY="+integrityKey)
	s.environ = append(s.environ, environ...)
	for i, neighbour := range s.all {
		path := filepath.Join(s.dir, neighbour.id+".key")
		if err := os.WriteFile(path, []byte(testKey('A'+byte(i))), 0o600); err != nil {
			t.Fatal(err)
		}
		neighbour.environ = append(neighbour.environ, "GUARDIAN_NODE_KEY_FILE="+path, "GUARDIAN_FAILURE_DOMAIN=rack-"+neighbour.id)
		s.keys = append(s.keys, s.nodeKey(t, i))
		s.open(t, i)
	}
	return s
}

// open makes the node of a guardian on a storage in memory.
func (s *surgery) open(t *testing.T, i int) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store := backendtest.NewMemory()
	sealer, err := integrity.NewSealer(t.Context(), s.all[i].id, integrity.InlineSource{Text: integrityKey}, log)
	if err != nil {
		t.Fatal(err)
	}
	node, err := guardian.Open(t.Context(), store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s.nodes, s.stores = append(s.nodes, node), append(s.stores, store)
}

// ownerKey is that of the owner of secret n.
func ownerKey(n int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// keep splits a secret of so many bytes among holders, and stores each share but
// those of lost.
func (s *surgery) keep(t *testing.T, name string, size int, holders, lost []int) *stored {
	t.Helper()
	owner := ownerKey(len(s.secrets))
	sum := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	kept := &stored{slot: guardian.Slot{Identity: hex.EncodeToString(sum[:]), Name: name}, shares: map[int][]byte{}}
	payload := bytes.Repeat(sum[:], size/len(sum)+1)[:size]
	var points []byte
	for _, i := range holders {
		points = append(points, byte(i+1))
	}
	shares, err := shamir.Split(payload, s.k, points)
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.Manifest{
		Identity: kept.slot.Identity, Name: name, Version: 7, Threshold: s.k, Split: kept.slot.Identity[:32],
		PayloadSize: size, PayloadSHA256: sha256.Sum256(payload), Policy: manifest.Policy{MinThreshold: s.k, MaxHolders: 255},
	}
	for at, i := range holders {
		kept.shares[i] = shares[at]
		m.Holders = append(m.Holders, manifest.Holder{X: points[at], Node: s.all[i].id, Key: s.keys[i].PublicKey(), SHA256: sha256.Sum256(shares[at])})
	}
	if kept.signed, err = m.Sign(owner); err != nil {
		t.Fatal(err)
	}
	for i, share := range kept.shares {
		if contains(lost, i) {
			continue
		}
		pushed := guardian.Share{Data: share, Version: m.Version, Manifest: kept.signed}
		if err := s.nodes[i].Push(t.Context(), kept.slot, pushed, guardian.Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	s.secrets = append(s.secrets, kept)
	return kept
}

func contains(all []int, i int) bool {
	for _, one := range all {
		if one == i {
			return true
		}
	}
	return false
}

// write puts what was kept into the directories. Nothing of it need survive a
// crash of the machine, so it is quick.
func (s *surgery) write(t *testing.T, except ...int) {
	t.Helper()
	for i, store := range s.stores {
		if err := s.nodes[i].Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if contains(except, i) {
			continue
		}
		for key, data := range store.Objects() {
			path := filepath.Join(s.dir, s.all[i].id, filepath.FromSlash(key))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// place is the directory of a slot in that of guardian i.
func (s *surgery) place(i int, kept *stored) string {
	if kept.slot.Name == "" {
		return filepath.Join(s.dir, s.all[i].id, "shares", kept.slot.Identity)
	}
	return filepath.Join(s.dir, s.all[i].id, "vaults", kept.slot.Identity, kept.slot.Name)
}

// has tells whether the directory of guardian i has its share, byte for byte.
func (s *surgery) has(i int, kept *stored) bool {
	found, _ := filepath.Glob(filepath.Join(s.place(i, kept), "*", "share.bin"))
	for _, path := range found {
		if share, err := os.ReadFile(path); err == nil && bytes.Equal(share, kept.shares[i]) {
			_, err := os.Stat(filepath.Join(s.place(i, kept), "version"))
			return err == nil
		}
	}
	return false
}

// flip changes one bit of the files of a slot with that name.
func (s *surgery) flip(t *testing.T, i int, kept *stored, name string) {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(s.place(i, kept), name))
	deeper, _ := filepath.Glob(filepath.Join(s.place(i, kept), "*", name))
	found = append(found, deeper...)
	if len(found) != 1 {
		t.Fatalf("%s has %q of a slot", s.all[i].id, found)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(found[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// await polls until ok.
func (s *surgery) await(t *testing.T, i int, what string, ok func() bool) {
	t.Helper()
	s.awaitFor(t, repairPatience, i, what, ok)
}

// awaitFor is await with another patience.
func (s *surgery) awaitFor(t *testing.T, patience time.Duration, i int, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			log := s.all[i].stderr.String()
			t.Fatalf("it never came to this: %s\nstatus: %+v\n%s", what, s.all[i].repairs(t), log[max(0, len(log)-4000):])
		}
	}
}

// asksAdmin asks the admin plane of a guardian, and returns the zero answer when
// there is none.
func asksAdmin[T any](t *testing.T, n *neighbour, method, path, body string) (into T) {
	t.Helper()
	address := n.printed("GUARDIAN_ADMIN_LISTEN_ADDR")
	if address == "" {
		return into
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Timeout: patience}).Do(request)
	if err != nil {
		return into
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return into
	}
	if err := json.NewDecoder(response.Body).Decode(&into); err != nil {
		t.Errorf("%s of %s: %v", path, n.id, err)
	}
	return into
}

func (n *neighbour) repairs(t *testing.T) repair.Status {
	return asksAdmin[repair.Status](t, n, http.MethodGet, "/admin/repair", "")
}

func (n *neighbour) scrub(t *testing.T) repair.ScrubProgress {
	return asksAdmin[repair.ScrubProgress](t, n, http.MethodGet, "/admin/scrub", "")
}

// repaired is the report of a slot among the last that are done; nil without.
func (n *neighbour) repaired(t *testing.T, slot guardian.Slot) *repair.Report {
	for _, done := range n.repairs(t).Finished {
		if done.SlotName == repair.SlotName(slot) && done.Outcome == repair.OutcomeRepaired {
			return &done.Report
		}
	}
	return nil
}

// wantReport wants what is said of a repair to have all that it is to have.
func wantReport(t *testing.T, r *repair.Report, k, n int) {
	t.Helper()
	if r == nil {
		t.Fatal("there is no report")
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]map[string]any
	_ = json.Unmarshal(text, &fields) // those that are no objects fail
	for _, side := range []string{"before", "after"} {
		for _, field := range []string{"healthy", "recoverable", "good", "corrupt", "missing", "stale", "unreachable", "k", "n", "version", "holders", "failure_domains"} {
			if _, there := fields[side][field]; !there {
				t.Errorf("%s lacks %s: %s", side, field, text)
			}
		}
	}
	for name, h := range map[string]repair.Health{"before": r.Before, "after": r.After} {
		if sum := h.Good + h.Corrupt + h.Missing + h.Stale + h.Unreachable; h.K != k || h.N != n || len(h.Holders) != n || sum != n || h.Version != 7 || h.FailureDomains != h.Good || !h.Recoverable {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if r.Before.Healthy || r.After.Good <= r.Before.Good || r.Bytes == 0 {
		t.Errorf("the report is %s", text)
	}
}

func everyone(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func inboxLines(secrets []*stored) string {
	var lines strings.Builder
	for _, kept := range secrets {
		fmt.Fprintln(&lines, kept.slot.Identity)
	}
	return lines.String()
}
