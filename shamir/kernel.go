package shamir

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"runtime"
)

// blockSize bounds what one pass works on, so that the rows of a sum stay in
// the CPU's cache and buffers do not grow with the secret.
const blockSize = 4 << 10

// weightedSum sets dst = weights[0]*rows[0] ^ weights[1]*rows[1] ^ ..., element
// by element. Each row is at least as long as dst, and none overlaps it.
//
// This is all that is ever done to secrets in bulk. It is Horner's rule over
// the bits of the weights: the sum is doubled once per bit, whatever the
// number of rows, and each row is added in where its weight has the bit. The
// weights are public, and nothing else is branched on.
func weightedSum(dst, weights []byte, rows [][]byte) {
	clear(dst)
	for bit := highestBit(weights); bit >= 0; bit-- {
		for i, row := range rows {
			if weights[i]>>bit&1 == 1 {
				subtle.XORBytes(dst, dst, row[:len(dst)])
			}
		}
		if bit > 0 {
			doubleAll(dst)
		}
	}
}

// highestBit returns the position of the highest bit set in any weight, or -1.
func highestBit(weights []byte) int {
	var union byte
	for _, w := range weights {
		union |= w
	}
	return bits.Len8(union) - 1
}

// doubleAll multiplies every element by 2, eight to a machine word and four
// words at a time, as they do not wait for each other.
func doubleAll(elements []byte) {
	for ; len(elements) >= 32; elements = elements[32:] {
		a := doubleLanes(binary.LittleEndian.Uint64(elements))
		b := doubleLanes(binary.LittleEndian.Uint64(elements[8:]))
		c := doubleLanes(binary.LittleEndian.Uint64(elements[16:]))
		d := doubleLanes(binary.LittleEndian.Uint64(elements[24:]))
		binary.LittleEndian.PutUint64(elements, a)
		binary.LittleEndian.PutUint64(elements[8:], b)
		binary.LittleEndian.PutUint64(elements[16:], c)
		binary.LittleEndian.PutUint64(elements[24:], d)
	}
	for i, e := range elements {
		elements[i] = double(e)
	}
}

// doubleLanes is double on each byte of a word. A lane whose top bit is set
// overflows: top - top>>7 has 0x7f in those lanes and 0 in the others, and no
// borrow crosses between lanes.
func doubleLanes(word uint64) uint64 {
	const lanes = 0x0101010101010101
	top := word & (0x80 * lanes)
	return (word^top)<<1 ^ (top-top>>7)&(reduction*lanes)
}

// wipe overwrites what was secret. KeepAlive keeps the compiler from dropping
// a store that nothing reads.
func wipe(secret []byte) {
	clear(secret)
	runtime.KeepAlive(secret)
}

// blocks calls work with the bounds of each block of a buffer.
func blocks(size int, work func(from, to int)) {
	for from := 0; from < size; from += blockSize {
		work(from, min(from+blockSize, size))
	}
}
