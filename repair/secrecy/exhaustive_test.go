package secrecy

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// distribution goes through all values of the unknowns of a view but the
// secret, which is one element and the last of them. It returns the sum of a
// pseudo-random function of all views: equal distributions have one sum, and
// others do with a probability of about 2^-64.
func (d dealing) distribution(t *testing.T, v view, secret byte, key uint64) (sum uint64) {
	t.Helper()
	unknowns := v.own + d.unknowns() - 1
	if len(v.rows)*d.bits > 64 || d.size != 1 {
		t.Fatalf("a view of %d elements does not fit into a word", len(v.rows))
	}
	var basis [64]uint64 // what each bit of the unknowns changes in the view
	for i := range unknowns {
		for bit := range d.bits {
			basis[i*d.bits+bit] = d.pack(v, i, 1<<bit)
		}
	}
	seen := d.pack(v, unknowns, secret)
	// In the order of a Gray code each step changes one bit.
	for step := uint64(1); ; step++ {
		sum += scramble(seen ^ key)
		if step == 1<<(unknowns*d.bits) {
			return sum
		}
		seen ^= basis[bits.TrailingZeros64(step)]
	}
}

// pack is the view when one unknown has a value and all others are 0.
func (d dealing) pack(v view, unknown int, value byte) (word uint64) {
	for _, row := range v.rows {
		word = word<<d.bits | uint64(d.products[row[unknown]][value])
	}
	return word
}

// scramble is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
func scramble(word uint64) uint64 {
	word = (word ^ word>>30) * 0xbf58476d1ce4e5b9
	word = (word ^ word>>27) * 0x94d049bb133111eb
	return word ^ word>>31
}

// independent goes through everything, and compares all secrets.
func (d dealing) independent(t *testing.T, views ...view) bool {
	t.Helper()
	key := rand.Uint64()
	all := join(d, views...)
	first := d.distribution(t, all, 0, key)
	for secret := 1; secret < d.order(); secret++ {
		if d.distribution(t, all, byte(secret), key) != first {
			return false
		}
	}
	return true
}

// holds fails the test unless the views are independent of the secret, and
// counted and calculated alike.
func (d dealing) holds(t *testing.T, what string, views ...view) {
	t.Helper()
	if !d.independent(t, views...) {
		t.Errorf("%s: the view depends on the secret", what)
	}
	if leak := d.leak(views...); leak != 0 {
		t.Errorf("%s: by rank, %d elements of the secret are told", what, leak)
	}
}

// breaks is its opposite.
func (d dealing) breaks(t *testing.T, what string, views ...view) {
	t.Helper()
	if d.independent(t, views...) {
		t.Errorf("%s: the view does not depend on the secret", what)
	}
	if d.leak(views...) == 0 {
		t.Errorf("%s: by rank, nothing is told", what)
	}
}

// toySeed is a seed with one mask over a payload of one element.
func toySeed(vector, matrix byte) seed {
	return seed{vectors: [][]byte{{vector}}, matrix: [][]byte{{matrix}}}
}

// TestExhaustiveEverySeed goes through all coefficients and all columns of all
// honest dealers, for every secret, node, set of dealers and seed: N=3, K=2 on
// GF(4).
func TestExhaustiveEverySeed(t *testing.T) {
	t.Parallel()
	d, nodes := dealing{field: gf4, k: 2, size: 1}, upTo(3)
	for _, own := range subsets(nodes, d.k-1) {
		for _, dealers := range subsets(nodes, d.k) {
			for i := range 16 {
				s := toySeed(byte(i&3), byte(i>>2))
				a := audit{participants: nodes, honest: without(dealers, own...), seeds: []seed{s}}
				d.holds(t, fmt.Sprintf("node %d dealers %d seed %d", own, dealers, i), d.shares(own...), d.audit(own, a))
			}
		}
	}
}

// TestExhaustiveRecoveriesAndAudits: the share of each node is recovered twice
// and audited twice: N=3, K=2 on GF(4). From here on one dealer is honest; more
// of them can only tell less.
func TestExhaustiveRecoveriesAndAudits(t *testing.T) {
	t.Parallel()
	d, nodes := dealing{field: gf4, k: 2, size: 1}, upTo(3)
	for _, own := range subsets(nodes, d.k-1) {
		others := without(nodes, own...)
		for _, honest := range others {
			first := audit{participants: nodes, honest: []byte{honest}, seeds: []seed{toySeed(1, 2)}}
			second := audit{participants: nodes, honest: []byte{honest}, seeds: []seed{toySeed(3, 1)}}
			d.holds(t, fmt.Sprintf("node %d honest dealer %d", own, honest), d.shares(own...),
				d.recovery(own, flaw{}, asks(own[0], others...)...),
				d.recovery(own, flaw{}, asks(own[0], others...)...),
				d.audit(own, first), d.audit(own, second))
		}
	}
}

// TestExhaustiveFourNodes: N=4 on GF(8), K=2 and K=3, every set of K-1 nodes,
// each with its share recovered from every set of helpers, and audited.
func TestExhaustiveFourNodes(t *testing.T) {
	t.Parallel()
	nodes := upTo(4)
	for _, k := range []int{2, 3} {
		d := dealing{field: gf8, k: k, size: 1}
		for _, own := range subsets(nodes, k-1) {
			name := fmt.Sprintf("K=%d nodes %d", k, own)
			d.holds(t, name+" recover", append(d.allRecoveries(own, nodes), d.shares(own...))...)
			a := audit{participants: nodes, honest: without(nodes, own...)[:1], seeds: []seed{toySeed(5, 3)}}
			d.holds(t, name+" audit", d.shares(own...), d.audit(own, a))
		}
	}
}

// allRecoveries is the view of each of own getting its share from each set of
// helpers.
func (d dealing) allRecoveries(own, nodes []byte) (views []view) {
	for _, x := range own {
		for _, helpers := range subsets(without(nodes, x), d.k) {
			views = append(views, d.recovery(own, flaw{}, asks(x, helpers...)...))
		}
	}
	return views
}

// TestExhaustiveNotices: the same count finds each way of doing it wrong.
func TestExhaustiveNotices(t *testing.T) {
	t.Parallel()
	d, nodes := dealing{field: gf8, k: 2, size: 1}, upTo(4)
	own, all := []byte{1}, d.shares(1)
	check := audit{participants: nodes, honest: []byte{3}, seeds: []seed{toySeed(5, 3)}}

	d.breaks(t, "K nodes", all, d.shares(2))
	d.breaks(t, "no masks in a recovery", all, d.recovery(own, flaw{unmasked: true}, asks(1, 2, 3)...))
	d.breaks(t, "contributions to another node", all, d.recovery(own, flaw{}, asks(4, 1, 3)...))
	d.breaks(t, "toward 0", d.recovery(own, flaw{}, asks(0, 2, 3)...))

	unmasked := check
	unmasked.unmasked = true
	d.breaks(t, "no masks in an audit", all, d.audit(own, unmasked))

	twice := check
	twice.seeds = []seed{toySeed(5, 3), toySeed(2, 7)}
	d.breaks(t, "two answers under one set of masks", all, d.audit(own, twice))

	dishonest := check
	dishonest.honest = nil
	d.breaks(t, "no honest dealer", all, d.audit(own, dishonest))
}
