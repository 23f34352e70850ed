package shamir

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// bitwiseWeights are the Lagrange coefficients as the textbook has them, with
// products and quotients from the bitwise oracle.
func bitwiseWeights(points []byte, x byte) []byte {
	weights := make([]byte, len(points))
	for i, own := range points {
		weights[i] = 1
		for _, other := range points {
			if other != own {
				quotient := bytes.IndexByte(bitwise[own^other][:], x^other)
				weights[i] = bitwise[weights[i]][quotient]
			}
		}
	}
	return weights
}

func mustWeights(t testing.TB, points []byte, x byte) []byte {
	t.Helper()
	weights, err := Weights(points, x)
	if err != nil {
		t.Fatalf("weights of %v at %d: %v", points, x, err)
	}
	return weights
}

// without returns the points but for x.
func without(points []byte, x byte) []byte {
	return slices.DeleteFunc(points, func(p byte) bool { return p == x })
}

func TestWeightsAreTheTextbooks(t *testing.T) {
	random := seeded()
	for i := range 2000 {
		n, x := 1+random.IntN(20), byte(random.IntN(256))
		if i%100 == 0 {
			n = 1 + random.IntN(255)
		}
		points := without(pickPoints(random, n), x)
		if len(points) == 0 {
			continue
		}
		if got, want := mustWeights(t, points, x), bitwiseWeights(points, x); !bytes.Equal(got, want) {
			t.Fatalf("weights of %v at %d: got %v, want %v", points, x, got, want)
		}
	}
}

// TestWeightsOfTwo takes every two points, and some x for each.
func TestWeightsOfTwo(t *testing.T) {
	for a := 1; a < 256; a++ {
		for b := a + 1; b < 256; b++ {
			points := []byte{byte(a), byte(b)}
			for x := (a + 3*b) % 16; x < 256; x += 16 {
				if x == a || x == b {
					continue
				}
				w := mustWeights(t, points, byte(x))
				// They are right for the polynomials 1 and x.
				if w[0]^w[1] != 1 || bitwise[w[0]][a]^bitwise[w[1]][b] != byte(x) {
					t.Fatalf("weights of %v at %d: %v", points, x, w)
				}
			}
		}
	}
}

func TestWeightsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		points []byte
		x      byte
		want   error
	}{
		"no points":        {nil, 1, ErrTooFewShares},
		"a point 0":        {[]byte{1, 0, 2}, 5, ErrZeroPoint},
		"a repeated point": {[]byte{1, 2, 3, 2}, 5, ErrRepeatedPoint},
		"x is a point":     {[]byte{1, 2, 3}, 2, ErrRepeatedPoint},
		"x is the only":    {[]byte{255}, 255, ErrRepeatedPoint},
		"all, and again":   {append(upTo(255), 7), 0, ErrRepeatedPoint},
	} {
		if weights, err := Weights(c.points, c.x); !errors.Is(err, c.want) || weights != nil {
			t.Errorf("%s: got %v, %v, want %v", name, weights, err, c.want)
		}
	}
}

// TestWeightsLeavePointsAlone, and no weight is ever 0: each share counts.
func TestWeightsLeavePointsAlone(t *testing.T) {
	points := pickPoints(seeded(), 100)
	before := bytes.Clone(points)
	weights := mustWeights(t, points, 0)
	if !bytes.Equal(points, before) {
		t.Error("the points were changed")
	}
	if len(weights) != 100 || slices.Contains(weights, 0) {
		t.Errorf("%d weights, some of them 0: %v", len(weights), weights)
	}
}

// TestSharesFromShares is what weights are for: any k shares make any other
// share, and the secret.
func TestSharesFromShares(t *testing.T) {
	random := seeded()
	for i := range 500 {
		n, size := 3+random.IntN(12), 1+random.IntN(300)
		if i%50 == 0 {
			n, size = 3+random.IntN(253), 1+random.IntN(3*blockSize)
		}
		k := 2 + random.IntN(n-2)
		secret := randomBytes(random, size)
		shares := mustSplit(t, secret, k, pickPoints(random, n))
		checkMade(t, shares[:k], 0, secret)
		checkMade(t, shares[:k], shares[k][0], shares[k][1:])
	}
}

