package secrecy

import (
	"fmt"
	"slices"
	"testing"
)

// attempt is a move by these dealers, those of own known.
func attempt(old, dealers, targets, own []byte, seeds ...seed) move {
	return move{
		audit:   audit{participants: old, honest: without(dealers, own...), seeds: seeds},
		dealers: dealers,
		targets: targets,
	}
}

// abort is the same attempt, come to nothing.
func (m move) abort() move {
	m.aborted = true
	return m
}

// TestExhaustiveMoves goes through all coefficients of both dealings, all
// columns and all that is dealt, for every secret, every K-1 old and K'-1 new
// holders and all sets of dealers of which one is honest. Where K points fill
// the field, that one more answers would tell nothing new.
func TestExhaustiveMoves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field    *field
		old, new []byte
		k, kNew  int
	}{
		{gf4, upTo(3), upTo(3), 2, 2},
		{gf4, upTo(3), upTo(3), 2, 3},
		{gf4, upTo(3), upTo(3), 3, 2},
		{gf4, upTo(3), []byte{2, 3}, 2, 2},
		{gf8, upTo(3), []byte{4, 5, 6}, 2, 2},
	} {
		t.Run(fmt.Sprintf("GF(%d) K=%d %d to K=%d %d", c.field.order(), c.k, c.old, c.kNew, c.new), func(t *testing.T) {
			epochs := line(c.field, 1, c.k, c.kNew)
			for _, own := range subsets(c.old, c.k-1) {
				for _, taken := range subsets(c.new, c.kNew-1) {
					for _, other := range without(c.old, own...) {
						m := attempt(c.old, append(slices.Clone(own), other), c.new, own, toySeed(3, 2))
						epochs[0].holds(t, fmt.Sprintf("own %d taken %d honest %d", own, taken, other),
							epochs[0].shares(own...), epochs[1].shares(taken...), epochs[0].move(epochs[1], own, taken, m))
					}
				}
			}
		})
	}
}

// TestExhaustiveMoveEverySeed: of N=3, K=2 on GF(4).
func TestExhaustiveMoveEverySeed(t *testing.T) {
	t.Parallel()
	epochs, nodes, own := line(gf4, 1, 2, 2), upTo(3), []byte{1}
	for i := range 16 {
		for _, taken := range nodes {
			m := attempt(nodes, []byte{1, 2}, nodes, own, toySeed(byte(i&3), byte(i>>2)))
			epochs[0].holds(t, fmt.Sprintf("taken %d seed %d", taken, i),
				epochs[0].shares(own...), epochs[0].move(epochs[1], own, []byte{taken}, m))
		}
	}
}

// TestExhaustiveMoveByHonestDealers: no dealer is known.
func TestExhaustiveMoveByHonestDealers(t *testing.T) {
	t.Parallel()
	epochs, nodes, own := line(gf4, 1, 2, 2), upTo(3), []byte{1}
	for _, taken := range [][]byte{{1}, {2}} {
		m := attempt(nodes, []byte{2, 3}, nodes, own, toySeed(3, 2))
		epochs[0].holds(t, fmt.Sprintf("taken %d", taken),
			epochs[0].shares(own...), epochs[0].move(epochs[1], own, taken, m))
	}
}

// TestExhaustiveMoveAfterAnAbortedOne: both over one base, with another dealer
// and another new holder known.
func TestExhaustiveMoveAfterAnAbortedOne(t *testing.T) {
	t.Parallel()
	epochs, nodes, own := line(gf4, 1, 2, 2), upTo(3), []byte{1}
	for _, taken := range [][]byte{{1}, {2}, {3}} {
		first := attempt(nodes, []byte{1, 2}, nodes, own, toySeed(3, 2)).abort()
		second := attempt(nodes, []byte{1, 3}, nodes, own, toySeed(1, 3))
		epochs[0].holds(t, fmt.Sprintf("taken %d", taken), epochs[0].shares(own...), epochs[1].shares(3),
			epochs[0].move(epochs[1], own, taken, first), epochs[0].move(epochs[1], own, []byte{3}, second))
	}
}

// TestExhaustiveMoveNotices: the same count finds each way of doing it wrong.
func TestExhaustiveMoveNotices(t *testing.T) {
	t.Parallel()
	epochs, nodes, own := line(gf4, 1, 2, 2), upTo(3), []byte{1}
	from, to := epochs[0], epochs[1]
	fair := attempt(nodes, []byte{1, 2}, nodes, own, toySeed(3, 2))
	for _, f := range moveFlaws([]seed{toySeed(1, 3)}) {
		m := f.change(fair)
		from.breaks(t, f.name, from.shares(own...), from.move(to, own, []byte{3}, m))
	}
	from.breaks(t, "K old shares", from.shares(1, 2), from.move(to, nil, []byte{3}, attempt(nodes, []byte{1, 2}, nodes, nil, toySeed(3, 2))))
	from.breaks(t, "K' new shares of an aborted attempt", from.shares(own...), from.move(to, own, []byte{1, 3}, fair.abort()))
}

// moveFlaw is a rule of the redistribution taken out of an attempt.
type moveFlaw struct {
	name   string
	change func(m move) move
	// told is by how many sets of columns the secret is told; none stands for
	// all of it.
	told int
}

// moveFlaws has those that K-1 old and K'-1 new holders profit from.
func moveFlaws(more []seed) []moveFlaw {
	return []moveFlaw{
		{"two seeds in one session", func(m move) move { m.seeds = slices.Concat(m.seeds, more); return m }, 2},
		{"one dealing under two seeds", func(m move) move { m.again = more; return m }, 1},
		{"mask shares as dealt to new holders kept into the next epoch", func(m move) move { m.kept = more; return m }, 1},
		// New shares, unlike the old ones, tell of K masks with K-1 known: whose
		// nodes are others than before has the masks themselves.
		{"mask shares of old holders kept into the next epoch", func(m move) move { m.worn = more; return m }, 2},
		{"mask columns dealt as constants", func(m move) move { m.flatMasks = true; return m }, 1},
		{"shares dealt as constants", func(m move) move { m.flatShares = true; return m }, 0},
		{"no mask columns in the answers of new holders", func(m move) move { m.bare = true; return m }, 1},
		{"no masks in the answers of old holders", func(m move) move { m.unmasked = true; return m }, 1},
	}
}
