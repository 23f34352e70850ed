package secrecy

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// lives are those of a payload over six epochs: refreshed, moved, K raised and
// lowered.
var lives = map[string][]holding{
	"N of 5 to 6, K of 3 and 4": {
		{upTo(5), 3},
		{upTo(5), 3},
		{upTo(6), 4},
		{[]byte{1, 2, 3, 4, 7, 8}, 4},
		{[]byte{1, 2, 3, 4, 7}, 3},
		{among(9, 13), 3},
	},
	"K raised and lowered at every round": {
		{upTo(9), 3},
		{upTo(9), 6},
		{upTo(9), 2},
		{upTo(9), 5},
		{upTo(9), 4},
		{upTo(9), 7},
	},
	"N=14 K=4, refreshed": {
		{upTo(14), 4},
		{upTo(14), 4},
		{upTo(14), 4},
		{upTo(14), 4},
		{upTo(14), 4},
		{upTo(14), 4},
	},
}

// ways are how an adversary chooses its nodes, K-1 in each epoch.
var ways = map[string]func(random *rand.Rand, epoch int, h holding) []byte{
	"the same": func(_ *rand.Rand, _ int, h holding) []byte { return h.nodes[:h.k-1] },
	"the last": func(_ *rand.Rand, _ int, h holding) []byte { return h.nodes[len(h.nodes)-h.k+1:] },
	"sliding":  func(_ *rand.Rand, epoch int, h holding) []byte { return around(h, epoch) },
	"disjoint": func(_ *rand.Rand, epoch int, h holding) []byte { return around(h, epoch*(h.k-1)) },
	"random":   func(random *rand.Rand, _ int, h holding) []byte { return draw(random, h.nodes, h.k-1) },
}

// around returns K-1 holders from the one at first on, the first after the last.
func around(h holding, first int) []byte {
	first %= len(h.nodes)
	return slices.Concat(h.nodes[first:], h.nodes[:first])[:h.k-1]
}

// life is all that happens to one payload.
type life struct {
	epochs   []dealing
	holdings []holding
	// nodes are the adversary's in each epoch, as holders of it.
	nodes [][]byte
}

func newLife(random *rand.Rand, size int, holdings []holding, way func(*rand.Rand, int, holding) []byte) life {
	l := life{holdings: holdings}
	var thresholds []int
	for e, h := range holdings {
		thresholds, l.nodes = append(thresholds, h.k), append(l.nodes, way(random, e, h))
	}
	l.epochs = line(gf256, size, thresholds...)
	return l
}

// shares are those of the adversary, of all epochs.
func (l life) shares() view {
	var views []view
	for e, d := range l.epochs {
		views = append(views, d.shares(l.nodes[e]...))
	}
	return join(l.epochs[0], views...)
}

// sees is what the adversary does of all protocols, in all epochs: recoveries,
// audits, and from one to the next what moves are.
func (l life) sees(t *testing.T, random *rand.Rand) (views []view) {
	t.Helper()
	for e, d := range l.epochs {
		views = append(views, d.someRecoveries(random, l.nodes[e], l.holdings[e].nodes)...)
		views = append(views, d.someAudits(t, random, l.nodes[e], l.holdings[e].nodes)...)
	}
	return append(views, l.moves(t, random, func(_ int, m move) move { return m })...)
}

// moves are, in each round, an attempt that is given up and one that is
// committed, which may be changed.
func (l life) moves(t *testing.T, random *rand.Rand, change func(round int, m move) move) (views []view) {
	t.Helper()
	for round := range len(l.epochs) - 1 {
		c := l.change(round)
		from, to, own := l.epochs[round], l.epochs[round+1], l.nodes[round]
		views = append(views,
			from.move(to, own, draw(random, c.new.nodes, c.new.k-1), c.attempt(t, random, own).abort()),
			from.move(to, own, l.nodes[round+1], change(round, c.attempt(t, random, own))))
	}
	return views
}

func (l life) change(round int) change {
	return change{old: l.holdings[round], new: l.holdings[round+1]}
}

// TestRankMobileAdversary: K-1 nodes in each of six epochs, others or the same,
// as old and as new holders, learn their shares and nothing else.
func TestRankMobileAdversary(t *testing.T) {
	for life, holdings := range lives {
		for way, choose := range ways {
			t.Run(life+", "+way, func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(len(life)), uint64(len(way))))
				l := newLife(random, 4, holdings, choose)
				seen := view{rows: l.epochs[0].learnt(l.sees(t, random)...)}
				if got := l.epochs[0].beyond(l.shares(), seen); got != 0 {
					t.Errorf("nodes %v learn %d bytes beyond their shares", l.nodes, got)
				}
				if got := l.epochs[0].leak(seen, l.shares()); got != 0 {
					t.Errorf("nodes %v learn %d bytes of the secret", l.nodes, got)
				}
			})
		}
	}
}

// TestRankMobileAdversaryAtTheBound: one node more in any one epoch is the
// secret, and so is a share of it that outlived its epoch; that a node returns
// to the adversary in a later epoch is nothing.
func TestRankMobileAdversaryAtTheBound(t *testing.T) {
	for life, holdings := range lives {
		random := rand.New(rand.NewPCG(8, 8))
		l := newLife(random, 4, holdings, ways["random"])
		seen := view{rows: l.epochs[0].learnt(append(l.sees(t, random), l.shares())...)}
		for e, d := range l.epochs {
			one := without(l.holdings[e].nodes, l.nodes[e]...)[:1]
			if got := d.leak(seen, d.shares(one...)); got != d.size {
				t.Errorf("%s: with node %d more in epoch %d, %d bytes are told, not %d", life, one, e, got, d.size)
			}
			if got := d.leak(seen, d.shares(l.nodes[e]...)); got != 0 {
				t.Errorf("%s: with its own shares of epoch %d once more, %d bytes are told", life, e, got)
			}
		}
	}
}

// TestRankMobileAttacks: a rule that is left out in one of five rounds tells of
// the secret, however well all others are done.
func TestRankMobileAttacks(t *testing.T) {
	holdings := lives["N of 5 to 6, K of 3 and 4"]
	for round := range len(holdings) - 1 {
		random := rand.New(rand.NewPCG(9, uint64(round)))
		l := newLife(random, 4, holdings, ways["random"])
		for _, f := range moveFlaws([]seed{drawSeed(t, random, 4)}) {
			views := l.moves(t, random, func(at int, m move) move {
				if at == round {
					return f.change(m)
				}
				return m
			})
			if got := l.epochs[0].leak(append(views, l.shares())...); got != 4 {
				t.Errorf("%s in round %d: %d bytes of the secret are told, not 4", f.name, round, got)
			}
		}
	}
}
