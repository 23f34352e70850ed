package shamir

import (
	"bytes"
	"testing"
)

func TestBlocksCoverTheWholeSecretOnce(t *testing.T) {
	for _, k := range []int{2, 3, 5, 33, 255} {
		block := blockOf(k)
		for _, size := range []int{0, 1, block - 1, block, block + 1, 3*block + 7} {
			next := 0
			blocks(size, k, func(from, to int) {
				if from != next || to <= from || to-from > blockSize {
					t.Fatalf("size %d: block %d to %d after %d", size, from, to, next)
				}
				next = to
			})
			if next != size {
				t.Fatalf("size %d: blocks end at %d", size, next)
			}
		}
	}
}

// TestPowers has numbers of points around those computed at once.
func TestPowers(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 16, 17, 255} {
		points := pickPoints(seeded(), n)
		for i, row := range powers(points, 40) {
			power := byte(1)
			for j, got := range row {
				if got != power {
					t.Fatalf("%d^%d = %d, want %d", points[i], j, got, power)
				}
				power = bitwise[power][points[i]]
			}
		}
	}
}

// TestLagrange checks the weights by what they are for: they give the values of
// 1, x, x^2 ... at any x, the points themselves included, from their values at
// the points.
func TestLagrange(t *testing.T) {
	random := seeded()
	for _, n := range []int{1, 2, 3, 7, 8, 9, 33, 255} {
		points := pickPoints(random, n)
		values := powers(points, n)
		for _, x := range append([]byte{0, points[0], points[n-1]}, randomBytes(random, 3)...) {
			weights := lagrange(points, x)
			for j, want := range powers([]byte{x}, n)[0] {
				var got byte
				for i, w := range weights {
					got ^= bitwise[w][values[i][j]]
				}
				if got != want {
					t.Fatalf("%d points: %d^%d = %d, want %d", n, x, j, got, want)
				}
			}
		}
	}
}

// TestSharesAreApart checks that sharing an array does not show.
func TestSharesAreApart(t *testing.T) {
	for _, size := range []int{1, 62, 63, 64, 65, 4096} {
		shares := mustSplit(t, make([]byte, size), 2, upTo(4))
		want := make([][]byte, len(shares))
		for i, share := range shares {
			want[i] = bytes.Clone(share)
		}
		for _, share := range shares {
			_ = append(share, bytes.Repeat([]byte{0xee}, 100)...)
		}
		for i := range shares {
			if !bytes.Equal(shares[i], want[i]) {
				t.Errorf("size %d: appending to other shares has changed share %d", size, i)
			}
		}
	}
}
