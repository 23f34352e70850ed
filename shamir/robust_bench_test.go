package shamir

import "testing"

// BenchmarkCombineRobust reports MB of secret per second where all shares are
// right, where as many as possible are garbage, and where as many as possible
// are wrong in one byte each, which costs most.
func BenchmarkCombineRobust(b *testing.B) {
	for name, plant := range map[string]func(shares [][]byte, bound int){
		"right":   func([][]byte, int) {},
		"garbage": func(shares [][]byte, bound int) { plantGarbage(shares[:bound]) },
		"crafted": func(shares [][]byte, bound int) { plantOneByOne(shares[:bound]) },
	} {
		b.Run(name, func(b *testing.B) {
			eachShape(b, func(b *testing.B, n, k, size int) {
				shares := mustSplit(b, make([]byte, size), k, upTo(n))
				plant(shares, (n-k)/2)
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := CombineRobust(shares, k); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func plantGarbage(shares [][]byte) {
	random := seeded()
	for _, share := range shares {
		copy(share[1:], randomBytes(random, len(share)-1))
	}
}

// plantOneByOne makes the errors come to light one after the other, each late
// in what is looked at in one go.
func plantOneByOne(shares [][]byte) {
	for i, share := range shares {
		share[len(share)-len(shares)+i]++
	}
}
