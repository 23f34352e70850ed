package check

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// Pair is two holders of whom at least one is wrong: Dealer dealt wrong values
// to Holder, or Holder says so without reason.
type Pair struct {
	Dealer, Holder byte
}

// finding is what one attempt shows.
type finding struct {
	// bad dealers are wrong if no more than the bound are.
	bad   []byte
	pairs []Pair
	// wrong holders published what does not fit their share; found only where
	// neither dealer nor pair is.
	wrong []byte
	// crossing are pairs of a dealer and a new holder; found only where nobody
	// among the old ones is wrong.
	crossing []Pair
}

// judge decodes what the participants published, in the order of xs, which is
// ascending. [ErrUndecided] when the dealings are sound and the shares are not,
// beyond what can be named.
//
// A dealer whose second kind of answer no polynomial fits, but for floor((n-K)/2)
// points, is wrong: of an honest one no more points can be off. Where points are
// off, nobody else can tell who lies. The first kind says something only when
// the masks are sound.
func (r *rules) judge(k int, xs, dealers []byte, answers []AnswerAnswer) (finding, error) {
	var f finding
	for n, i := range dealers {
		_, off, err := decode(r.columns, k, xs, answers, func(a AnswerAnswer) []byte { return a.Columns[n] })
		if errors.Is(err, shamir.ErrUncorrectable) {
			f.bad = append(f.bad, i)
		} else if err != nil {
			return f, err
		}
		for _, j := range off {
			f.pairs = append(f.pairs, Pair{i, j})
		}
	}
	if len(f.bad) > 0 || len(f.pairs) > 0 {
		return f, nil
	}
	_, wrong, err := decode(r.shares, k, xs, answers, func(a AnswerAnswer) []byte { return a.Shares })
	if errors.Is(err, shamir.ErrUncorrectable) {
		return f, fmt.Errorf("%w: n=%d, K=%d, at most %d can be", ErrUndecided, len(xs), k, boundOf(len(xs), k))
	}
	f.wrong = wrong
	return f, err
}

// decode returns what the polynomials of degree K-1 are at 0, and the points that
// are off them.
func decode(combine func([][]byte, int) (shamir.Robust, error), k int, xs []byte,
	answers []AnswerAnswer, of func(AnswerAnswer) []byte,
) (constant, off []byte, err error) {
	points := make([][]byte, len(xs))
	for n, x := range xs {
		points[n] = slices.Concat([]byte{x}, of(answers[n]))
	}
	decoded, err := combine(points, k)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range decoded.Wrong {
		off = append(off, xs[n])
	}
	return decoded.Secret, off, nil
}

// boundOf is how many wrong ones of n are named for sure.
func boundOf(n, k int) int { return (n - k) / 2 }
