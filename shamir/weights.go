package shamir

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Weights returns, for polynomials of degree below len(points), what the value
// at each point weighs in the value at x: the Lagrange coefficients. At 0 lies
// the secret. [WeightedSum] forms the value.
//
// Errors: [ErrTooFewShares] for no points, [ErrZeroPoint] and
// [ErrRepeatedPoint] for points that are not distinct and 1 to 255, the latter
// too for an x that is one of them.
func Weights(points []byte, x byte) ([]byte, error) {
	if err := checkPoints(points, 1); err != nil {
		return nil, err
	}
	if slices.Contains(points, x) {
		return nil, fmt.Errorf("%w: %d", ErrRepeatedPoint, x)
	}
	return lagrange(points, x), nil
}

// WeightedSum returns the sum of weights[i]*rows[i], element by element. Time
// and memory accesses depend on weights and lengths, never on an element of a
// row. It panics unless there is a weight for each row and all rows have one
// length.
func WeightedSum(weights []byte, rows [][]byte) []byte {
	var sum []byte
	if len(rows) > 0 {
		sum = make([]byte, len(rows[0]))
	}
	for _, row := range rows {
		if len(row) != len(sum) {
			panic(fmt.Sprintf("shamir: rows of %d and %d elements", len(sum), len(row)))
		}
	}
	weightedSum(sum, weights, rows)
	return sum
}

// InnerProduct returns the sum of a[i]*b[i], in constant time in both. It
// panics unless they have one length.
func InnerProduct(a, b []byte) byte {
	if len(a) != len(b) {
		panic(fmt.Sprintf("shamir: inner product of %d and %d elements", len(a), len(b)))
	}
	var sum uint64
	for len(a) >= 8 {
		sum ^= mulLanes(binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b))
		a, b = a[8:], b[8:]
	}
	sum ^= mulLanes(packLanes(a), packLanes(b))
	sum ^= sum >> 32
	sum ^= sum >> 16
	return byte(sum ^ sum>>8)
}
