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
// The shares are cut from one array: whoever holds one of them keeps the memory
// of all. Appending to one leaves the others alone.
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
	random := make([]byte, (k-1)*min(blockOf(k), len(secret)))
	defer wipe(random)
	terms := make([][]byte, k)
	blocks(len(secret), k, func(from, to int) {
		terms[0] = secret[from:to]
		fill(terms[1:], random, to-from, coefficients)
		for i, share := range shares {
			weightedSum(share[1+from:1+to], weights[i], terms)
		}
	})
	return shares
}

// blocks calls work with the bounds of each block of a secret of threshold k.
func blocks(size, k int, work func(from, to int)) {
	for from := 0; from < size; from += blockOf(k) {
		work(from, min(from+blockOf(k), size))
	}
}

// blockOf returns how much of a secret is split in one go, so that its k terms
// stay in the CPU's first cache until the last share has been computed from
// them, and the coefficients' buffer does not grow with the secret.
func blockOf(k int) int {
	const inCache, least = 20 << 10, 128
	return max(least, min(blockSize, inCache/k&^(least-1)))
}

// fill makes each row a fresh random one of the given size, within buffer.
func fill(rows [][]byte, buffer []byte, size int, stream cipher.Stream) {
	for i := range rows {
		rows[i] = buffer[i*size : (i+1)*size]
		stream.XORKeyStream(rows[i], blank[:size])
	}
}

// blank is never written to. Encrypting it is quicker than clearing a buffer
// and encrypting that.
var blank [blockSize]byte

// newShares cuts all shares from one array, where their payloads begin on
// lines of the CPU's cache.
func newShares(points []byte, size int) [][]byte {
	const line = 64
	stride := (1 + size + line - 1) &^ (line - 1)
	array := make([]byte, line+len(points)*stride)
	shares := make([][]byte, len(points))
	for i, x := range points {
		from := line - 1 + i*stride
		shares[i] = array[from : from+1+size : from+1+size]
		shares[i][0] = x
	}
	return shares
}

// powers returns 1, x, x^2 ... x^(k-1) for each point. It computes those of
// eight points at a time.
func powers(points []byte, k int) [][]byte {
	array, rows := make([]byte, len(points)*k), make([][]byte, len(points))
	for i := range rows {
		rows[i] = array[i*k : (i+1)*k]
	}
	for first := 0; first < len(points); first += 8 {
		some := rows[first:min(first+8, len(points))]
		x, power := packLanes(points[first:first+len(some)]), uint64(lanes)
		for j := range k {
			for i, row := range some {
				row[j] = byte(power >> (8 * i))
			}
			power = mulLanes(power, x)
		}
	}
	return rows
}

// newKeystream is a keystream under a key that exists for one call. Asking
// crypto/rand for every coefficient is several times slower.
func newKeystream() (cipher.Stream, error) {
	var key [KeySize]byte
	defer wipe(key[:])
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	return keystreamOf(&key)
}

// keystreamOf is AES-256-CTR. The zero IV is sound because no key serves two
// secrets.
func keystreamOf(key *[KeySize]byte) (cipher.Stream, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("keying the coefficients: %w", err)
	}
	zeroIV := make([]byte, aes.BlockSize)
	return cipher.NewCTR(block, zeroIV), nil //nolint:gosec // G407: see above, each key is for one secret
}
