package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// benchOperation is one kind of request.
type benchOperation struct {
	name, does string
	// kept marks those that are about an identity which has a share already.
	kept bool
	do   func(*lane, context.Context) error
}

var benchOperations = []benchOperation{
	{"push", "the next version of an identity that has one", true, (*lane).push},
	{"new", "the first version of an identity never seen", false, (*lane).pushNew},
	{"pull", "the share of an identity", true, (*lane).pull},
	{"history", "the versions that are retained of an identity", true, (*lane).history},
	{"health", "how the guardian is, which it tells everybody", false, (*lane).health},
}

func benchNames() (names []string) {
	for _, o := range benchOperations {
		names = append(names, o.name)
	}
	return names
}

func benchOperationsHelp() string {
	var lines []string
	for _, o := range benchOperations {
		lines = append(lines, fmt.Sprintf("  %-8s %s", o.name, o.does))
	}
	return strings.Join(lines, "\n")
}

// benchMix is how often each operation is to be among as many as the sum of all.
type benchMix []int

const maxWeight = 1_000_000

func parseMix(text string) (benchMix, error) {
	mix, sum := make(benchMix, len(benchOperations)), 0
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		at := slices.Index(benchNames(), name)
		weight, err := strconv.Atoi(number)
		if at < 0 || err != nil || weight < 0 || weight > maxWeight || seen[name] {
			return nil, usageError("pass for example --mix push=1,pull=9; there are "+strings.Join(benchNames(), ", "), "--mix %q: %q is no operation with how often it is to be, or is there twice", text, part)
		}
		seen[name], mix[at] = true, weight
		sum += weight
	}
	if sum == 0 {
		return nil, usageError("pass for example --mix push=1,pull=9", "--mix %q asks for nothing", text)
	}
	return mix, nil
}

// draw is the index of the operation that comes next.
func (m benchMix) draw() int {
	sum := 0
	for _, weight := range m {
		sum += weight
	}
	number := rand.IntN(sum) //nolint:gosec // it draws no secrets
	for at, weight := range m {
		if number < weight {
			return at
		}
		number -= weight
	}
	return 0
}

// needsKept tells whether identities must be there first.
func (m benchMix) needsKept() bool {
	for at, weight := range m {
		if weight > 0 && benchOperations[at].kept {
			return true
		}
	}
	return false
}

func (m benchMix) String() string {
	var parts []string
	for at, weight := range m {
		if weight > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", benchOperations[at].name, weight))
		}
	}
	return strings.Join(parts, ",")
}
