package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// heldShare is a share and the file that it is in.
type heldShare struct {
	file string
	shareFile
}

// unused is a file, or a share in it, that is left out.
type unused struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

func (u unused) String() string { return shown(u.File) + ": " + u.Reason }

func (h heldShare) unused(reason string) unused {
	return unused{h.file, fmt.Sprintf("its share %d %s", h.point(), reason)}
}

// rebuilt is what came of a split's shares.
type rebuilt struct {
	splitFacts
	payload []byte
	used    int
	unused  []unused
}

// rebuild makes the payload from the shares of one split: the one with the hash
// that they state, or none. An error comes with what was not used, too.
func rebuild(ctx context.Context, held []heldShare) (rebuilt, error) {
	held = withoutCopies(held)
	if err := oneSplit(held); err != nil {
		return rebuilt{}, err
	}
	facts, err := agreedFacts(held)
	if err != nil {
		return rebuilt{}, err
	}
	result, shares := rebuilt{splitFacts: facts}, make([]heldShare, 0, len(held))
	for _, h := range held {
		if h.splitFacts == facts {
			shares = append(shares, h)
		} else {
			result.unused = append(result.unused, h.unused(fmt.Sprintf("contradicts the others: it says %v, they say %v", h.splitFacts, facts)))
		}
	}
	if have := distinctPoints(shares); have < facts.threshold {
		return result, tooFew(facts, have)
	}
	payload, right, err := solve(ctx, facts, shares)
	if err != nil {
		return result, err
	}
	for _, h := range wrongOf(shares, right, facts.threshold) {
		result.unused = append(result.unused, h.unused("does not fit those that make the file"))
		result.used--
	}
	result.payload, result.used = payload, result.used+len(shares)
	return result, nil
}

func tooFew(facts splitFacts, have int) error {
	more := facts.threshold - have
	return &advisedError{
		exitQuorum, fmt.Errorf("too few shares: %d needed, %d here, %d more needed", facts.threshold, have, more),
		fmt.Sprintf("name %d more of the %d share files of split %s", more, facts.shares, facts.name()),
	}
}

// solve returns the payload that has the hash of the facts, and shares that it
// lies on the same polynomials with, K or more. Two wrong shares or more can
// cancel out: then these make the payload, and right ones do not fit them.
func solve(ctx context.Context, facts splitFacts, shares []heldShare) (payload []byte, right []heldShare, err error) {
	if payload, right = decodeShares(facts, undisputed(shares)); payload != nil {
		return payload, right, nil
	}
	if !fewChoices(len(shares), facts.threshold) {
		return nil, nil, tooManyWrong("too many of the %d shares are wrong to tell which", len(shares))
	}
	for choice := range choices(shares, facts.threshold) {
		if ctx.Err() != nil {
			return nil, nil, interrupted(ctx)
		}
		payload, err := shamir.Combine(dataOf(choice))
		if err == nil && sha256.Sum256(payload) == facts.hash {
			return payload, choice, nil
		}
		clear(payload)
	}
	return nil, nil, tooManyWrong("too many shares are wrong: no %d of the %d make the file that was split", facts.threshold, len(shares))
}

func tooManyWrong(format string, args ...any) error {
	return &advisedError{
		exitVerification, fmt.Errorf(format, args...),
		"nothing was written; add other share files of the split, or leave out those that you trust least, and combine again",
	}
}

// decodeShares corrects wrong shares up to what is possible without the hash.
func decodeShares(facts splitFacts, shares []heldShare) (payload []byte, right []heldShare) {
	found, err := shamir.CombineRobust(dataOf(shares), facts.threshold)
	if err != nil {
		return nil, nil
	}
	if sha256.Sum256(found.Secret) != facts.hash {
		clear(found.Secret)
		return nil, nil
	}
	for i, h := range shares {
		if !slices.Contains(found.Wrong, i) {
			right = append(right, h)
		}
	}
	return found.Secret, right
}

// undisputed drops shares that differ at one point.
func undisputed(shares []heldShare) []heldShare {
	at := make(map[byte]int)
	for _, h := range shares {
		at[h.point()]++
	}
	return slices.DeleteFunc(slices.Clone(shares), func(h heldShare) bool { return at[h.point()] > 1 })
}

// wrongOf returns the shares that are not on the polynomials of the right ones.
func wrongOf(shares, right []heldShare, k int) []heldShare {
	return slices.DeleteFunc(slices.Clone(shares), func(h heldShare) bool {
		same := func(other heldShare) bool { return &other.data[0] == &h.data[0] }
		if slices.ContainsFunc(right, same) {
			return true
		}
		// Another share at the point of a right one is refused with an error.
		fits, err := shamir.Consistent(append(dataOf(right[:k]), h.data), k)
		return err == nil && fits
	})
}

func dataOf(shares []heldShare) [][]byte {
	list := make([][]byte, len(shares))
	for i, h := range shares {
		list[i] = h.data
	}
	return list
}
