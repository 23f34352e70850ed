package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// withoutCopies keeps the first of shares that are the same.
func withoutCopies(held []heldShare) []heldShare {
	type share struct {
		splitFacts
		sum [sha256.Size]byte
	}
	seen := make(map[share]bool)
	return slices.DeleteFunc(slices.Clone(held), func(h heldShare) bool {
		this := share{h.splitFacts, sha256.Sum256(h.data)}
		before := seen[this]
		seen[this] = true
		return before
	})
}

// oneSplit refuses shares of several splits.
func oneSplit(held []heldShare) error {
	ids, files := grouped(held, splitFacts.name)
	if len(ids) == 1 {
		return nil
	}
	return usageError("combine the files of one split at a time", "the files are of %d splits: %s", len(ids), listGroups(ids, files))
}

// agreedFacts are what more than half of the shares say of their split. Others
// that could make a file of their own are an attempt to pass one off, and it
// is not for us to choose.
func agreedFacts(held []heldShare) (splitFacts, error) {
	shares := make(map[splitFacts][]heldShare)
	for _, h := range held {
		shares[h.splitFacts] = append(shares[h.splitFacts], h)
	}
	total, able := 0, 0
	var most splitFacts
	for facts, of := range shares {
		have := distinctPoints(of)
		total += have
		if have >= facts.threshold {
			able++
		}
		if have > distinctPoints(shares[most]) {
			most = facts
		}
	}
	if 2*distinctPoints(shares[most]) > total && able <= 1 {
		return most, nil
	}
	said, files := grouped(held, splitFacts.String)
	return splitFacts{}, &advisedError{
		exitVerification, fmt.Errorf("the shares contradict each other about their split: %s", listGroups(said, files)),
		"somebody changed a share on purpose; nothing was written; leave out the files that you trust least, and combine again",
	}
}

// grouped lists the files of each key, keys and files in the order of their
// first share.
func grouped(held []heldShare, keyOf func(splitFacts) string) (keys []string, files map[string][]string) {
	files = make(map[string][]string)
	for _, h := range held {
		key := keyOf(h.splitFacts)
		if len(files[key]) == 0 {
			keys = append(keys, key)
		}
		if !slices.Contains(files[key], shown(h.file)) {
			files[key] = append(files[key], shown(h.file))
		}
	}
	return keys, files
}

func listGroups(keys []string, files map[string][]string) string {
	groups := make([]string, 0, len(keys))
	for _, key := range keys {
		groups = append(groups, fmt.Sprintf("%s (in %s)", key, listSome(files[key], ", ")))
	}
	return listSome(groups, "; ")
}

// listSome lists the first few.
func listSome(texts []string, separator string) string {
	if more := len(texts) - maxNamed; more > 0 {
		texts = append(slices.Clone(texts[:maxNamed]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, separator)
}

func distinctPoints(held []heldShare) int {
	points := make(map[byte]bool)
	for _, h := range held {
		points[h.point()] = true
	}
	return len(points)
}
