package shamir

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// blockSize bounds what is worked on in one go, so that rows and sums stay in
// the CPU's first cache from one pass to the next.
const blockSize = 4 << 10

// sumPortable is the kernel for any machine.
func sumPortable(dst, weights []byte, rows [][]byte) {
	for from := 0; from < len(dst); from += blockSize {
		to := min(from+blockSize, len(dst))
		sumBlock(dst[from:to], weights, rows, from)
	}
}

// sumBlock sums what the rows hold from the given element on, by Horner's rule
// over the bits of the weights: the sum is doubled once per bit, whatever the
// number of rows, and each row is added in where its weight has the bit.
func sumBlock(dst, weights []byte, rows [][]byte, from int) {
	clear(dst)
	union := unionOf(weights)
	for bit := bits.Len8(union) - 1; bit >= 0; bit-- {
		addRows(dst, weights, rows, from, bit)
		switch {
		case bit > 1 && union>>(bit-1)&1 == 0:
			quadrupleAll(dst)
			bit-- // no weight has it
		case bit > 0:
			doubleAll(dst)
		}
	}
}

// unionOf returns the bits that any weight has.
func unionOf(weights []byte) byte {
	var union byte
	for _, w := range weights {
		union |= w
	}
	return union
}

// addRows adds in the rows whose weight has the bit.
func addRows(dst, weights []byte, rows [][]byte, from, bit int) {
	for i, row := range rows {
		if weights[i]>>bit&1 == 1 {
			subtle.XORBytes(dst, dst, row[from:from+len(dst)])
		}
	}
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

// quadrupleAll multiplies every element by 4, in little more time than
// doubleAll needs.
func quadrupleAll(elements []byte) {
	for ; len(elements) >= 32; elements = elements[32:] {
		a := quadrupleLanes(binary.LittleEndian.Uint64(elements))
		b := quadrupleLanes(binary.LittleEndian.Uint64(elements[8:]))
		c := quadrupleLanes(binary.LittleEndian.Uint64(elements[16:]))
		d := quadrupleLanes(binary.LittleEndian.Uint64(elements[24:]))
		binary.LittleEndian.PutUint64(elements, a)
		binary.LittleEndian.PutUint64(elements[8:], b)
		binary.LittleEndian.PutUint64(elements[16:], c)
		binary.LittleEndian.PutUint64(elements[24:], d)
	}
	for i, e := range elements {
		elements[i] = double(double(e))
	}
}
