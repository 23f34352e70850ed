package shamir

import "iter"

// Subsets yields every set of k of the numbers 0 to n-1, in lexical order; none
// when k is below 1 or above n. What it yields is good until the next one. It is
// for callers who can tell a right secret from noise, and so can find k right
// shares among more wrong ones than [CombineRobust] tells apart; they bound how
// many sets they try.
func Subsets(n, k int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		if k < 1 || k > n {
			return
		}
		set := make([]int, k)
		for i := range set {
			set[i] = i
		}
		for yield(set) {
			last := k - 1
			for last >= 0 && set[last] == n-k+last {
				last--
			}
			if last < 0 {
				return
			}
			set[last]++
			for i := last + 1; i < k; i++ {
				set[i] = set[i-1] + 1
			}
		}
	}
}
