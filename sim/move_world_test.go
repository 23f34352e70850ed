package sim

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/repair"
)

// moves is what a run has in which shares are moved, by rounds of which the
// registry is one more party.
type moves struct {
	registry *registry
	// first are whom the owners' manifests name: the others join later, if at all.
	first []*host
	// refresh and replace are settings of all guardians, 0 in most runs.
	refresh, replace time.Duration
	lines            *lines
	// heard is when a guardian was last heard of by another, in nanoseconds.
	heard [][]atomic.Int64
	// lie is what the one that lies does.
	lie lies
}

// newMoveWorld draws who there is: most clusters are small, as the work of a
// round grows with the square of its holders.
func newMoveWorld(seed uint64, plant plant) *world {
	w := emptyWorld(seed, plant)
	n := 3 + min(w.rng.IntN(4), w.rng.IntN(4))
	if w.rng.IntN(20) == 0 {
		n = 7 + w.rng.IntN(8)
	}
	w.settle(n)
	held := n
	if n > 3 && w.rng.IntN(2) == 0 {
		held = 3 + w.rng.IntN(n-2)
	}
	// A redistribution needs one holder more than K.
	w.k = 2 + w.rng.IntN(min(held-2, 4))
	w.retain, w.twins = 2+w.rng.IntN(2), w.rng.IntN(16) == 0
	w.moves = &moves{lines: newLines(w), heard: make([][]atomic.Int64, n)}
	w.moves.registry = newRegistry(w)
	for i := range w.moves.heard {
		w.moves.heard[i] = make([]atomic.Int64, n)
	}
	chosen := w.rng.Perm(n)[:held]
	slices.Sort(chosen) // as manifests have them
	for _, i := range chosen {
		w.moves.first = append(w.moves.first, w.hosts[i])
	}
	w.chooseMoving()
	w.own(1 + w.rng.IntN(4)/3)
	if plant.votesTwice { // else the registry does not let them
		w.moves.registry.emptied, w.moves.registry.hostile = true, false
	}
	return w
}

// chooseMoving draws what only some runs have.
func (w *world) chooseMoving() {
	m := w.moves
	switch w.rng.IntN(8) {
	case 0:
		m.refresh = time.Duration(20+w.rng.IntN(60))*time.Second + 3049*time.Nanosecond
	case 1:
		m.replace = time.Duration(20+w.rng.IntN(60))*time.Second + 4057*time.Nanosecond
	case 2:
		m.registry.hostile = true
	case 4:
		m.registry.emptied = true
	case 3:
		if len(m.first)-w.k >= 2 {
			m.first[w.rng.IntN(len(m.first))].lies, m.lie = true, helps+lies(w.rng.IntN(int(kinds-helps)))
		}
	}
}

// admission admits everybody there is.
var admission = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)

// holdersOf are those to whom an owner deals a version.
func (w *world) holdersOf(uint64) []*host {
	if w.moves == nil {
		return w.hosts
	}
	return w.moves.first
}

func (w *world) payloadSize() int {
	if w.moves == nil {
		return 16 + w.rng.IntN(64)
	}
	return 24
}

// policy is what an owner lets be done with its shares.
func (w *world) policy(v *version) manifest.Policy {
	if w.moves == nil {
		return manifest.Policy{MinThreshold: v.k, MaxHolders: len(v.to)}
	}
	return manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: len(allKeys), Admission: admission}
}

// configure adds what rounds need to what a process runs with.
func (m *moves) configure(p *process, cfg *repair.Config) {
	if m == nil {
		return
	}
	cfg.Registry, cfg.Admission = &registryOf{p}, admission
	cfg.RefreshInterval, cfg.ReplaceAfter = m.refresh, m.replace
	cfg.ScrubInterval, cfg.Poll = 2*time.Minute+scrubInterval%time.Second, 20*time.Second+queuePoll%time.Second
}

// silent is how long a guardian has not heard of another.
func (m *moves) silent(by, of *host) time.Duration {
	if m == nil || by == of {
		return 0
	}
	return time.Since(time.Unix(0, m.heard[by.index][of.index].Load()))
}

// hear notes who hears whom.
func (m *moves) hear(by, of *host) {
	if m != nil {
		m.heard[by.index][of.index].Store(time.Now().UnixNano())
	}
}

// liveOn is the run once the owners have stored their secrets.
func (w *world) liveOn() {
	w.stormOfMoves()
	w.healMoves()
	w.count.Rounds += len(w.moves.registry.committed)
}
