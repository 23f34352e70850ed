package shamir

import (
	"encoding/binary"
	"fmt"
)

// Products is how many inner products [InnerProducts] forms at once.
const Products = 16

// InnerProducts adds up the inner products of one row of elements with
// [Products] rows of coefficients, some elements at a time. The zero value is
// ready to use; it is for one goroutine.
//
// Time and memory accesses depend on lengths alone, never on an element or a
// coefficient. What it holds is as secret as the elements: [InnerProducts.Sum]
// wipes it.
type InnerProducts struct {
	// bit b holds the sum of the coefficients whose element has that bit, so
	// that nothing is doubled before the end.
	bits [8][2]uint64
}

// Add takes the next elements with their coefficients: first the [Products]
// ones of the first element, one for each row, then those of the second, and so
// on. It panics unless there are Products coefficients for each element.
func (p *InnerProducts) Add(coefficients, elements []byte) {
	if len(coefficients) != Products*len(elements) {
		panic(fmt.Sprintf("shamir: %d coefficients for %d elements", len(coefficients), len(elements)))
	}
	for b := 0; b < len(p.bits); b += 2 {
		addBits(&p.bits[b], &p.bits[b+1], coefficients, elements, b)
	}
}

// addBits keeps four words in registers: all sixteen at once do not fit.
func addBits(low, high *[2]uint64, coefficients, elements []byte, bit int) {
	low0, low1, high0, high1 := low[0], low[1], high[0], high[1]
	for _, e := range elements {
		first := binary.LittleEndian.Uint64(coefficients)
		second := binary.LittleEndian.Uint64(coefficients[8:])
		coefficients = coefficients[Products:]
		mask := -uint64(e >> (bit & 7) & 1)
		low0, low1 = low0^first&mask, low1^second&mask
		mask = -uint64(e >> ((bit + 1) & 7) & 1)
		high0, high1 = high0^first&mask, high1^second&mask
	}
	low[0], low[1], high[0], high[1] = low0, low1, high0, high1
}

// Sum returns the inner products with each row and begins anew at 0.
func (p *InnerProducts) Sum() [Products]byte {
	var first, second uint64
	for b := len(p.bits) - 1; b >= 0; b-- {
		first = doubleLanes(first) ^ p.bits[b][0]
		second = doubleLanes(second) ^ p.bits[b][1]
	}
	*p = InnerProducts{}
	var sums [Products]byte
	binary.LittleEndian.PutUint64(sums[:], first)
	binary.LittleEndian.PutUint64(sums[8:], second)
	return sums
}
