package shamir

import (
	"bytes"
	"crypto/rand"
	"testing"
)

// InnerProduct, one row at a time, is the reference.
func TestInnerProducts(t *testing.T) {
	for _, size := range []int{0, 1, 2, 7, 8, 9, 63, 255, 4097} {
		elements, coefficients := randomElements(size), randomElements(Products*size)
		var p InnerProducts
		cut := size / 3
		p.Add(coefficients[:Products*cut], elements[:cut])
		p.Add(coefficients[Products*cut:], elements[cut:])
		got := p.Sum()
		for row := range Products {
			column := make([]byte, size)
			for i := range column {
				column[i] = coefficients[Products*i+row]
			}
			if want := InnerProduct(column, elements); got[row] != want {
				t.Errorf("%d elements, row %d: got %#x, want %#x", size, row, got[row], want)
			}
		}
	}
}

// Every product of two elements, against the field's own multiplication.
func TestInnerProductsOfAllPairs(t *testing.T) {
	for e := range 256 {
		for c := range 256 {
			var p InnerProducts
			p.Add(bytes.Repeat([]byte{byte(c)}, Products), []byte{byte(e)})
			if got, want := p.Sum(), mul(byte(c), byte(e)); got[0] != want || got[Products-1] != want {
				t.Fatalf("%#x*%#x: got %#x, want %#x", c, e, got, want)
			}
		}
	}
}

func TestSumBeginsAnew(t *testing.T) {
	var p InnerProducts
	p.Add(randomElements(Products), []byte{77})
	p.Sum()
	if got := p.Sum(); got != ([Products]byte{}) {
		t.Errorf("a second sum is %x, want 0", got)
	}
}

func TestInnerProductsWantAllCoefficients(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it took 15 coefficients for one element")
		}
	}()
	new(InnerProducts).Add(make([]byte, Products-1), []byte{1})
}

func BenchmarkInnerProducts(b *testing.B) {
	elements, coefficients := randomElements(1<<20), randomElements(Products<<20)
	b.SetBytes(int64(len(elements)))
	var p InnerProducts
	for b.Loop() {
		p.Add(coefficients, elements)
	}
}

func randomElements(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.Read(data)
	return data
}
