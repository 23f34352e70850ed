package shamir

import (
	"errors"
	"fmt"
	"slices"
)

// ErrUncorrectable reports more wrong shares than can be told from right ones.
var ErrUncorrectable = errors.New("more shares are wrong than can be told apart")

// Robust is what [CombineRobust] found.
type Robust struct {
	Secret  []byte
	Wrong   []int // positions in shares, ascending, of the wrong ones
	Bound   int   // floor((n-k)/2): that many wrong shares are always found and named
	Checked bool  // false when n = k: then a wrong share cannot be told
}

// CombineRobust rebuilds the secret from n shares of threshold k although some
// are wrong in any number of bytes, and names the wrong ones. It needs no
// hashes: shares are words of a Reed-Solomon code (R. J. McEliece,
// D. V. Sarwate, On Sharing Secrets and Reed-Solomon Codes, CACM 24(9), 1981).
//
// It succeeds if and only if polynomials of degree below k go through all but
// at most Bound of the shares. There are never two sets of such polynomials,
// so how many of the n shares are wrong decides what comes out:
//
//   - At most Bound: the secret, and Wrong is exactly the wrong ones.
//   - More, but at most n-k-Bound: ErrUncorrectable.
//   - More still: ErrUncorrectable, unless the wrong shares happen to lie on
//     other polynomials together with right ones, all but Bound of them. Then
//     Secret is what those polynomials hold and Wrong names right shares.
//     Errors in a single byte may get there; independent ones in 32 bytes or
//     more do not; guardians who conspire can. So whoever calls this
//     authenticates what comes out.
//
// Nothing in it is random. It branches on the errors, never on the secret: see
// sieve.
//
// Errors: [ErrThreshold] unless k is 2 to 255, [ErrTooFewShares] for fewer
// than k, [ErrUncorrectable], and those of [Combine]. With an error the result
// is empty.
func CombineRobust(shares [][]byte, k int) (Robust, error) {
	if err := checkThreshold(k); err != nil {
		return Robust{}, err
	}
	points, payloads, err := open(shares, k)
	if err != nil {
		return Robust{}, err
	}
	bound := (len(shares) - k) / 2
	s := newSieve(points, payloads, k, bound)
	if err := s.run(); err != nil {
		return Robust{}, fmt.Errorf("%w: more than %d of %d", err, bound, len(shares))
	}
	slices.Sort(s.wrong)
	secret := make([]byte, len(s.payloads[0]))
	weightedSum(secret, lagrange(s.points[:k], 0), s.payloads[:k])
	return Robust{Secret: secret, Wrong: s.wrong, Bound: bound, Checked: len(shares) > k}, nil
}
