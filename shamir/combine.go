package shamir

import "encoding/binary"

// Combine rebuilds the secret by interpolating at 0 through all the shares
// given. It cannot tell whether they are enough, right, or of one split: with
// fewer than k, or a wrong one among them, the result is noise, so whoever
// calls it authenticates what comes out. Any shares beyond k must fit the
// polynomial too; [Consistent] checks that.
//
// Errors: [ErrTooFewShares] for fewer than two, [ErrZeroPoint],
// [ErrRepeatedPoint], [ErrUnequalLengths], [ErrEmpty].
func Combine(shares [][]byte) ([]byte, error) {
	points, payloads, err := open(shares, minThreshold)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, len(payloads[0]))
	weightedSum(secret, lagrange(points, 0), payloads)
	return secret, nil
}

// lagrange returns the weight of each point's value in the value at x:
// the product of (x-other)/(point-other) over all other points. It computes
// eight weights at a time.
func lagrange(points []byte, x byte) []byte {
	weights := make([]byte, 0, len(points)+7)
	for first := 0; first < len(points); first += 8 {
		own := packLanes(points[first:min(first+8, len(points))])
		numerator, denominator := uint64(lanes), uint64(lanes)
		for i, other := range points {
			skip := laneMask(i - first)
			numerator = mulLanes(numerator, unless(skip, uint64(x^other)*lanes))
			denominator = mulLanes(denominator, unless(skip, own^uint64(other)*lanes))
		}
		weights = binary.LittleEndian.AppendUint64(weights, mulLanes(numerator, invLanes(denominator)))
	}
	return weights[:len(points)]
}
