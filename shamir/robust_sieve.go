package shamir

import (
	"bytes"
	"slices"
)

// sieveWindow is how many columns are looked at in one go: few enough for the
// rows to stay in the CPU's cache, and for little to be lost when a wrong
// share makes the rest of them be looked at again.
const sieveWindow = 4 << 10

// sieve drops wrong shares until those left agree in every column, the bytes
// that all payloads have at one place.
//
// A column is a word of a Reed-Solomon code of length n and dimension k, which
// can have at most bound errors to be decoded. So it goes through the columns
// up to the first one in which the shares do not agree, decodes that column
// alone, drops the shares that are wrong there, and goes on from there with
// the rest: a code shorter by the shares dropped, with as many fewer errors to
// come. That is one pass over the payloads, and at most bound stops.
//
// It is exact. Columns that all the shares agreed in are agreed in by any of
// them, so at the end polynomials go through all shares left, no fewer than
// n-bound. Other polynomials could share at most k-1 points with these, and so
// not go through n-bound shares: if polynomials do that, every column decodes
// to theirs, and no share of theirs is ever dropped.
//
// It branches on the errors, never on the secret. The difference between a
// share and the polynomials through k others is linear and 0 for right shares,
// whatever they hold, so it depends on the errors alone. It is computed in
// constant time, and then what is branched on is where differences, or sums of
// their multiples, are 0: which shares are wrong, and at which bytes.
type sieve struct {
	k, bound int
	// The shares left; at holds their positions among those given.
	points   []byte
	payloads [][]byte
	at       []int
	wrong    []int
	// parity[i] are the weights with which the first k shares and share k+i
	// add up to the difference between share k+i and its due.
	parity [][]byte
	rows   [][]byte
	window []byte
}

// newSieve takes over points and the outer slice of payloads.
func newSieve(points []byte, payloads [][]byte, k, bound int) *sieve {
	s := &sieve{k: k, bound: bound, points: points, payloads: payloads}
	for i := range points {
		s.at = append(s.at, i)
	}
	s.parity = parityWeights(points, k)
	s.rows = make([][]byte, k+1)
	s.window = make([]byte, min(sieveWindow, len(payloads[0])))
	return s
}

// run returns ErrUncorrectable when more than bound shares would be dropped.
func (s *sieve) run() error {
	defer wipe(s.window) // where the kernels put sums of shares
	size := len(s.payloads[0])
	for column := 0; column < size; {
		end := min(column+len(s.window), size)
		column = s.agreeUpTo(column, end)
		if column == end {
			continue
		}
		if err := s.dropWrongIn(column); err != nil {
			return err
		}
	}
	return nil
}

// agreeUpTo returns the first column of from to end in which the shares do not
// agree, or end.
func (s *sieve) agreeUpTo(from, end int) int {
	for i := s.k; i < len(s.points) && from < end; i++ {
		differences := s.window[:end-from]
		s.difference(differences, i, from)
		end = from + leadingZeros(differences)
	}
	return end
}

// difference sets dst to what share i differs by from the polynomials through
// the first k shares, beginning with the given column.
func (s *sieve) difference(dst []byte, i, column int) {
	for j, payload := range s.payloads[:s.k] {
		s.rows[j] = payload[column : column+len(dst)]
	}
	s.rows[s.k] = s.payloads[i][column : column+len(dst)]
	weightedSum(dst, s.parity[i-s.k], s.rows)
}

// leadingZeros need not be in constant time on differences: see sieve.
func leadingZeros(differences []byte) int {
	if bytes.Equal(differences, zeros[:len(differences)]) {
		return len(differences)
	}
	return slices.IndexFunc(differences, func(d byte) bool { return d != 0 })
}

var zeros [sieveWindow]byte

func (s *sieve) dropWrongIn(column int) error {
	differences := make([]byte, len(s.points))
	for i := s.k; i < len(differences); i++ {
		s.difference(differences[i:i+1], i, column)
	}
	wrong, err := locate(s.points, differences, s.k, s.bound-len(s.wrong))
	if err != nil {
		return err
	}
	for _, i := range slices.Backward(wrong) {
		s.drop(i)
	}
	s.parity = parityWeights(s.points, s.k)
	return nil
}

func (s *sieve) drop(i int) {
	s.wrong = append(s.wrong, s.at[i])
	s.at = slices.Delete(s.at, i, i+1)
	s.points = slices.Delete(s.points, i, i+1)
	s.payloads = slices.Delete(s.payloads, i, i+1)
}

// parityWeights returns, for each point x beyond the first k, the weights of
// the first k values in the value at x, and 1 for the value there is. In
// barycentric form that takes k steps a point, where lagrange takes k^2.
func parityWeights(points []byte, k int) [][]byte {
	base, rest := points[:k], points[k:]
	inverses := multipliers(base)
	parity := make([][]byte, len(rest))
	for i, x := range rest {
		weights, product := make([]byte, k+1), nodeProduct(base, x)
		for j, point := range base {
			weights[j] = mul(product, mul(inverses[j], inv(x^point)))
		}
		weights[k] = 1
		parity[i] = weights
	}
	return parity
}

// nodeProduct returns the product of x-point over all points but x itself.
func nodeProduct(points []byte, x byte) byte {
	product := byte(1)
	for _, point := range points {
		if point != x {
			product = mul(product, x^point)
		}
	}
	return product
}

// multipliers returns, for each point, 1 over the product of its distances to
// the others.
func multipliers(points []byte) []byte {
	inverses := make([]byte, len(points))
	for i, x := range points {
		inverses[i] = inv(nodeProduct(points, x))
	}
	return inverses
}
