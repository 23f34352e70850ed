package check

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/vault-guardian/guardian/shamir"
)

// keystream expands a seed. The IV can be 0: each label makes another key.
func keystream(seed digest, label string) cipher.Stream {
	key, err := hkdf.Key(sha256.New, seed[:], nil, label, 32)
	if err != nil {
		panic(err) // 32 bytes are never too many for SHA-256
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are the key of AES-256
	}
	zeroIV := make([]byte, aes.BlockSize)
	return cipher.NewCTR(block, zeroIV) //nolint:gosec // G407: see above, no key is used twice
}

// shareProducts returns <r, y> over the payloads of all shares.
func shareProducts(seed digest, shares [][]byte) [rows]byte {
	payloads := make([][]byte, len(shares))
	for i, share := range shares {
		payloads[i] = share[1:]
	}
	return products(seed, payloads)
}

// products returns <r, y> over all payloads.
func products(seed digest, payloads [][]byte) [rows]byte {
	const chunk = 4 << 10 // with its coefficients within the CPU's second cache
	stream, coefficients := keystream(seed, "guardian-check-rows-v1"), make([]byte, chunk*rows)
	var sum shamir.InnerProducts
	for _, y := range payloads {
		for len(y) > 0 {
			part := y[:min(chunk, len(y))]
			y = y[len(part):]
			c := coefficients[:len(part)*rows]
			clear(c)
			stream.XORKeyStream(c, c)
			sum.Add(c, part)
		}
	}
	return sum.Sum()
}

// columnProducts returns T * values 1..16 + values 17..32 of one dealing.
func columnProducts(seed digest, values []byte) []byte {
	matrix, sums := make([]byte, rows*rows), make([]byte, rows)
	masks, cover := values[:rows], values[rows:columns]
	keystream(seed, "guardian-check-matrix-v1").XORKeyStream(matrix, matrix)
	for t := range sums {
		sums[t] = shamir.InnerProduct(matrix[t*rows:(t+1)*rows], masks) ^ cover[t]
	}
	return sums
}

// addMasks adds to a the masks of all dealers.
func addMasks(a []byte, masks [][]byte) {
	for _, values := range masks {
		subtle.XORBytes(a, a, values[:rows])
	}
}
