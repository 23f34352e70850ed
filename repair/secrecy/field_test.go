package secrecy

import (
	"bytes"
	"testing"

	"github.com/vault-guardian/guardian/shamir"
)

// field is GF(2^bits); its elements are the bytes below 1<<bits.
type field struct {
	bits     int
	products [256][256]byte
	inverses [256]byte
	// sum is the sum of weights[i]*rows[i], as shamir.WeightedSum has it.
	sum func(weights []byte, rows [][]byte) []byte
	// weights are Lagrange's, as shamir.Weights has them.
	weights func(points []byte, x byte) []byte
}

var (
	gf4   = toyField(2, 0b111)
	gf8   = toyField(3, 0b1011)
	gf256 = productionField()
)

// toyField is GF(2^bits) modulo the polynomial given.
func toyField(bits int, modulus int) *field {
	f := &field{bits: bits}
	f.tabulate(func(a, b byte) byte { return clumsyProduct(a, b, bits, modulus) })
	f.sum, f.weights = f.plainSum, f.plainWeights
	return f
}

// productionField is GF(2^8) with the arithmetic of package shamir.
func productionField() *field {
	f := &field{bits: 8, sum: shamir.WeightedSum}
	f.tabulate(func(a, b byte) byte { return shamir.InnerProduct([]byte{a}, []byte{b}) })
	f.weights = func(points []byte, x byte) []byte {
		weights, err := shamir.Weights(points, x)
		if err != nil {
			panic(err)
		}
		return weights
	}
	return f
}

func clumsyProduct(a, b byte, bits, modulus int) byte {
	product := 0
	for i := range bits {
		if b>>i&1 == 1 {
			product ^= int(a) << i
		}
	}
	for i := 2 * bits; i >= bits; i-- {
		if product>>i&1 == 1 {
			product ^= modulus << (i - bits)
		}
	}
	return byte(product)
}

func (f *field) order() int { return 1 << f.bits }

func (f *field) tabulate(product func(a, b byte) byte) {
	for a := range f.order() {
		for b := range f.order() {
			f.products[a][b] = product(byte(a), byte(b))
			if f.products[a][b] == 1 {
				f.inverses[a] = byte(b)
			}
		}
	}
}

func (f *field) plainSum(weights []byte, rows [][]byte) []byte {
	sum := make([]byte, len(rows[0]))
	for i, row := range rows {
		for j, element := range row {
			sum[j] ^= f.products[weights[i]][element]
		}
	}
	return sum
}

func (f *field) plainWeights(points []byte, x byte) []byte {
	weights := make([]byte, len(points))
	for i, own := range points {
		weights[i] = 1
		for _, other := range points {
			if other != own {
				weights[i] = f.products[weights[i]][f.products[x^other][f.inverses[own^other]]]
			}
		}
	}
	return weights
}

// powers returns 1, x, x^2 ... x^(k-1).
func (f *field) powers(x byte, k int) []byte {
	powers := make([]byte, k)
	power := byte(1)
	for i := range powers {
		powers[i], power = power, f.products[power][x]
	}
	return powers
}

// TestFields: the toys are fields, and their weights those of the production
// code wherever both are defined.
func TestFields(t *testing.T) {
	for _, f := range []*field{gf4, gf8, gf256} {
		for a := 1; a < f.order(); a++ {
			if f.products[a][f.inverses[a]] != 1 {
				t.Fatalf("GF(%d): %d has no inverse", f.order(), a)
			}
			for b := 1; b < f.order(); b++ {
				if f.products[a][b] == 0 || f.products[a][b] != f.products[b][a] || int(f.products[a][b]) >= f.order() {
					t.Fatalf("GF(%d): %d*%d = %d", f.order(), a, b, f.products[a][b])
				}
			}
		}
	}
	points := []byte{7, 1, 200, 90}
	if got, want := gf256.plainWeights(points, 33), gf256.weights(points, 33); !bytes.Equal(got, want) {
		t.Errorf("weights are %x, in production %x", got, want)
	}
}
