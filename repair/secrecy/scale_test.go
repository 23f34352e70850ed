package secrecy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// shape is how many hold shares of a secret, and how many of them rebuild it.
type shape struct{ n, k int }

func (s shape) String() string { return fmt.Sprintf("N=%d K=%d", s.n, s.k) }

// draw returns so many of the points, at random.
func draw(random *rand.Rand, points []byte, size int) []byte {
	points = slices.Clone(points)
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points[:size]
}

// TestRankRecoveriesAndAudits: K-1 nodes have their shares recovered over and
// over, from other helpers each time, telling helpers what they like, and see
// every answer of five audits. Of the whole payload they learn their own shares
// and nothing else.
func TestRankRecoveriesAndAudits(t *testing.T) {
	for _, s := range []shape{{3, 2}, {5, 3}, {7, 6}, {14, 4}, {14, 9}, {50, 16}, {100, 33}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			rounds := max(1, 100/s.n)
			for round := range rounds {
				learnNothing(t, s, rand.New(rand.NewPCG(uint64(s.n), uint64(round))))
			}
		})
	}
}

func learnNothing(t *testing.T, s shape, random *rand.Rand) {
	t.Helper()
	d, nodes := dealing{field: gf256, k: s.k, size: 4}, upTo(s.n)
	own := draw(random, nodes, s.k-1)
	views := append(d.someRecoveries(random, own, nodes), d.someAudits(t, random, own, nodes)...)
	if got := d.excess(own, views...); got != 0 {
		t.Errorf("nodes %v learn %d bytes beyond their shares", own, got)
	}
	if got := d.leak(append(views, d.shares(own...))...); got != 0 {
		t.Errorf("nodes %v learn %d bytes of the secret", own, got)
	}
}

// someRecoveries is the view of nodes that get their shares, of up to five of
// them: from as many of themselves as may help, from as few, from any, and from
// any K+2 each of whom was told of other helpers.
func (d dealing) someRecoveries(random *rand.Rand, own, nodes []byte) (views []view) {
	for _, x := range own[:min(len(own), 5)] {
		friends, others := without(own, x), without(nodes, own...)
		most := append(slices.Clone(friends), draw(random, others, d.k-len(friends))...)
		some := draw(random, without(nodes, x), d.k)
		few := append(draw(random, others, min(d.k, len(others))), friends[:max(0, d.k-len(others))]...)
		for _, helpers := range [][]byte{most, some, few} {
			views = append(views, d.recovery(own, flaw{}, asks(x, helpers...)...))
		}
		views = append(views, d.recovery(own, flaw{}, d.mixedAsks(random, x, nodes)...))
	}
	return views
}

func (d dealing) mixedAsks(random *rand.Rand, x byte, nodes []byte) (asked []ask) {
	helpers := without(nodes, x)
	for _, helper := range draw(random, helpers, min(d.k+2, len(helpers))) {
		told := append(draw(random, without(helpers, helper), d.k-1), helper)
		asked = append(asked, ask{helper, x, told})
	}
	return asked
}

// someAudits is the view of five audits by some or all. One dealer is honest,
// and in small clusters any number.
func (d dealing) someAudits(t *testing.T, random *rand.Rand, own, nodes []byte) (views []view) {
	t.Helper()
	for range 5 {
		participants := draw(random, nodes, d.k+1+random.IntN(len(nodes)-d.k))
		honest := without(draw(random, participants, d.k), own...)
		if len(nodes) > 7 || len(honest) == 0 {
			honest = without(participants, own...)[:1]
		}
		s := drawSeed(t, random, d.size)
		views = append(views, d.audit(own, audit{participants: participants, honest: honest, seeds: []seed{s}}))
	}
	return views
}

// TestRankAttacksOnRecovery: each rule that is taken out gives K-1 nodes the
// secret, and with the rule the same questions give them nothing.
func TestRankAttacksOnRecovery(t *testing.T) {
	for _, s := range []shape{{5, 3}, {14, 4}, {14, 9}, {100, 33}} {
		d, nodes := dealing{field: gf256, k: s.k, size: 4}, upTo(s.n)
		own := nodes[:s.k-1]
		for _, attack := range d.attacks(nodes) {
			t.Run(s.String()+" "+attack.name, func(t *testing.T) {
				shares := d.shares(own...)
				if got := d.leak(shares, attack.broken); got != d.size {
					t.Errorf("%d bytes of the secret are told, not %d", got, d.size)
				}
				if got := d.excess(own, attack.sound); got != 0 {
					t.Errorf("with the rule, %d bytes are told beyond the shares", got)
				}
			})
		}
	}
}

// attack is what K-1 nodes, who have the points up to K-1, see of one recovery
// without a rule and with it.
type attack struct {
	name          string
	broken, sound view
}

