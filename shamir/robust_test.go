package shamir

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// robustCase is a split some of whose shares are about to be wrong.
type robustCase struct {
	n, k   int
	secret []byte
	shares [][]byte
}

func newRobustCase(t *testing.T, random *rand.Rand, n, k, size int) robustCase {
	t.Helper()
	c := robustCase{n: n, k: k, secret: randomBytes(random, size)}
	c.shares = mustSplit(t, c.secret, k, pickPoints(random, n))
	return c
}

func (c robustCase) bound() int { return (c.n - c.k) / 2 }

// anyRobustCase is mostly small, sometimes of up to 255 shares, sometimes of
// several windows, sometimes shorter than 32 bytes.
func anyRobustCase(t *testing.T, random *rand.Rand) robustCase {
	t.Helper()
	n, size := 3+random.IntN(14), 32+random.IntN(100)
	switch dice := random.IntN(200); {
	case dice == 0:
		n = 17 + random.IntN(239)
	case dice == 1:
		size += 2 * sieveWindow
	case dice < 20:
		size = 1 + random.IntN(31)
	}
	return newRobustCase(t, random, n, 2+random.IntN(min(n-2, 120)), size)
}

// somePositions draws count different positions of n, ascending.
func somePositions(random *rand.Rand, n, count int) []int {
	positions := random.Perm(n)[:count]
	slices.Sort(positions)
	return positions
}

func nonZero(random *rand.Rand) byte { return byte(1 + random.IntN(255)) }

// kindsOfErrors make the shares at the given positions wrong, each for sure.
var kindsOfErrors = map[string]func(t *testing.T, random *rand.Rand, c robustCase, wrong []int){
	"every byte random": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		for _, i := range wrong {
			for j := range c.secret {
				c.shares[i][1+j] ^= nonZero(random)
			}
		}
	},
	"zeros": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		for _, i := range wrong {
			was := bytes.Clone(c.shares[i])
			clear(c.shares[i][1:])
			if bytes.Equal(was, c.shares[i]) {
				c.shares[i][1] = nonZero(random)
			}
		}
	},
	"one bit each": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		for _, i := range wrong {
			c.shares[i][1+random.IntN(len(c.secret))] ^= 1 << random.IntN(8)
		}
	},
	"one byte each, all at one place": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		column := 1 + random.IntN(len(c.secret))
		for _, i := range wrong {
			c.shares[i][column] ^= nonZero(random)
		}
	},
	"the last byte": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		for _, i := range wrong {
			c.shares[i][len(c.secret)] ^= nonZero(random)
		}
	},
	"one after the other": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		for j, i := range wrong {
			c.shares[i][1+j%len(c.secret)] ^= nonZero(random)
		}
	},
	"the same difference": func(_ *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		difference := randomBytes(random, len(c.secret))
		difference[0] = nonZero(random)
		for _, i := range wrong {
			for j, d := range difference {
				c.shares[i][1+j] ^= d
			}
		}
	},
	"another split": func(t *testing.T, random *rand.Rand, c robustCase, wrong []int) {
		t.Helper()
		var points []byte
		for _, share := range c.shares {
			points = append(points, share[0])
		}
		other := mustSplit(t, randomBytes(random, len(c.secret)), c.k, points)
		for _, i := range wrong {
			if bytes.Equal(c.shares[i], other[i]) {
				other[i][1] ^= nonZero(random)
			}
			c.shares[i] = other[i]
		}
	},
}

