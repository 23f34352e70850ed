package shamir

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
	interpolate(secret, lagrange(points, 0), payloads)
	return secret, nil
}

// interpolate sets dst to the polynomials' values at the point that the
// weights were computed for.
func interpolate(dst, weights []byte, payloads [][]byte) {
	rows := make([][]byte, len(payloads))
	blocks(len(dst), func(from, to int) {
		for i, payload := range payloads {
			rows[i] = payload[from:to]
		}
		weightedSum(dst[from:to], weights, rows)
	})
}

// lagrange returns the weight of each point's value in the value at x:
// the product of (x-other)/(point-other) over all other points.
func lagrange(points []byte, x byte) []byte {
	weights := make([]byte, len(points))
	for i, point := range points {
		numerator, denominator := byte(1), byte(1)
		for j, other := range points {
			if j != i {
				numerator = mul(numerator, x^other)
				denominator = mul(denominator, point^other)
			}
		}
		weights[i] = mul(numerator, inv(denominator))
	}
	return weights
}
