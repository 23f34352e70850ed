package shamir

// KeySize is the length of a key of [ShareAt].
const KeySize = 32

// ShareAt returns the share that [Split] would give the point x, were the higher
// coefficients those that the key stands for: with one key, secret and k, the
// shares of any points are of one sharing. So whoever splits for many need not
// hold all shares at once.
//
// The key is 32 random bytes, as secret as what is split. It serves one secret
// and one k: with a second, shares of fewer than k points tell how the two
// differ. It takes as long as Split does for one point.
//
// Errors: [ErrThreshold] unless k is 2 to 255, [ErrZeroPoint], [ErrEmpty].
func ShareAt(key *[KeySize]byte, secret []byte, k int, x byte) ([]byte, error) {
	points := []byte{x}
	if err := checkThreshold(k); err != nil {
		return nil, err
	}
	if err := checkPoints(points, 1); err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, ErrEmpty
	}
	coefficients, err := keystreamOf(key)
	if err != nil {
		return nil, err
	}
	return evaluate(secret, k, points, coefficients)[0], nil
}
