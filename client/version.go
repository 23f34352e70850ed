package client

import (
	"math"
	"slices"
)

// maxStep bounds how far above what was rebuilt a claim is believed that
// fewer than K guardians make: a liar must not use up the version space, nor
// make a gap that Pull would not look into for what was retained below it.
const maxStep = 16

// nextVersion returns the version to push: one above the highest that was
// rebuilt or bears the owner's manifest (0 when none does) and above every
// claim that is believed. Claims
// are the current versions that guardians named, one each; one that lies
// further than maxStep above what was rebuilt is believed only when at least
// k guardians claim that much or more.
func nextVersion(rebuilt uint64, claims []uint64, k int) (uint64, error) {
	descending := slices.Sorted(slices.Values(claims))
	slices.Reverse(descending)
	current := rebuilt
	for i, claim := range descending {
		if claim <= rebuilt || claim-rebuilt <= maxStep || i+1 >= k {
			current = max(current, claim)
			break
		}
	}
	if current == math.MaxUint64 {
		return 0, ErrVersionSpent
	}
	return current + 1, nil
}
