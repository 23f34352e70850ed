package main

import (
	"encoding/base64"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// What is counted holds what a refresh must take: a share from each dealer to
// each holder in base64, once to the coordinator and once from it, and a look at
// the registry by all who vote.
func TestRefreshIsCounted(t *testing.T) {
	const identities, n, k = 8, 4, 3
	m, err := refreshAmong(t.Context(), shape{n, k}, identities)
	if err != nil {
		t.Fatal(err)
	}
	if m.report.Rounds != 1 || m.report.Moved != identities {
		t.Errorf("%+v", m.report)
	}
	encoded := int64(base64.StdEncoding.EncodedLen((movedSize - 1) * identities))
	dealt := ((k-1)*n + k*(n-1)) * encoded // one dealer is the coordinator, and one holder
	if got := m.dealt(); got < dealt || got > dealt*5/4 {
		t.Errorf("share and take are %d bytes of JSON, want %d and a little", got, dealt)
	}
	if got := m.refresh.wire; got < sum(m.refresh.json) || m.before.wire >= got || m.after.wire >= got {
		t.Errorf("%d bytes on the wire, %d of JSON, audits %d and %d", got, sum(m.refresh.json), m.before.wire, m.after.wire)
	}
	if calls := m.refresh.registry; calls["load"] < n || calls["swap"] < 3 || calls["load"]+calls["swap"] > sum(m.refresh.requests) {
		t.Errorf("the registry: %v, its bucket: %v", calls, m.refresh.requests)
	}
	if m.before.registry["swap"] != 0 {
		t.Error("an audit swaps something in the registry")
	}
	if m.refresh.stored["put"] < 2*n*identities || m.refresh.grown <= 0 {
		t.Errorf("the storages: %v, they grew by %d", m.refresh.stored, m.refresh.grown)
	}
	if got, least := m.clients.clients, int64(identities*(k+n)*base64.StdEncoding.EncodedLen(movedSize)); got < least {
		t.Errorf("clients moved %d bytes, less than their %d of shares", got, least)
	}
}

func TestShelves(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		store := newShelves()
		return func(*testing.T) backend.Backend { return store }
	})
}