// attacks has the recovering node at x = 1, with K-2 accomplices, and at least
// three honest nodes a, b, c.
func (d dealing) attacks(nodes []byte) []attack {
	own, friends := nodes[:d.k-1], nodes[1:d.k-1]
	a, b, c := nodes[d.k-1], nodes[d.k], nodes[d.k+1]
	ab := append(slices.Clone(friends), a, b)
	fair := asks(1, ab...)
	sound := d.recovery(own, flaw{}, fair...)

	// Each is told of the neighbours that make its masks cancel with theirs.
	path := []ask{{a, 1, ab}, {b, 1, append(friends[1:len(friends):len(friends)], a, b, c)}, {c, 1, append(slices.Clone(friends), b, c)}}
	// 1 and 2 are both of the attackers.
	abc := append(slices.Clone(friends[1:]), a, b, c)
	points := []ask{{a, 1, abc}, {b, 1, abc}, {c, 2, abc}}
	few := asks(1, ab[1:]...)
	made := upTo(255)[255-(d.k-1):]

	return []attack{
		{"no masks", d.recovery(own, flaw{unmasked: true}, fair...), sound},
		{"session without helpers", d.recovery(own, flaw{noHelpers: true}, path...), d.recovery(own, flaw{}, path...)},
		{"session without point", d.recovery(own, flaw{noPoint: true}, points...), d.recovery(own, flaw{}, points...)},
		{"fewer helpers than K", d.recovery(own, flaw{}, few...), sound},
		{"helpers with keys of the attackers", d.recovery(append(made, own...), flaw{}, asks(1, append(made, a)...)[d.k-1]), sound},
		{"toward 0", d.recovery(own, flaw{}, asks(0, append(slices.Clone(friends), a, b)...)...), sound},
		{"contributions to one who does not hold the point", d.recovery(own, flaw{}, asks(c, append(slices.Clone(own), a)...)...), sound},
	}
}

// TestRankOfKNodes: K shares are the secret, so that the tests above can fail.
func TestRankOfKNodes(t *testing.T) {
	for _, s := range []shape{{3, 2}, {5, 3}, {100, 33}} {
		d := dealing{field: gf256, k: s.k, size: 4}
		if got := d.leak(d.shares(upTo(s.k)...)); got != d.size {
			t.Errorf("%s: %d of %d bytes are told", s, got, d.size)
		}
		if got := d.leak(d.shares(upTo(s.k - 1)...)); got != 0 {
			t.Errorf("%s: %d bytes are told to K-1", s, got)
		}
	}
}

// TestRankAttacksOnAudit: masks used twice, no masks, or none that is unknown.
// Two seeds of one check tell most: the answers of the second kind then tell the
// masks, and both answers on the shares lie bare.
func TestRankAttacksOnAudit(t *testing.T) {
	for _, s := range []shape{{5, 3}, {14, 9}, {50, 16}} {
		random := rand.New(rand.NewPCG(uint64(s.n), 5))
		d, nodes := dealing{field: gf256, k: s.k, size: 40}, upTo(s.n)
		own := nodes[:s.k-1]
		drawn := []seed{drawSeed(t, random, d.size), drawSeed(t, random, d.size)}
		fair := audit{participants: nodes[:s.k+2], honest: nodes[s.k : s.k+1], seeds: drawn[:1]}
		two, kept, unmasked, dishonest := fair, fair, fair, fair
		two.seeds, unmasked.unmasked, dishonest.honest = drawn, true, nil
		kept.seeds = []seed{drawn[0], {drawn[1].vectors, drawn[1].matrix, 1}}
		for name, c := range map[string]struct {
			audit audit
			told  int
		}{
			"sound":                        {fair, 0},
			"masks kept for another check": {kept, columns},
			"two seeds of one check":       {two, 2 * columns},
			"no masks":                     {unmasked, columns},
			"every dealer is an attacker":  {dishonest, columns},
		} {
			t.Run(s.String()+" "+name, func(t *testing.T) {
				if got := d.leak(d.shares(own...), d.audit(own, c.audit)); got != c.told {
					t.Errorf("%d bytes are told, not %d", got, c.told)
				}
			})
		}
	}
}

// TestRankThirdAudit: without masks the 32 random bytes at the end of a payload
// hide it from two audits of 16 bytes each, and not from a third. With masks
// any number of audits tells nothing, be there a pad or not.
func TestRankThirdAudit(t *testing.T) {
	const secret, pad = 40, 32
	random := rand.New(rand.NewPCG(7, 7))
	d, nodes := dealing{field: gf256, k: 3, size: secret + pad, pad: pad}, upTo(5)
	own := nodes[:2]
	bare, masked := []view{d.shares(own...)}, []view{d.shares(own...)}
	for i, want := range []int{0, 0, 16, 32, 40, 40} {
		a := audit{participants: nodes, honest: nodes[4:], seeds: []seed{drawSeed(t, random, d.size)}}
		masked = append(masked, d.audit(own, a))
		a.unmasked = true
		bare = append(bare, d.audit(own, a))
		if got := d.leak(bare...); got != want {
			t.Errorf("%d audits without masks tell %d bytes, not %d", i+1, got, want)
		}
		if got := d.leak(masked...) + d.excess(own, masked...); got != 0 {
			t.Errorf("%d audits with masks tell %d bytes", i+1, got)
		}
	}
}
