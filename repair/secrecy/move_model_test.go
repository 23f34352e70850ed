package secrecy

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/shamir"
)

// TestModelledMovesAreAccepted: with values for all unknowns, the rows of the
// model are answers that honest holders accept, and new shares of the same
// secret; not so without mask columns, where the rows would prove nothing.
func TestModelledMovesAreAccepted(t *testing.T) {
	for _, c := range changes[:9] {
		epochs := line(gf256, 5, c.old.k, c.new.k)
		from, to := epochs[0], epochs[1]
		m := c.worst(nil, drawSeed(t, rand.New(rand.NewPCG(2, 2)), from.size))
		v := from.move(to, nil, c.new.nodes, m)
		values := fresh(v.own + from.unknowns())
		if !accepted(t, m, to.k, answered(m, evaluate(v, values))) {
			t.Errorf("%s: the answers do not fit", c.name)
		}
		if c.dealtOtherwise(evaluate(v, values), evaluate(to.shares(c.new.nodes...), values[v.own:]), m) {
			t.Errorf("%s: what is dealt is no share of the next epoch", c.name)
		}
		m.bare = true
		if accepted(t, m, to.k, answered(m, evaluate(from.move(to, nil, c.new.nodes, m), values))) {
			t.Errorf("%s: answers without mask columns fit", c.name)
		}
	}
}

// evaluate returns the bytes that a view is, when the unknowns have these
// values.
func evaluate(v view, values []byte) []byte {
	seen := make([]byte, len(v.rows))
	for i, row := range v.rows {
		seen[i] = shamir.InnerProduct(row, values)
	}
	return seen
}

// published is what old and new holders answer, each after its point: first on
// shares, then for each dealer.
type published struct {
	old [][]byte
	new [][][]byte
}

// answered picks them out of the values of a view in which nothing is known.
func answered(m move, seen []byte) (p published) {
	each := 1 + len(m.honest) // an answer on shares, then a test of each dealer
	for _, x := range m.participants {
		a := []byte{x}
		for i := range columns {
			a = append(a, seen[i*each])
		}
		p.old, seen = append(p.old, a), seen[columns*each:]
	}
	dealt := len(seen)/len(m.honest) - len(m.targets)*columns
	for range m.honest {
		seen = seen[dealt:]
		var c [][]byte
		for _, x := range m.targets {
			c, seen = append(c, append([]byte{x}, seen[:columns]...)), seen[columns:]
		}
		p.new = append(p.new, c)
	}
	return p
}

// accepted is the rule by which holders judge.
func accepted(t *testing.T, m move, k int, p published) bool {
	t.Helper()
	fits, err := shamir.Consistent(p.old, len(m.dealers))
	for i, c := range p.new {
		of, errOf := shamir.Consistent(c, k)
		fits = fits && of && err == nil && errOf == nil && slices.Equal(at(c[:k], 0), due(m, i, p.old))
	}
	return fits
}

// at returns the value at x of the polynomials through these points.
func at(points [][]byte, x byte) []byte {
	var xs []byte
	var rows [][]byte
	for _, p := range points {
		xs, rows = append(xs, p[0]), append(rows, p[1:])
	}
	return gf256.sum(gf256.weights(xs, x), rows)
}

// due is what a dealer's part of the answers on shares weighs in that at 0.
func due(m move, dealer int, answers [][]byte) []byte {
	weight := gf256.weights(m.dealers, 0)[slices.Index(m.dealers, m.honest[dealer])]
	row := answers[slices.Index(m.participants, m.honest[dealer])][1:]
	return gf256.sum([]byte{weight}, [][]byte{row})
}

// dealtOtherwise tells whether what was dealt of the shares, summed over the
// dealers, is anything but the new shares.
func (c change) dealtOtherwise(seen, shares []byte, m move) bool {
	const size = 5
	seen = seen[len(m.participants)*columns*(1+len(m.honest)):]
	each := len(seen) / len(m.honest)
	for n := range m.targets {
		sum := make([]byte, size)
		for dealer := range m.honest {
			from := dealer*each + n*(size+columns)
			sum = gf256.sum([]byte{1, 1}, [][]byte{sum, seen[from : from+size]})
		}
		if !slices.Equal(sum, shares[n*size:(n+1)*size]) {
			return true
		}
	}
	return false
}
