package shamir

import (
	"bytes"
	"testing"
)

func TestKernelsFixedPoints(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		for _, c := range []struct {
			weights, elements []byte
			want              byte
		}{
			{[]byte{42}, []byte{127}, 82},
			{[]byte{127}, []byte{42}, 82},
			{[]byte{255}, []byte{255}, 19},
			{[]byte{200}, []byte{169}, 1},
			{[]byte{1, 1, 1}, []byte{42, 5, 7}, 40},
			{[]byte{1, 4, 16}, []byte{42, 5, 7}, 78},
			{[]byte{1, 255, 19}, []byte{42, 5, 7}, 125},
		} {
			for _, size := range []int{1, 16, 31, 32, 64, 200} {
				dst := make([]byte, size)
				weightedSum(dst, c.weights, constantRows(c.elements, size))
				if want := bytes.Repeat([]byte{c.want}, size); !bytes.Equal(dst, want) {
					t.Errorf("weights %v, elements %v: got %v, want all %d", c.weights, c.elements, dst, c.want)
				}
			}
		}
	})
}

// TestKernelsMultiplyEveryPair has every element under every weight, alone and
// added to another row.
func TestKernelsMultiplyEveryPair(t *testing.T) {
	row := make([]byte, 256)
	for i := range row {
		row[i] = byte(i)
	}
	other := randomBytes(seeded(), len(row))
	eachKernel(t, func(t *testing.T) {
		for weight := range 256 {
			checkSum(t, len(row), 0, []byte{byte(weight)}, [][]byte{row})
			checkSum(t, len(row), 0, []byte{byte(weight), 1}, [][]byte{row, other})
			checkSum(t, len(row), 0, []byte{99, byte(weight)}, [][]byte{other, row})
		}
	})
}

func TestKernelsAtEveryLength(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		random := seeded()
		for size := range 400 {
			for _, count := range []int{0, 1, 2, 3, 5} {
				checkSum(t, size, random.IntN(65), randomBytes(random, count), randomRows(random, count, size))
			}
		}
	})
}

func TestKernelsAtEveryAlignment(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		random := seeded()
		for offset := range 65 {
			for _, size := range []int{33, 129, 159, 256} {
				checkSum(t, size, offset, randomBytes(random, 3), randomRows(random, 3, size))
			}
		}
	})
}

func TestKernelsWithEveryNumberOfRows(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		random := seeded()
		for count := range 256 {
			for _, size := range []int{1, 47, 200} {
				checkSum(t, size, random.IntN(65), randomBytes(random, count), randomRows(random, count, size))
			}
		}
	})
}

// TestKernelsOnLongRows has lengths around what is worked on in one go, with
// rows few and many.
func TestKernelsOnLongRows(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		random := seeded()
		for _, size := range []int{blockSize - 1, blockSize, blockSize + 1, blockSize + 32, 3*blockSize + 77, 100_003} {
			for _, count := range []int{1, 3, 11, 12, 13, 23, 24, 33, 60} {
				checkSum(t, size, random.IntN(65), randomBytes(random, count), randomRows(random, count, size))
			}
		}
	})
}

func TestKernelsAgreeOnLargeSums(t *testing.T) {
	random := seeded()
	weights, rows := randomBytes(random, 40), randomRows(random, 40, 1<<20+13)
	sums := make(map[string][]byte)
	eachKernel(t, func(t *testing.T) {
		sum := make([]byte, 1<<20+13)
		weightedSum(sum, weights, rows)
		sums[active.name] = sum
	})
	for name, sum := range sums {
		if !bytes.Equal(sum, sums["portable"]) {
			t.Errorf("%s and portable disagree", name)
		}
	}
}

// TestKernelsSplitAlike splits with one kernel and combines with another.
func TestKernelsSplitAlike(t *testing.T) {
	secret := randomBytes(seeded(), 10_007)
	eachKernel(t, func(t *testing.T) {
		shares := mustSplit(t, secret, 3, upTo(5))
		for _, k := range kernels() {
			use(t, k)
			if !mustConsistent(t, shares, 3) || !bytes.Equal(mustCombine(t, shares[2:]), secret) {
				t.Errorf("%s cannot read the shares", k.name)
			}
		}
	})
}

func TestWeightedSumRefusesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		weights []byte
		rows    [][]byte
	}{
		"fewer weights":        {[]byte{1}, constantRows([]byte{1, 2}, 64)},
		"more weights":         {[]byte{1, 2, 3}, constantRows([]byte{1, 2}, 64)},
		"short row":            {[]byte{1, 2}, [][]byte{make([]byte, 64), make([]byte, 63)}},
		"short row, capacious": {[]byte{1}, [][]byte{make([]byte, 63, 64)}},
		"nil row":              {[]byte{1}, [][]byte{nil}},
	} {
		eachKernel(t, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			weightedSum(make([]byte, 64), c.weights, c.rows)
		})
	}
}

// FuzzWeightedSum takes as many rows as there are weights from data, as long
// as that goes, and sums them at the given offset.
func FuzzWeightedSum(f *testing.F) {
	f.Add([]byte{}, []byte{}, byte(0))
	f.Add([]byte{42}, []byte{127}, byte(1))
	f.Add([]byte{1, 4, 16}, bytes.Repeat([]byte{42, 5, 7}, 33), byte(63))
	f.Add([]byte{0x53, 0xb2, 0xe0, 0, 1}, bytes.Repeat([]byte{0xff, 0, 0x80}, 300), byte(31))
	f.Fuzz(func(t *testing.T, weights, data []byte, offset byte) {
		weights = weights[:min(len(weights), 255)]
		size := len(data) / max(1, len(weights))
		rows := make([][]byte, len(weights))
		for i := range rows {
			rows[i] = data[i*size : (i+1)*size]
		}
		for _, k := range kernels() {
			use(t, k)
			checkSum(t, size, int(offset), weights, rows)
		}
	})
}

func TestWipe(t *testing.T) {
	secret := []byte("secret")
	wipe(secret)
	if !bytes.Equal(secret, make([]byte, 6)) {
		t.Fatalf("left %x", secret)
	}
}
