package shamir

import "crypto/subtle"

// Consistent reports whether all shares lie on one polynomial of degree below
// k, for every byte of the payload. Shares beyond k are needed to tell: with
// exactly k the answer is always true. False says that at least one share is
// wrong or of another split, not which one.
//
// It compares in constant time, always looks at every share, and leaves no
// copy of anything it computed.
//
// Errors: [ErrThreshold] unless k is 2 to 255, [ErrTooFewShares] for fewer
// than k, and those of [Combine].
func Consistent(shares [][]byte, k int) (bool, error) {
	if err := checkThreshold(k); err != nil {
		return false, err
	}
	points, payloads, err := open(shares, k)
	if err != nil {
		return false, err
	}
	expected := make([]byte, len(payloads[0]))
	defer wipe(expected)
	same := 1
	for i := k; i < len(shares); i++ {
		weightedSum(expected, lagrange(points[:k], points[i]), payloads[:k])
		same &= subtle.ConstantTimeCompare(expected, payloads[i])
	}
	return same == 1, nil
}
