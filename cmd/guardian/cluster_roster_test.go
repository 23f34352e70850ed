package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
)

// hostile has all of a registry in its hands, and no key of the cluster.
type hostile struct {
	store    *fs.FS
	registry *cluster.Bucket
}

func newHostile(t *testing.T, dir string) *hostile {
	t.Helper()
	store, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{store, cluster.NewBucket(store, nil)}
	t.Cleanup(func() { _ = h.registry.Close() })
	return h
}

func (h *hostile) put(t *testing.T, key, text string) {
	t.Helper()
	if _, err := h.store.Put(t.Context(), key, []byte(text), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

// setRoster puts a roster into the registry, in place of what is there.
func (h *hostile) setRoster(t *testing.T, signed []byte) {
	t.Helper()
	_, rev, err := h.registry.Load(t.Context(), cluster.RosterKey)
	if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
		t.Fatal(err)
	}
	if _, err := h.registry.Swap(t.Context(), cluster.RosterKey, signed, rev); err != nil {
		t.Fatal(err)
	}
}

// entryOf is a guardian in a roster, with an index that the registry gives
// nobody.
func entryOf(t *testing.T, g *guardians, i int) cluster.Entry {
	t.Helper()
	return cluster.Entry{NodeID: g.all[i].id, Index: 11 + i, Key: g.nodeKey(t, i).PublicKey(), FailureDomain: "zone"}
}

func signed(t *testing.T, key ed25519.PrivateKey, serial uint64, entries ...cluster.Entry) []byte {
	t.Helper()
	roster := cluster.Roster{Serial: serial, Entries: entries}
	data, err := roster.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// With an admission key the roster decides who is a member, and not the
// registry, whatever that says.
func TestRosterDecides(t *testing.T) {
	t.Parallel()
	admission := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	dir := t.TempDir()
	g := newGuardians(t, 4, dir, "GUARDIAN_ADMISSION_KEY="+hex.EncodeToString(admission.Public().(ed25519.PublicKey)))
	g.startAll(t)
	g.allLog(t, []string{"level=WARN", "there is no roster yet: no other guardian is a member"})
	for _, n := range g.all {
		if known := n.list(); len(known) != 1 {
			t.Errorf("without a roster, %s lists %v", n.id, known)
		}
	}

	h := newHostile(t, dir)
	var entries []cluster.Entry
	for i := range g.all {
		entries = append(entries, entryOf(t, g, i))
	}
	first := signed(t, admission, 1, entries[:3]...)
	h.setRoster(t, first)
	three := map[string]string{"g1": "alive", "g2": "alive", "g3": "alive"}
	g.allSee(t, three, 3)
	g.wantRoster(t, 1, entries[:3], 3)
	g.allLog(t, []string{"ignored a guardian that is not in the roster", "node_id=g4"}, 3)

	thief := h.takeOver(t)
	g.allLog(t, []string{"level=WARN", "ignored the registry's roster: roster not signed by the admission key"})
	g.allLog(t, []string{"level=WARN", "another key than the roster's", "node_id=g2"}, 1)
	g.allPoll(t)
	g.wantRoster(t, 1, entries[:3], 3)
	g.allSee(t, three, 3)
	for i := range 3 {
		if got, _ := say(t, g.all[i], showing(certificateOf(t, "g2", thief, nil)), heartbeat("g2")); got != "" {
			t.Errorf("to the thief of g2, %s answers %q", g.all[i].id, got)
		}
	}

	h.setRoster(t, signed(t, admission, 2, entries...))
	g.allSee(t, g.states(nobody, ""))
	g.wantRoster(t, 2, entries)

	h.setRoster(t, first)
	g.all[0].kill()
	g.start(t, 0)
	g.allLog(t, []string{"level=WARN", "ignored the registry's roster with serial 1: that in force has 2"}, 1, 2, 3)
	g.wantRoster(t, 2, entries)
	g.allSee(t, g.states(nobody, ""))
	g.wantNoSecrets(t)
	g.wantCleanEnd(t)
}

// takeOver does what it can to have another in the place of g2, and g3
// forgotten, and returns the other's key.
func (h *hostile) takeOver(t *testing.T) *integrity.NodeKey {
	t.Helper()
	thief, err := integrity.ParseNodeKey([]byte(testKey('x')))
	if err != nil {
		t.Fatal(err)
	}
	members, err := h.registry.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.NodeID == "g2" {
			h.put(t, "guardians/g2", recordOf("g2", m.Index, thief.PublicKey(), "127.0.0.1:1"))
		}
	}
	if err := h.store.Delete(t.Context(), "guardians/g3", backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
	h.setRoster(t, signed(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)), 99,
		cluster.Entry{NodeID: "g2", Index: 12, Key: thief.PublicKey()}))
	return thief
}

// wantRoster waits until a roster is in force everywhere, and wants all but those
// excepted to list its members as it has them.
func (g *guardians) wantRoster(t *testing.T, serial uint64, entries []cluster.Entry, except ...int) {
	t.Helper()
	var want strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&want, e.NodeID, e.Index, hex.EncodeToString(e.Key), e.FailureDomain)
	}
	g.each(t, func(_ int, n *neighbour) {
		if !g.within(func() bool { return ask[api.StatusResponse](n, api.RouteStatus).RosterSerial == serial }) {
			t.Errorf("%s has not the roster %d:\n%s", n.id, serial, n.stderr)
		}
	})
	g.each(t, func(_ int, n *neighbour) {
		var got strings.Builder
		for _, info := range ask[api.GuardiansResponse](n, api.RouteGuardians).Guardians {
			fmt.Fprintln(&got, info.NodeID, info.Index, info.NodeKey, info.FailureDomain)
		}
		if got.String() != want.String() {
			t.Errorf("%s lists\n%s, not\n%s", n.id, &got, &want)
		}
	}, except...)
}
