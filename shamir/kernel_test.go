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

// TestDoubleAll puts every byte in every lane, next to every kind of
// neighbour, at every length around a machine word.
func TestDoubleAll(t *testing.T) {
	random := seeded()
	for size := range 40 {
		for value := range 256 {
			elements := randomBytes(random, size)
			if size > 0 {
				elements[value%size] = byte(value)
			}
			want := make([]byte, size)
			for i, e := range elements {
				want[i] = oracleMul(e, 2)
			}
			doubleAll(elements)
			if !bytes.Equal(elements, want) {
				t.Fatalf("size %d: got %x, want %x", size, elements, want)
			}
		}
	}
}

func TestWeightedSumOfOneRowIsAProduct(t *testing.T) {
	row := make([]byte, 256)
	for i := range row {
		row[i] = byte(i)
	}
	got := make([]byte, len(row))
	for weight := range 256 {
		weightedSum(got, []byte{byte(weight)}, [][]byte{row})
		for i, y := range got {
			if want := oracleMul(byte(weight), byte(i)); y != want {
				t.Fatalf("%d*%d = %d, want %d", weight, i, y, want)
			}
		}
	}
}

// TestWeightedSum runs over lengths and misalignments within one buffer with
// guard bytes around the result.
func TestWeightedSum(t *testing.T) {
	random := seeded()
	for range 2000 {
		size, offset, count := random.IntN(70), random.IntN(9), random.IntN(6)
		weights := randomBytes(random, count)
		rows := make([][]byte, count)
		for i := range rows {
			rows[i] = randomBytes(random, offset+size+random.IntN(3))[offset:]
		}
		buffer := randomBytes(random, offset+size+8)
		want := bytes.Clone(buffer)
		for i := range size {
			want[offset+i] = 0
			for j, row := range rows {
				want[offset+i] ^= oracleMul(weights[j], row[i])
			}
		}
		weightedSum(buffer[offset:offset+size], weights, rows)
		if !bytes.Equal(buffer, want) {
			t.Fatalf("size %d, offset %d, weights %v: got %x, want %x", size, offset, weights, buffer, want)
		}
	}
}

func TestBlocksCoverTheWholeBufferOnce(t *testing.T) {
	for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 3*blockSize + 7} {
		next := 0
		blocks(size, func(from, to int) {
			if from != next || to <= from || to-from > blockSize {
				t.Fatalf("size %d: block %d to %d after %d", size, from, to, next)
			}
			next = to
		})
		if next != size {
			t.Fatalf("size %d: blocks end at %d", size, next)
		}
	}
}

func TestWipe(t *testing.T) {
	secret := []byte("secret")
	wipe(secret)
	if !bytes.Equal(secret, make([]byte, 6)) {
		t.Fatalf("left %x", secret)
	}
}
