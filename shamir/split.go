package shamir

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

// Split returns one share of secret per point, in the order of points; any k
// of them rebuild it with [Combine].
//
// Errors: [ErrThreshold] unless k is 2 to 255, [ErrTooFewShares] for fewer
// than k points, [ErrZeroPoint] and [ErrRepeatedPoint] for points that are not
// distinct and 1 to 255, [ErrEmpty] for an empty secret.
//
// All coefficients, the highest included, are uniform and may be zero: were
// one excluded, k-1 shares would rule out a value of the secret.
func Split(secret []byte, k int, points []byte) ([][]byte, error) {
	if err := checkSplit(secret, k, points); err != nil {
		return nil, err
	}
	coefficients, err := newKeystream()
	if err != nil {
		return nil, err
	}
	return evaluate(secret, k, points, coefficients), nil
}

func checkSplit(secret []byte, k int, points []byte) error {
	if err := checkThreshold(k); err != nil {
		return err
	}
	if len(secret) == 0 {
		return ErrEmpty
	}
	return checkPoints(points, k)
}

// evaluate computes the shares of the polynomials whose higher coefficients
// are the next bytes of the stream.
func evaluate(secret []byte, k int, points []byte, coefficients cipher.Stream) [][]byte {
	shares, weights := newShares(points, len(secret)), powers(points, k)
	random := make([]byte, (k-1)*min(blockSize, len(secret)))
	defer wipe(random)
	terms := make([][]byte, k)
	blocks(len(secret), func(from, to int) {
		terms[0] = secret[from:to]
		fill(terms[1:], random, to-from, coefficients)
		for i, share := range shares {
			weightedSum(share[1+from:1+to], weights[i], terms)
		}
	})
	return shares
}

// fill makes each row a fresh random one of the given size, within buffer.
func fill(rows [][]byte, buffer []byte, size int, stream cipher.Stream) {
	used := buffer[:len(rows)*size]
	clear(used)
	stream.XORKeyStream(used, used)
	for i := range rows {
		rows[i] = used[i*size : (i+1)*size]
	}
}

func newShares(points []byte, size int) [][]byte {
	shares := make([][]byte, len(points))
	for i, x := range points {
		shares[i] = make([]byte, 1+size)
		shares[i][0] = x
	}
	return shares
}

// powers returns 1, x, x^2 ... x^(k-1) for each point.
func powers(points []byte, k int) [][]byte {
	rows := make([][]byte, len(points))
	for i, x := range points {
		row := make([]byte, k)
		row[0] = 1
		for j := 1; j < k; j++ {
			row[j] = mul(row[j-1], x)
		}
		rows[i] = row
	}
	return rows
}

// newKeystream is AES-256-CTR under a key that exists for one call. Asking
// crypto/rand for every coefficient is several times slower. The zero IV is
// sound because no key is used twice.
func newKeystream() (cipher.Stream, error) {
	key := make([]byte, 32)
	defer wipe(key)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keying the coefficients: %w", err)
	}
	zeroIV := make([]byte, aes.BlockSize)
	return cipher.NewCTR(block, zeroIV), nil //nolint:gosec // G407: see above, the key is fresh
}