func kindNames() []string {
	names := make([]string, 0, len(kindsOfErrors))
	for name := range kindsOfErrors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestCombineRobustUpToTheBound is the property: always right, always named.
func TestCombineRobustUpToTheBound(t *testing.T) {
	random, kinds := seeded(), kindNames()
	for i := range 10_000 {
		c := anyRobustCase(t, random)
		kind, wrong := kinds[i%len(kinds)], somePositions(random, c.n, random.IntN(c.bound()+1))
		kindsOfErrors[kind](t, random, c, wrong)
		checkRobust(t, kind, c, wrong)
	}
}

func checkRobust(t *testing.T, what string, c robustCase, wrong []int) {
	t.Helper()
	got, err := CombineRobust(c.shares, c.k)
	if err != nil {
		t.Fatalf("%s: k %d of %d, %d bytes, %v wrong: %v", what, c.k, c.n, len(c.secret), wrong, err)
	}
	if !bytes.Equal(got.Secret, c.secret) || !slices.Equal(got.Wrong, wrong) {
		t.Fatalf("%s: k %d of %d, %d bytes: right secret: %v, found %v wrong, want %v",
			what, c.k, c.n, len(c.secret), bytes.Equal(got.Secret, c.secret), got.Wrong, wrong)
	}
	if got.Bound != c.bound() || got.Checked != (c.n > c.k) {
		t.Fatalf("%s: k %d of %d: bound %d, checked %v", what, c.k, c.n, got.Bound, got.Checked)
	}
}

func checkUncorrectable(t *testing.T, what string, c robustCase, wrong []int) {
	t.Helper()
	got, err := CombineRobust(c.shares, c.k)
	if !errors.Is(err, ErrUncorrectable) || !isEmpty(got) {
		t.Fatalf("%s: k %d of %d, %d bytes, %v wrong: got %+v, %v", what, c.k, c.n, len(c.secret), wrong, got, err)
	}
}

func isEmpty(r Robust) bool {
	return r.Secret == nil && r.Wrong == nil && r.Bound == 0 && !r.Checked
}

// TestCombineRobustOneBeyondTheBound holds where n-k is odd, for errors of any
// kind at all: the distance of the code rules out a mistake.
func TestCombineRobustOneBeyondTheBound(t *testing.T) {
	random, kinds := seeded(), kindNames()
	for i := range 1500 {
		c := anyRobustCase(t, random)
		if (c.n-c.k)%2 == 0 {
			c = newRobustCase(t, random, c.n-1, c.k, len(c.secret))
		}
		kind, wrong := kinds[i%len(kinds)], somePositions(random, c.n, c.bound()+1)
		kindsOfErrors[kind](t, random, c, wrong)
		checkUncorrectable(t, kind, c, wrong)
	}
}

// TestCombineRobustFarBeyondTheBound plants independent errors throughout the
// payload, in any number of shares up to all of them.
func TestCombineRobustFarBeyondTheBound(t *testing.T) {
	random := seeded()
	for range 1500 {
		c := anyRobustCase(t, random)
		if len(c.secret) < 32 {
			continue
		}
		count := c.bound() + 1 + random.IntN(c.n-c.bound())
		wrong := somePositions(random, c.n, count)
		kindsOfErrors["every byte random"](t, random, c, wrong)
		checkUncorrectable(t, "independent errors", c, wrong)
	}
}

// TestCombineRobustSeesThePlaceOfEveryError puts the errors of different
// shares into different windows, at their edges, in and against their order.
func TestCombineRobustSeesThePlaceOfEveryError(t *testing.T) {
	random := seeded()
	columns := []int{0, 1, sieveWindow - 1, sieveWindow, sieveWindow + 1, 2*sieveWindow - 1, 2 * sieveWindow, 2*sieveWindow + 6}
	for range 20 {
		c := newRobustCase(t, random, 3+2*len(columns), 3, 2*sieveWindow+7)
		order := random.Perm(c.n)[:len(columns)]
		for i, position := range order {
			c.shares[position][1+columns[i]] ^= nonZero(random)
		}
		slices.Sort(order)
		checkRobust(t, "edges of windows", c, order)
	}
}

// TestCombineRobustAtTheLimits takes the most shares there are and the most
// errors they can have, found all at once and one by one.
func TestCombineRobustAtTheLimits(t *testing.T) {
	random := seeded()
	for _, k := range []int{2, 85, 253, 254, 255} {
		for kind, from := range map[string]int{"every byte random": 255, "one after the other": (255 - k) / 2} {
			c := newRobustCase(t, random, 255, k, 128)
			wrong := somePositions(random, from, c.bound())
			kindsOfErrors[kind](t, random, c, wrong)
			checkRobust(t, kind, c, wrong)
		}
	}
}

func TestCombineRobustWithoutAShareToSpare(t *testing.T) {
	random := seeded()
	c := newRobustCase(t, random, 4, 4, 40)
	checkRobust(t, "n = k", c, nil)
	c.shares[2][7] ^= 1
	got, err := CombineRobust(c.shares, c.k)
	if err != nil || got.Checked || got.Bound != 0 || len(got.Wrong) != 0 {
		t.Errorf("n = k with a wrong share: got %+v, %v", got, err)
	}
	if bytes.Equal(got.Secret, c.secret) {
		t.Error("a wrong share gave the right secret")
	}
}

func TestCombineRobustWithOneShareToSpare(t *testing.T) {
	random := seeded()
	c := newRobustCase(t, random, 5, 4, 40)
	checkRobust(t, "n = k+1", c, nil)
	for i := range c.shares {
		place := 1 + random.IntN(40)
		c.shares[i][place] ^= 1
		checkUncorrectable(t, "n = k+1", c, []int{i})
		c.shares[i][place] ^= 1
	}
}

// TestCombineRobustOfTwoSplits mixes seven shares of threshold 3, so that up to
// two may be wrong, from two splits. Five of one are more than any one could
// tell from the right ones: the other two are called wrong.
func TestCombineRobustOfTwoSplits(t *testing.T) {
	random := seeded()
	for fromSecond := range 8 {
		first, second := newRobustCase(t, random, 7, 3, 40), newRobustCase(t, random, 7, 3, 40)
		second.shares = mustSplit(t, second.secret, 3, upTo(7))
		first.shares = mustSplit(t, first.secret, 3, upTo(7))
		order := random.Perm(7)
		for _, i := range order[:fromSecond] {
			first.shares[i] = second.shares[i]
		}
		slices.Sort(order[:fromSecond])
		slices.Sort(order[fromSecond:])
		switch {
		case fromSecond <= 2:
			checkRobust(t, "few of the other split", first, order[:fromSecond])
		case fromSecond >= 5:
			first.secret = second.secret
			checkRobust(t, "most of the other split", first, order[fromSecond:])
		default:
			checkUncorrectable(t, "about half of either", first, order[:fromSecond])
		}
	}
}

// TestCombineRobustCannotSeeThroughAConspiracy shows why what comes out must be
// authenticated. Three of seven guardians, one more than the bound, know the
// polynomials of threshold 3. They choose others that meet these at the points
// of two honest guardians and answer with their values: five shares agree.
func TestCombineRobustCannotSeeThroughAConspiracy(t *testing.T) {
	random := seeded()
	c := newRobustCase(t, random, 7, 3, 40)
	forged := randomBytes(random, 40)
	chosen := [][]byte{append([]byte{0}, forged...), c.shares[0], c.shares[1]}
	for _, i := range []int{2, 3, 4} {
		for j := range forged {
			c.shares[i][1+j] = oracleValueAt(chosen, c.shares[i][0], j)
		}
	}
	c.secret = forged
	checkRobust(t, "conspiracy", c, []int{5, 6})
}

// oracleValueAt interpolates through all shares at x, for the given byte.
func oracleValueAt(shares [][]byte, x byte, column int) byte {
	var y byte
	for _, share := range shares {
		term := share[1+column]
		for _, other := range shares {
			if other[0] != share[0] {
				term = oracleMul(term, oracleDiv(x^other[0], share[0]^other[0]))
			}
		}
		y ^= term
	}
	return y
}

// TestCombineRobustExhaustively goes through all words of length 4 and
// dimension 2 but for a line through the first two points, which can be added
// to any word.
func TestCombineRobustExhaustively(t *testing.T) {
	shares := [][]byte{{1, 0}, {2, 0}, {77, 0}, {255, 0}}
	outcomes := make(map[int]int)
	for word := range 1 << 16 {
		shares[2][1], shares[3][1] = byte(word), byte(word>>8)
		outcomes[compareWithBruteForce(t, shares, 2)]++
	}
	// All agree; one of four is wrong, in 255 ways each; the rest is not told.
	if outcomes[0] != 1 || outcomes[1] != 4*255 || outcomes[-1] != 1<<16-1-4*255 {
		t.Errorf("number of words by number of wrong shares: %v", outcomes)
	}
}

// compareWithBruteForce returns how many shares are wrong, or -1 if that
// cannot be told.
func compareWithBruteForce(t *testing.T, shares [][]byte, k int) int {
	t.Helper()
	got, err := CombineRobust(shares, k)
	secret, wrong, found := bruteForce(shares, k)
	if !found {
		if !errors.Is(err, ErrUncorrectable) || !isEmpty(got) {
			t.Fatalf("shares %x, k %d: got %+v, %v, want ErrUncorrectable", shares, k, got, err)
		}
		return -1
	}
	if err != nil || !bytes.Equal(got.Secret, secret) || !slices.Equal(got.Wrong, wrong) {
		t.Fatalf("shares %x, k %d: got %+v, %v, want %x, %v wrong", shares, k, got, err, secret, wrong)
	}
	return len(wrong)
}

// bruteForce interpolates through every k shares and counts who disagrees.
func bruteForce(shares [][]byte, k int) (secret []byte, wrong []int, found bool) {
	for set := range 1 << len(shares) {
		base := slices.Collect(members(shares, set))
		if len(base) != k {
			continue
		}
		wrong = nil
		for i, share := range shares {
			if !onPolynomials(base, share) {
				wrong = append(wrong, i)
			}
		}
		if len(wrong) <= (len(shares)-k)/2 {
			return oracleCombine(base), wrong, true
		}
	}
	return nil, nil, false
}

func members(shares [][]byte, set int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i, share := range shares {
			if set>>i&1 == 1 && !yield(share) {
				return
			}
		}
	}
}

