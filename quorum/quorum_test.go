package quorum

import (
	"fmt"
	"math"
	"testing"
)

func TestThreshold(t *testing.T) {
	for alive, want := range map[int]int{
		1: 3, 2: 3, 3: 3, 4: 3, 5: 3, 8: 3, 9: 3, 11: 3, 12: 4, 14: 4, 15: 5, 50: 16, 100: 33, 255: 85,
		0: 3, -1: 3, math.MinInt: 3, math.MaxInt: math.MaxInt / 3,
	} {
		if got := Threshold(alive); got != want {
			t.Errorf("Threshold(%d) = %d, want %d", alive, got, want)
		}
	}
}

func TestWriteQuorum(t *testing.T) {
	for alive, want := range map[int]int{
		1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 14: 10, 50: 34, 100: 67, 255: 170,
		0: 1, -1: 1, math.MinInt: 1,
	} {
		if got := WriteQuorum(alive); got != want {
			t.Errorf("WriteQuorum(%d) = %d, want %d", alive, got, want)
		}
	}
}

func TestAcks(t *testing.T) {
	for _, c := range []struct{ n, k, want int }{
		{5, 3, 4},
		{5, 4, 5},
		{5, 5, 5},
		{3, 2, 3},
		{3, 3, 3},
		{2, 2, 2},
		{6, 3, 4},
		{7, 3, 5},
		{14, 4, 10},
		{14, 12, 13},
		{100, 33, 67},
		{255, 255, 255},
		// Fewer guardians than the threshold: all of them, and a caller that
		// lets this happen has been warned.
		{2, 3, 2},
		{1, 3, 1},
		// Nobody can acknowledge.
		{0, 3, 1},
		{-1, 3, 1},
		{math.MinInt, math.MaxInt, 1},
		{5, math.MaxInt, 5},
		{5, -1, 4},
		{1, math.MinInt, 1},
	} {
		t.Run(fmt.Sprintf("n=%d,k=%d", c.n, c.k), func(t *testing.T) {
			if got := Acks(c.n, c.k); got != c.want {
				t.Errorf("Acks(%d, %d) = %d, want %d", c.n, c.k, got, c.want)
			}
		})
	}
}

// TestAcknowledgedPushSurvives goes through every size a cluster can have.
func TestAcknowledgedPushSurvives(t *testing.T) {
	for n := 1; n <= 255; n++ {
		for k := 2; k <= n; k++ {
			acks := Acks(n, k)
			if acks < k || acks > n {
				t.Fatalf("Acks(%d, %d) = %d: cannot be rebuilt, or cannot be reached", n, k, acks)
			}
			if n > k && acks-1 < k {
				t.Fatalf("Acks(%d, %d) = %d: one loss loses the secret", n, k, acks)
			}
			if acks < WriteQuorum(n) {
				t.Fatalf("Acks(%d, %d) = %d: below the write quorum", n, k, acks)
			}
		}
	}
}
