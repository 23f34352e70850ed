package shamir

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// seeded returns the same random numbers on every run.
func seeded() *rand.Rand { return rand.New(rand.NewPCG(20, 11)) }

func randomBytes(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// bitwise holds all products, computed bit by bit as on paper: shift and add,
// then take away the modulus from the top.
var bitwise = bitwiseProducts()

func bitwiseProducts() *[256][256]byte {
	var products [256][256]byte
	for a := range 256 {
		for b := range 256 {
			products[a][b] = bitwiseProduct(a, b)
		}
	}
	return &products
}

func bitwiseProduct(a, b int) byte {
	product := 0
	for bit := range 8 {
		if b>>bit&1 == 1 {
			product ^= a << bit
		}
	}
	for bit := 14; bit >= 8; bit-- {
		if product>>bit&1 == 1 {
			product ^= 0x11b << (bit - 8)
		}
	}
	return byte(product)
}

func TestBitwiseAgreesWithOracle(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := bitwise[a][b], oracleMul(byte(a), byte(b)); got != want {
				t.Fatalf("%d*%d = %d, want %d", a, b, got, want)
			}
		}
	}
}

// bitwiseSum is a weightedSum without any of the package's code.
func bitwiseSum(size int, weights []byte, rows [][]byte) []byte {
	sum := make([]byte, size)
	for i, row := range rows {
		product := &bitwise[weights[i]]
		for j := range sum {
			sum[j] ^= product[row[j]]
		}
	}
	return sum
}

// eachKernel runs the test with each kernel of this machine in use.
func eachKernel(t *testing.T, test func(t *testing.T)) {
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			use(t, k)
			test(t)
		})
	}
}

// use makes weightedSum take the kernel until the test ends.
func use(t *testing.T, k kernel) {
	before, errBefore := active, errActive
	t.Cleanup(func() { active, errActive = before, errBefore })
	active, errActive = k, nil
}

// checkSum compares a sum that begins at the offset in a larger buffer with the
// bitwise one, and looks whether bytes around it or a row have changed.
func checkSum(t *testing.T, size, offset int, weights []byte, rows [][]byte) {
	t.Helper()
	const guard = 70
	before := make([][]byte, len(rows))
	for i, row := range rows {
		before[i] = bytes.Clone(row)
	}
	buffer := bytes.Repeat([]byte{0xa5}, offset+size+guard)
	want := bytes.Clone(buffer)
	copy(want[offset:], bitwiseSum(size, weights, rows))
	weightedSum(buffer[offset:offset+size], weights, rows)
	if !bytes.Equal(buffer, want) {
		t.Fatalf("size %d, offset %d, weights %v: got %x, want %x", size, offset, weights, buffer, want)
	}
	for i, row := range rows {
		if !bytes.Equal(row, before[i]) {
			t.Fatalf("size %d, weights %v: row %d has changed", size, weights, i)
		}
	}
}

// randomRows returns rows that begin at any alignment and some of which are
// longer than size.
func randomRows(random *rand.Rand, count, size int) [][]byte {
	rows := make([][]byte, count)
	for i := range rows {
		offset := random.IntN(65)
		rows[i] = randomBytes(random, offset+size+random.IntN(3))[offset:]
	}
	return rows
}

func constantRows(elements []byte, size int) [][]byte {
	var rows [][]byte
	for _, e := range elements {
		rows = append(rows, bytes.Repeat([]byte{e}, size))
	}
	return rows
}