func onPolynomials(base [][]byte, share []byte) bool {
	for j, y := range share[1:] {
		if oracleValueAt(base, share[0], j) != y {
			return false
		}
	}
	return true
}

// TestLocateNamesAShareOrFails is what ends the search for wrong shares.
func TestLocateNamesAShareOrFails(t *testing.T) {
	for name, values := range map[string][]byte{
		"all right":          {7, 7, 7, 7, 7, 7},
		"three of six wrong": {7, 7, 7, 0, 1, 9},
	} {
		if wrong, err := locate(upTo(6), values, 2, 2); !errors.Is(err, ErrUncorrectable) || wrong != nil {
			t.Errorf("%s: got %v, %v", name, wrong, err)
		}
	}
	if wrong, err := locate(upTo(6), []byte{7, 7, 1, 7, 7, 2}, 2, 2); err != nil || !slices.Equal(wrong, []int{2, 5}) {
		t.Errorf("two of six wrong: got %v, %v", wrong, err)
	}
}

func TestCombineRobustLeavesSharesAlone(t *testing.T) {
	random := seeded()
	c := newRobustCase(t, random, 7, 3, 40)
	kindsOfErrors["every byte random"](t, random, c, []int{0, 3})
	var before [][]byte
	for _, share := range c.shares {
		before = append(before, bytes.Clone(share))
	}
	got, err := CombineRobust(c.shares, c.k)
	if err != nil {
		t.Fatal(err)
	}
	clear(got.Secret)
	if !slices.EqualFunc(c.shares, before, bytes.Equal) {
		t.Error("the shares changed")
	}
}

