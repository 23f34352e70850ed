package secrecy

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// holding is who holds the shares of one epoch, and how many of them rebuild
// the secret.
type holding struct {
	nodes []byte
	k     int
}

// change is a redistribution.
type change struct {
	name     string
	old, new holding
}

// among returns the points from low to high.
func among(low, high int) []byte { return upTo(high)[low-1:] }

var changes = []change{
	{"(5,3) refreshed", holding{upTo(5), 3}, holding{upTo(5), 3}},
	{"(5,3) to (6,4)", holding{upTo(5), 3}, holding{upTo(6), 4}},
	{"(5,3) to (6,3)", holding{upTo(5), 3}, holding{upTo(6), 3}},
	{"(6,4) to (5,3), two dropped and one new", holding{upTo(6), 4}, holding{[]byte{1, 2, 3, 4, 7}, 3}},
	{"(5,3) to (5,3) without a common holder", holding{upTo(5), 3}, holding{among(6, 10), 3}},
	{"(3,2) to (9,6) without a common holder", holding{upTo(3), 2}, holding{among(20, 28), 6}},
	{"(9,6) to (3,2)", holding{upTo(9), 6}, holding{among(8, 10), 2}},
	{"(14,4) refreshed", holding{upTo(14), 4}, holding{upTo(14), 4}},
	{"(14,4) to (14,9)", holding{upTo(14), 4}, holding{upTo(14), 9}},
	{"(30,16) to (30,16), ten replaced", holding{upTo(30), 16}, holding{among(11, 40), 16}},
}

// TestRankMoves: two attempts are given up, a third is committed. K-1 of the old
// and K'-1 of the new holders, or all K-1 as dealers, see every answer. Of the
// payload and both dealings they learn their shares and nothing else.
func TestRankMoves(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for round := range max(1, 28/len(c.old.nodes)) {
				random := rand.New(rand.NewPCG(uint64(len(c.new.nodes)), uint64(round)))
				own := draw(random, c.old.nodes, c.old.k-1)
				c.learnNothing(t, random, own, draw(random, c.new.nodes, c.new.k-1))
			}
		})
	}
}

// TestRankEveryMove: every K-1 old and every K'-1 new holders.
func TestRankEveryMove(t *testing.T) {
	for _, c := range changes[:5] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			epochs, random := line(gf256, 2, c.old.k, c.new.k), rand.New(rand.NewPCG(1, 1))
			for _, own := range subsets(c.old.nodes, c.old.k-1) {
				for _, taken := range subsets(c.new.nodes, c.new.k-1) {
					m := c.worst(own, drawSeed(t, random, 2))
					shares := join(epochs[0], epochs[0].shares(own...), epochs[1].shares(taken...))
					if got := epochs[0].beyond(shares, epochs[0].move(epochs[1], own, taken, m)); got != 0 {
						t.Errorf("old %d and new %d learn %d bytes beyond their shares", own, taken, got)
					}
				}
			}
		})
	}
}

func (c change) learnNothing(t *testing.T, random *rand.Rand, own, taken []byte) {
	t.Helper()
	epochs := line(gf256, 4, c.old.k, c.new.k)
	from, to := epochs[0], epochs[1]
	views := []view{
		from.move(to, own, draw(random, c.new.nodes, c.new.k-1), c.worst(own, drawSeed(t, random, from.size)).abort()),
		from.move(to, own, draw(random, c.new.nodes, c.new.k-1), c.attempt(t, random, own).abort()),
		from.move(to, own, taken, c.attempt(t, random, own)),
	}
	shares := join(from, from.shares(own...), to.shares(taken...))
	seen := view{rows: from.learnt(views...)}
	if got := from.beyond(shares, seen); got != 0 {
		t.Errorf("old %v and new %v learn %d bytes beyond their shares", own, taken, got)
	}
	if got := from.leak(seen, shares); got != 0 {
		t.Errorf("old %v and new %v learn %d bytes of the secret", own, taken, got)
	}
}

// attempt is one by some or all, with any dealers. In large clusters one of
// these is honest.
func (c change) attempt(t *testing.T, random *rand.Rand, own []byte) move {
	t.Helper()
	if len(c.old.nodes) > 14 || len(c.old.nodes) > 7 && random.IntN(4) > 0 {
		return c.worst(own, drawSeed(t, random, 4))
	}
	old := draw(random, c.old.nodes, c.old.k+1+random.IntN(len(c.old.nodes)-c.old.k))
	targets := draw(random, c.new.nodes, c.new.k+1+random.IntN(len(c.new.nodes)-c.new.k))
	return attempt(old, draw(random, old, c.old.k), targets, own, drawSeed(t, random, 4))
}

// worst is an attempt by all in which one dealer is honest.
func (c change) worst(own []byte, seeds ...seed) move {
	dealers := append(slices.Clone(own), without(c.old.nodes, own...)[:c.old.k-len(own)]...)
	return attempt(c.old.nodes, dealers, c.new.nodes, own, seeds...)
}

