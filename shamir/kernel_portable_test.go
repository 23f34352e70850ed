package shamir

import (
	"bytes"
	"testing"
)

// TestDoubleAllAndQuadrupleAll puts every byte in every lane, next to every
// kind of neighbour, at every length around a machine word.
func TestDoubleAllAndQuadrupleAll(t *testing.T) {
	for factor, multiply := range map[byte]func([]byte){2: doubleAll, 4: quadrupleAll} {
		random := seeded()
		for size := range 80 {
			for value := range 256 {
				elements := randomBytes(random, size)
				if size > 0 {
					elements[value%size] = byte(value)
				}
				want := bitwiseSum(size, []byte{factor}, [][]byte{elements})
				multiply(elements)
				if !bytes.Equal(elements, want) {
					t.Fatalf("times %d, size %d: got %x, want %x", factor, size, elements, want)
				}
			}
		}
	}
}

// TestLanes puts every pair of elements into every lane of two words.
func TestLanes(t *testing.T) {
	random := seeded()
	for a := range 256 {
		for b := range 256 {
			x, y, lane := random.Uint64(), random.Uint64(), 8*(b%8)
			x = x&^laneMask(b%8) | uint64(a)<<lane
			y = y&^laneMask(b%8) | uint64(b)<<lane
			product, inverse := mulLanes(x, y), invLanes(x)
			for i := range 8 {
				u, v := byte(x>>(8*i)), byte(y>>(8*i))
				if got, want := byte(product>>(8*i)), bitwise[u][v]; got != want {
					t.Fatalf("lane %d of %x*%x: got %d, want %d", i, x, y, got, want)
				}
				if got := byte(inverse >> (8 * i)); got != inv(u) {
					t.Fatalf("lane %d of 1/%x: got %d, want %d", i, x, got, inv(u))
				}
			}
		}
	}
}
