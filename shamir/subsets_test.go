package shamir

import (
	"fmt"
	"slices"
	"testing"
)

func TestSubsets(t *testing.T) {
	for _, test := range []struct {
		n, k  int
		first string
		count int
	}{
		{5, 3, "[0 1 2]", 10}, {14, 4, "[0 1 2 3]", 1001}, {3, 3, "[0 1 2]", 1}, {2, 3, "", 0}, {3, 0, "", 0}, {3, -1, "", 0}, {0, 0, "", 0}, {7, 2, "[0 1]", 21},
	} {
		seen, first := map[string]bool{}, ""
		for set := range Subsets(test.n, test.k) {
			text := fmt.Sprint(set)
			if first == "" {
				first = text
			}
			if !slices.IsSorted(set) || set[0] < 0 || set[len(set)-1] >= test.n || len(slices.Compact(slices.Clone(set))) != test.k {
				t.Errorf("%d of %d: %v", test.k, test.n, set)
			}
			seen[text] = true
		}
		if len(seen) != test.count || first != test.first {
			t.Errorf("%d of %d: %d sets, the first %s", test.k, test.n, len(seen), first)
		}
	}
}