func checkMade(t *testing.T, shares [][]byte, x byte, want []byte) {
	t.Helper()
	var points []byte
	var rows [][]byte
	for _, share := range shares {
		points, rows = append(points, share[0]), append(rows, share[1:])
	}
	before := slices.Concat(rows...)
	if got := WeightedSum(mustWeights(t, points, x), rows); !bytes.Equal(got, want) {
		t.Fatalf("%d shares of %d bytes make another value at %d", len(shares), len(want), x)
	}
	if !bytes.Equal(before, slices.Concat(rows...)) {
		t.Fatal("the shares were changed")
	}
}

func TestWeightedSumIsTheOracles(t *testing.T) {
	random := seeded()
	for range 500 {
		size := random.IntN(200)
		rows := make([][]byte, 1+random.IntN(12))
		for i := range rows {
			rows[i] = randomBytes(random, size)
		}
		weights := randomBytes(random, len(rows))
		weights[0] *= byte(random.IntN(2)) // 0 is a weight like any other
		got := WeightedSum(weights, rows)
		if !bytes.Equal(got, bitwiseSum(size, weights, rows)) {
			t.Fatalf("sum of %d rows of %d elements, weights %v", len(rows), size, weights)
		}
	}
}

func TestWeightedSumOfNothing(t *testing.T) {
	if got := WeightedSum(nil, nil); len(got) != 0 {
		t.Errorf("no rows make %v", got)
	}
	if got := WeightedSum([]byte{3, 4}, [][]byte{{}, {}}); len(got) != 0 {
		t.Errorf("empty rows make %v", got)
	}
}

func TestInnerProductIsTheOracles(t *testing.T) {
	random := seeded()
	for size := range 100 {
		for range 20 {
			a, b := randomBytes(random, size), randomBytes(random, size)
			checkInnerProduct(t, a, b)
		}
	}
	checkInnerProduct(t, randomBytes(random, 64<<10+3), randomBytes(random, 64<<10+3))
}

func checkInnerProduct(t *testing.T, a, b []byte) {
	t.Helper()
	var want byte
	for i := range a {
		want ^= bitwise[a[i]][b[i]]
	}
	beforeA, beforeB := bytes.Clone(a), bytes.Clone(b)
	if got := InnerProduct(a, b); got != want {
		t.Fatalf("inner product of %d elements: got %d, want %d", len(a), got, want)
	}
	if !bytes.Equal(a, beforeA) || !bytes.Equal(b, beforeB) {
		t.Fatal("the arguments were changed")
	}
}

// TestInnerProductSeesEveryPlace puts one element alone at each place.
func TestInnerProductSeesEveryPlace(t *testing.T) {
	for size := 1; size <= 40; size++ {
		for place := range size {
			a, b := make([]byte, size), bytes.Repeat([]byte{1}, size)
			a[place] = 0xa5
			if got := InnerProduct(a, b); got != 0xa5 {
				t.Fatalf("place %d of %d: %d", place, size, got)
			}
		}
	}
}

// TestMisuseOfWeights: lengths that do not fit are errors of the program.
func TestMisuseOfWeights(t *testing.T) {
	for name, call := range map[string]func(){
		"too few weights":   func() { WeightedSum([]byte{1}, [][]byte{{1}, {2}}) },
		"too many weights":  func() { WeightedSum([]byte{1, 2, 3}, [][]byte{{1}, {2}}) },
		"weights, no rows":  func() { WeightedSum([]byte{1}, nil) },
		"a shorter row":     func() { WeightedSum([]byte{1, 2}, [][]byte{{1, 2}, {2}}) },
		"a longer row":      func() { WeightedSum([]byte{1, 2}, [][]byte{{1}, {2, 3}}) },
		"unequal, product":  func() { InnerProduct([]byte{1}, []byte{1, 2}) },
		"unequal, words":    func() { InnerProduct(make([]byte, 16), make([]byte, 8)) },
		"nothing and a row": func() { InnerProduct(nil, []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}
