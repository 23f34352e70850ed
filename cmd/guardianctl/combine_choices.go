package main

import (
	"iter"

	"github.com/vault-guardian/guardian/shamir"
)

// maxChoices bounds how many choices of K shares are tried: all there are of
// any twelve shares.
const maxChoices = 1000

// fewChoices reports whether k of n shares can be chosen in at most maxChoices
// ways.
func fewChoices(n, k int) bool {
	ways := 1
	for i := range min(k, n-k) {
		if ways = ways * (n - i) / (i + 1); ways > maxChoices {
			return false
		}
	}
	return true
}

// choices goes through every k of the shares, in lexical order. What it yields
// changes with the next one.
func choices(shares []heldShare, k int) iter.Seq[[]heldShare] {
	return func(yield func([]heldShare) bool) {
		chosen := make([]heldShare, k)
		for set := range shamir.Subsets(len(shares), k) {
			for i, from := range set {
				chosen[i] = shares[from]
			}
			if !yield(chosen) {
				return
			}
		}
	}
}
