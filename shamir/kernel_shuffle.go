//go:build amd64 || arm64

package shamir

import "encoding/binary"

// products holds, for each weight, its products with 0 to 15 and then those
// with 0, 16, 32 to 240. An element is the sum of its two halves, so the sum of
// two of these products is the weight's product with it.
//
// The shuffling kernels load the 32 bytes of a weight, which is public, into
// registers. There a shuffle picks by halves of secret bytes; memory is never
// addressed by them.
var products = productTables()

func productTables() *[256][32]byte {
	var tables [256][32]byte
	for weight := range tables {
		fillProducts(tables[weight][:16], byte(weight))
		fillProducts(tables[weight][16:], mul(byte(weight), 16))
	}
	return &tables
}

// fillProducts sets table to the products with 0 to 15.
func fillProducts(table []byte, weight byte) {
	const from0, from8 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	w := uint64(weight) * lanes
	binary.LittleEndian.PutUint64(table, mulLanes(from0, w))
	binary.LittleEndian.PutUint64(table[8:], mulLanes(from8, w))
}