// TestRankSubSharesAddUp: what K'-1 new holders receive are their new shares,
// and what K' do is the secret.
func TestRankSubSharesAddUp(t *testing.T) {
	for _, c := range changes {
		epochs, own := line(gf256, 4, c.old.k, c.new.k), c.old.nodes[:c.old.k-1]
		m := c.worst(own, drawSeed(t, rand.New(rand.NewPCG(3, 3)), 4))
		for _, count := range []int{c.new.k - 1, c.new.k} {
			taken := c.new.nodes[:count]
			seen := []view{epochs[0].shares(own...), epochs[0].move(epochs[1], own, taken, m)}
			shares := epochs[0].rank(epochs[0].learnt(seen...))
			if got := epochs[0].rank(epochs[0].learnt(append(seen, epochs[1].shares(taken...))...)); got != shares {
				t.Errorf("%s: %d new shares tell %d bytes more than was dealt", c.name, count, got-shares)
			}
			if got, want := epochs[0].leak(seen...), 4*(count+1-c.new.k); got != want {
				t.Errorf("%s: %d new holders are told %d bytes of the secret, not %d", c.name, count, got, want)
			}
		}
	}
}

// TestRankAttacksOnMoves: each rule that is taken out tells of the secret, by
// as much as it says, and with the rule the same nodes learn nothing.
func TestRankAttacksOnMoves(t *testing.T) {
	for _, c := range slices.Concat(changes[:5], changes[7:8]) {
		random := rand.New(rand.NewPCG(uint64(len(c.old.nodes)), 9))
		epochs := line(gf256, 40, c.old.k, c.new.k)
		from, to := epochs[0], epochs[1]
		own, taken := c.old.nodes[:c.old.k-1], c.new.nodes[len(c.new.nodes)-c.new.k+1:]
		fair := c.worst(own, drawSeed(t, random, from.size))
		shares := join(from, from.shares(own...), to.shares(taken...))
		if got := from.leak(shares, from.move(to, own, taken, fair)); got != 0 {
			t.Errorf("%s: with all rules, %d bytes are told", c.name, got)
		}
		for _, f := range moveFlaws([]seed{drawSeed(t, random, from.size)}) {
			t.Run(c.name+" "+f.name, func(t *testing.T) {
				want := f.told * columns
				if want == 0 {
					want = from.size
				}
				if got := from.leak(shares, from.move(to, own, taken, f.change(fair))); got != want {
					t.Errorf("%d bytes of the secret are told, not %d", got, want)
				}
			})
		}
	}
}

// TestRankMovesAndBounds: nodes above the bound of an epoch have the secret,
// however they came to be there, and those at it have nothing.
func TestRankMovesAndBounds(t *testing.T) {
	for _, c := range changes {
		epochs := line(gf256, 4, c.old.k, c.new.k)
		from, to := epochs[0], epochs[1]
		own, taken := c.old.nodes[:c.old.k-1], c.new.nodes[:c.new.k-1]
		one, newcomer := c.old.nodes[c.old.k:c.old.k+1], byte(99)
		random := rand.New(rand.NewPCG(4, 4))
		fresh := func() move { return c.worst(own, drawSeed(t, random, 4)) }
		grown := c
		grown.new.nodes = append(slices.Clone(c.new.nodes), newcomer)
		for _, a := range []struct {
			name          string
			broken, sound []view
		}{
			{
				"K nodes of one epoch",
				[]view{from.shares(c.old.nodes[:c.old.k]...)},
				[]view{from.shares(own...), to.shares(taken...)},
			}, {
				"an old share kept after the round",
				[]view{from.shares(own...), from.move(to, own, taken, fresh()), from.shares(one...)},
				[]view{from.shares(own...), from.move(to, own, taken, fresh()), to.shares(taken...)},
			}, {
				"K' prepared shares of an aborted attempt",
				[]view{from.shares(own...), from.move(to, own, c.new.nodes[:c.new.k], fresh().abort())},
				[]view{from.shares(own...), from.move(to, own, taken, fresh().abort())},
			}, {
				"what was dealt in one attempt dealt to others in the next",
				[]view{from.shares(own...), from.move(to, own, draw(random, c.new.nodes, c.new.k), fresh().abort())},
				[]view{
					from.shares(own...), from.move(to, own, taken, fresh().abort()),
					from.move(to, own, c.new.nodes[len(c.new.nodes)-c.new.k+1:], fresh().abort()),
				},
			}, {
				"a newcomer's point on the old polynomial",
				[]view{from.shares(own...), from.recovery(append(slices.Clone(own), newcomer), flaw{}, asks(newcomer, c.old.nodes[:c.old.k]...)...)},
				[]view{from.shares(own...), from.move(to, own, append(taken[1:len(taken):len(taken)], newcomer), grown.worst(own, drawSeed(t, random, 4)))},
			},
		} {
			t.Run(c.name+" "+a.name, func(t *testing.T) {
				if got := from.leak(a.broken...); got != from.size {
					t.Errorf("%d bytes of the secret are told, not %d", got, from.size)
				}
				if got := from.leak(a.sound...); got != 0 {
					t.Errorf("with the rule, %d bytes of the secret are told", got)
				}
			})
		}
	}
}

// TestRankLoweredThreshold: K-1 nodes that stay when K falls to no more than
// that many have the secret as soon as new shares are dealt to them, committed
// or not: who is both old and new holder counts for both.
func TestRankLoweredThreshold(t *testing.T) {
	c := changes[3]
	epochs, own := line(gf256, 4, c.old.k, c.new.k), c.old.nodes[:c.old.k-1]
	random := rand.New(rand.NewPCG(6, 6))
	for stayed, want := range []int{0, 0, 0, 4} {
		m := c.worst(own, drawSeed(t, random, 4)).abort()
		if got := epochs[0].leak(epochs[0].shares(own...), epochs[0].move(epochs[1], own, own[:stayed], m)); got != want {
			t.Errorf("%d of %d: %d bytes are told, not %d", own[:stayed], own, got, want)
		}
	}
}
