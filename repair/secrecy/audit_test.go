package secrecy

import (
	"math/rand/v2"
	"testing"
)

// columns is how many masks a check has, and as many columns to test them.
const columns = 16

// seed is what one seed of a check yields.
type seed struct {
	// vectors has a vector over the payload for each mask.
	vectors [][]byte
	// matrix mixes the masks of a dealer.
	matrix [][]byte
	// tests says which set of test columns is added to the mixture: 0, unless
	// dealers deal another for the same masks.
	tests int
}

// audit is one check, all of whose answers are seen.
type audit struct {
	participants []byte
	// honest are the dealers whose columns are unknown; what the others deal is
	// known and left out.
	honest []byte
	// seeds has one, unless somebody gets holders to answer twice.
	seeds []seed
	// unmasked: answers on shares carry no mask.
	unmasked bool
}

// drawSeed expands a seed as the check does.
func drawSeed(t *testing.T, random *rand.Rand, size int) seed {
	t.Helper()
	var digest [32]byte
	for i := range digest {
		digest[i] = byte(random.Uint32())
	}
	return expand(t, digest, size)
}

// column is where a dealer's column begins among the session's unknowns. The
// first are the masks, then come the sets of test columns.
func (d dealing) column(a audit, dealer, set, i int) int {
	masks, sets := len(a.seeds[0].vectors), 1
	for _, s := range a.seeds {
		sets = max(sets, s.tests+1)
	}
	return ((dealer*(1+sets)+set)*masks + i) * d.k
}

// audit is the view of who holds the shares of the points own, and sees every
// answer.
func (d dealing) audit(own []byte, a audit) view {
	v := view{own: d.column(a, len(a.honest), 0, 0)}
	for first := 0; first < v.own; first += d.k {
		for _, x := range own {
			random, _ := v.add(d)
			d.addColumn(random, 1, first, x)
		}
	}
	for _, s := range a.seeds {
		for _, x := range a.participants {
			for i := range s.vectors {
				d.addAnswer(&v, a, s, i, x)
				d.addTests(&v, a, s, i, x)
			}
		}
	}
	return v
}

// addColumn puts weight times the value at x of the column that begins at first
// into the session's part of a row.
func (d dealing) addColumn(part []byte, weight byte, first int, x byte) {
	for power, p := range d.powers(x, d.k) {
		part[first+power] ^= d.products[weight][p]
	}
}

// addAnswer is what the holder at x publishes on its shares.
func (d dealing) addAnswer(v *view, a audit, s seed, i int, x byte) {
	random, dealt := v.add(d)
	for index, weight := range s.vectors[i] {
		d.add(dealt, weight, index, x)
	}
	for dealer := range a.honest {
		if !a.unmasked {
			d.addColumn(random, 1, d.column(a, dealer, 0, i), x)
		}
	}
}

// addTests is what the holder at x publishes on the columns of each dealer.
func (d dealing) addTests(v *view, a audit, s seed, i int, x byte) {
	for dealer := range a.honest {
		random, _ := v.add(d)
		for mask, weight := range s.matrix[i] {
			d.addColumn(random, weight, d.column(a, dealer, 0, mask), x)
		}
		d.addColumn(random, 1, d.column(a, dealer, 1+s.tests, i), x)
	}
}