func TestCombineRobustRefuses(t *testing.T) {
	shares := oneByteShares(5)
	for name, c := range map[string]struct {
		shares [][]byte
		k      int
		want   error
	}{
		"threshold 1":           {shares, 1, ErrThreshold},
		"threshold 0":           {shares, 0, ErrThreshold},
		"negative threshold":    {shares, -1, ErrThreshold},
		"threshold 256":         {shares, 256, ErrThreshold},
		"no shares":             {nil, 2, ErrTooFewShares},
		"fewer than k":          {shares, 6, ErrTooFewShares},
		"point 0":               {[][]byte{{1, 7}, {2, 8}, {0, 8}}, 2, ErrZeroPoint},
		"repeated point":        {[][]byte{{1, 7}, {2, 8}, {1, 7}}, 2, ErrRepeatedPoint},
		"one point, two values": {[][]byte{{1, 7}, {2, 8}, {1, 9}}, 2, ErrRepeatedPoint},
		"more than 255":         {append(oneByteShares(255), []byte{1, 1}), 2, ErrRepeatedPoint},
		"a wrong, longer share": {[][]byte{{1, 7}, {2, 8}, {3, 9, 9}}, 2, ErrUnequalLengths},
		"a cut share":           {[][]byte{{1, 7, 7}, {2, 8, 8}, {3, 9}}, 2, ErrUnequalLengths},
		"empty payloads":        {[][]byte{{1}, {2}, {3}}, 2, ErrEmpty},
		"a nil share":           {[][]byte{{1, 7}, {2, 7}, nil}, 2, ErrEmpty},
	} {
		got, err := CombineRobust(c.shares, c.k)
		if !errors.Is(err, c.want) || !isEmpty(got) {
			t.Errorf("%s: got %+v, %v, want %v", name, got, err, c.want)
		}
	}
}
