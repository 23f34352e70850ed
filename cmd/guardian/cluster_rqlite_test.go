//go:build rqlite

package main

import (
	"testing"

	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// The registry is rqlite itself.
func TestRealRqliteUnderGuardians(t *testing.T) {
	findEachOtherOn(t, rqlitetest.NewReal(t, 1))
}

// The leader of three goes away in mid-run: nobody notices but the registry, and
// one that comes then is let in.
func TestRealRqliteOfThreeUnderGuardians(t *testing.T) {
	registry := rqlitetest.NewReal(t, 3)
	g := newGuardians(t, 4, registry.URL())
	late := g.all[3]
	g.all = g.all[:3]
	g.startAll(t)
	g.allSee(t, g.states(nobody, ""))
	leader := registry.Leader()
	registry.Stop(leader)
	g.all = append(g.all, late)
	g.start(t, 3)
	g.allSee(t, g.states(nobody, ""))
	if now := registry.Leader(); now == leader || now < 0 {
		t.Errorf("the leader was %d, and is %d", leader, now)
	}
	indices := map[int]bool{}
	for _, info := range g.all[0].list() {
		indices[info.Index] = true
	}
	if len(indices) != 4 || !indices[4] {
		t.Errorf("the indices are %v", indices)
	}
	for _, n := range g.all {
		if lines := n.logged("guardian left"); lines != nil {
			t.Errorf("%s logs %q", n.id, lines)
		}
	}
	g.wantNoSecrets(t)
	g.wantCleanEnd(t)
}
