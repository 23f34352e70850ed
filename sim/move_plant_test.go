package sim

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// TestPlantedFaultsOfMoves takes one safety step out at a time: some of a few runs
// must fail, and say what it was. What a run cannot show, as nobody in it leads a
// round dishonestly, other tests do, each with the rule taken out: the seed after
// all acks, TestMoveAcksOfFewerThanAll in package check; K+1 old holders,
// TestMoveByNoMoreThanK there and TestAttacks in package record; q new ones,
// TestMoveToFewerThanAQuorum and TestAttacks; a new split id, TestAttacks.
func TestPlantedFaultsOfMoves(t *testing.T) {
	for name, test := range map[string]struct {
		plant plant
		want  *regexp.Regexp
	}{
		"no compare-and-swap of the round": {plant{ignoresTurns: true}, regexp.MustCompile("is committed, and aborted|still has its ballot of .*, which is committed")},
		"erased without a certificate":     {plant{hasty: true}, regexp.MustCompile("is lost")},
		"voted twice":                      {plant{votesTwice: true}, regexp.MustCompile("two records are committed")},
		"wrong shares are stored":          {plant{spoils: true}, regexp.MustCompile("does not lie with the others")},
		"shares are shown to others":       {plant{tells: true}, regexp.MustCompile("contains a part of the share")},
	} {
		t.Run(name, func(t *testing.T) {
			const seeds = 600
			for seed := range uint64(seeds) {
				r := simulateIn(t, newMoveWorld, seed, test.plant, nil)
				if slices.ContainsFunc(r.failures, test.want.MatchString) {
					return
				}
			}
			t.Errorf("none of %d runs failed with %s", seeds, test.want)
		})
	}
}

// plantedMoving is planted where shares are moved.
func (h *host) plantedMoving(key string, data []byte) (changed []byte, lost bool) {
	p := h.world.plant
	s, rest := h.world.secretAt(key)
	generation, object, _ := strings.Cut(rest, "/")
	if s == nil || epochOf(generation) == 0 {
		return data, false
	}
	switch {
	case p.spoils && h.index == 0 && object == "share.bin":
		changed = slices.Clone(data)
		flip(changed)
		return changed, false
	case p.hasty && object == "checksum.bin":
		for _, other := range h.generationsOf(s) {
			if epochOf(other) < epochOf(generation) {
				h.disk.wreck(placeOf(s.slot)+"/"+other+"/share.bin", nil)
			}
		}
	}
	return data, false
}

// bend takes a rule out of a process.
func (p plant) bend(r *repair.Repairer) {
	if p.votesTwice {
		once := rule[func([]round.Ballot, round.Ballot) error](r, "ballots", "rounds", "rules", "once")
		*once = func([]round.Ballot, round.Ballot) error { return nil }
	}
}
