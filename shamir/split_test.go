package shamir

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// upTo returns the points 1 to n.
func upTo(n int) []byte {
	points := make([]byte, n)
	for i := range points {
		points[i] = byte(i + 1)
	}
	return points
}

func mustSplit(t testing.TB, secret []byte, k int, points []byte) [][]byte {
	t.Helper()
	shares, err := Split(secret, k, points)
	if err != nil {
		t.Fatalf("splitting %d bytes, k %d, points %v: %v", len(secret), k, points, err)
	}
	return shares
}

func mustCombine(t testing.TB, shares [][]byte) []byte {
	t.Helper()
	secret, err := Combine(shares)
	if err != nil {
		t.Fatalf("combining %d shares: %v", len(shares), err)
	}
	return secret
}

func TestAnyKOfNRebuild(t *testing.T) {
	random := seeded()
	for range 1000 {
		n := 2 + random.IntN(254)
		if random.IntN(4) > 0 {
			n = 2 + random.IntN(12)
		}
		k := 2 + random.IntN(n-1)
		secret := randomBytes(random, 16+random.IntN(300))
		shares := mustSplit(t, secret, k, pickPoints(random, n))
		shuffle(random, shares)
		if got := mustCombine(t, shares[:k]); !bytes.Equal(got, secret) {
			t.Fatalf("k %d of %d rebuilt %x, want %x", k, n, got, secret)
		}
		if k > 2 {
			if got := mustCombine(t, shares[:k-1]); bytes.Equal(got, secret) {
				t.Fatalf("%d shares rebuilt a secret of threshold %d", k-1, k)
			}
		}
	}
}

func pickPoints(random *rand.Rand, n int) []byte {
	points := upTo(255)
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points[:n]
}

func shuffle(random *rand.Rand, shares [][]byte) {
	random.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
}

// TestEverySubset takes every subset of five shares: three or more rebuild.
func TestEverySubset(t *testing.T) {
	secret := []byte("correct horse battery staple")
	shares := mustSplit(t, secret, 3, []byte{1, 2, 77, 254, 255})
	for set := range 1 << len(shares) {
		var chosen [][]byte
		for i, share := range shares {
			if set>>i&1 == 1 {
				chosen = append(chosen, share)
			}
		}
		if len(chosen) < 2 {
			continue
		}
		if got, want := bytes.Equal(mustCombine(t, chosen), secret), len(chosen) >= 3; got != want {
			t.Errorf("set %05b: rebuilt %v, want %v", set, got, want)
		}
	}
}

func TestLengthsAroundWordsAndBlocks(t *testing.T) {
	random := seeded()
	sizes := []int{blockSize - 1, blockSize, blockSize + 1, 2*blockSize + 13}
	for size := 1; size <= 17; size++ {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		secret := randomBytes(random, size)
		before := bytes.Clone(secret)
		shares := mustSplit(t, secret, 3, upTo(5))
		for i, share := range shares {
			if len(share) != 1+size || share[0] != byte(i+1) {
				t.Fatalf("size %d: share %d has %d bytes, point %d", size, i, len(share), share[0])
			}
		}
		if got := mustCombine(t, shares[2:]); !bytes.Equal(got, before) {
			t.Fatalf("size %d: rebuilt %x", size, got)
		}
		if !bytes.Equal(secret, before) {
			t.Fatalf("size %d: Split changed its argument", size)
		}
	}
}

func TestWidestSplit(t *testing.T) {
	secret := []byte("all points, and all of them needed")
	shares := mustSplit(t, secret, 255, upTo(255))
	if got := mustCombine(t, shares); !bytes.Equal(got, secret) {
		t.Fatalf("rebuilt %q", got)
	}
	if got := mustCombine(t, shares[1:]); bytes.Equal(got, secret) {
		t.Fatal("254 shares rebuilt a secret of threshold 255")
	}
}

// TestEvaluateAgreesWithOracle feeds both the same coefficients.
func TestEvaluateAgreesWithOracle(t *testing.T) {
	random := seeded()
	for range 200 {
		n := 2 + random.IntN(20)
		k := 2 + random.IntN(n-1)
		secret, points := randomBytes(random, 1+random.IntN(50)), pickPoints(random, n)
		columns := randomBytes(random, (k-1)*len(secret))
		got := evaluate(secret, k, points, &chosen{keystream(columns, k-1)})
		want := oracleSplit(secret, k, points, columns)
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("k %d, point %d: got %x, want %x", k, points[i], got[i], want[i])
			}
		}
	}
}

// chosen stands in for the keystream and hands out the bytes it holds.
type chosen struct{ bytes []byte }

func (c *chosen) XORKeyStream(dst, src []byte) {
	used := subtle.XORBytes(dst, src, c.bytes)
	c.bytes = c.bytes[used:]
}

// keystream puts coefficients into the order in which evaluate draws them:
// block by block, and there one row per power of x. The columns are the
// coefficients of each byte of the secret in turn.
func keystream(columns []byte, degree int) []byte {
	stream := make([]byte, 0, len(columns))
	blocks(len(columns)/degree, degree+1, func(from, to int) {
		for power := range degree {
			for i := from; i < to; i++ {
				stream = append(stream, columns[i*degree+power])
			}
		}
	})
	return stream
}

func TestCoefficientsAreFresh(t *testing.T) {
	secret := make([]byte, 4*blockSize)
	first, second := mustSplit(t, secret, 2, upTo(2))[0], mustSplit(t, secret, 2, upTo(2))[0]
	if bytes.Equal(first, second) {
		t.Fatal("two splits used the same coefficients")
	}
	seen := make(map[string]bool)
	for chunk := range slices.Chunk(first[1:], 16) {
		if seen[string(chunk)] {
			t.Fatal("one split used the same coefficients twice")
		}
		seen[string(chunk)] = true
	}
}

// TestOneShareOfTwoTellsNothing tries all pairs of a secret and a coefficient
// of one byte with K = 2: at each point, every value is seen exactly once,
// whatever the secret.
func TestOneShareOfTwoTellsNothing(t *testing.T) {
	payload, columns := make([]byte, 1<<16), make([]byte, 1<<16)
	for i := range payload {
		payload[i], columns[i] = byte(i>>8), byte(i)
	}
	shares := evaluate(payload, 2, []byte{1, 2, 3, 4, 5, 128, 255}, &chosen{keystream(columns, 1)})
	for _, share := range shares {
		for secret := range 256 {
			var seen [256]bool
			for _, y := range share[1+secret<<8:][:256] {
				if seen[y] {
					t.Fatalf("secret %d, point %d: %d is seen twice", secret, share[0], y)
				}
				seen[y] = true
			}
		}
	}
}

// TestTwoSharesOfThreeTellNothing tries all secrets and all pairs of
// coefficients of one byte with K = 3: for any two points, each pair of values
// is seen exactly once, whatever the secret.
func TestTwoSharesOfThreeTellNothing(t *testing.T) {
	points, stream := []byte{1, 2, 255}, keystream(allColumns(), 2)
	for secret := range 256 {
		payload := bytes.Repeat([]byte{byte(secret)}, 1<<16)
		shares := evaluate(payload, 3, points, &chosen{stream})
		for i, a := range shares {
			for _, b := range shares[:i] {
				if !allPairs(a[1:], b[1:]) {
					t.Fatalf("secret %d, points %d and %d: not every pair of values is seen", secret, a[0], b[0])
				}
			}
		}
	}
}

// allColumns returns every pair of coefficients, one behind the other.
func allColumns() []byte {
	columns := make([]byte, 0, 2<<16)
	for i := range 1 << 16 {
		columns = append(columns, byte(i), byte(i>>8))
	}
	return columns
}

// allPairs reports whether the 65536 pairs are all different.
func allPairs(a, b []byte) bool {
	var seen [1 << 16]bool
	for i, y := range a {
		pair := int(y)<<8 | int(b[i])
		if seen[pair] {
			return false
		}
		seen[pair] = true
	}
	return len(a) == len(seen)
}

func TestSplitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		secret []byte
		k      int
		points []byte
		want   error
	}{
		"threshold 1":          {[]byte{7}, 1, upTo(5), ErrThreshold},
		"threshold 0":          {[]byte{7}, 0, upTo(5), ErrThreshold},
		"negative threshold":   {[]byte{7}, -3, upTo(5), ErrThreshold},
		"threshold 256":        {[]byte{7}, 256, upTo(255), ErrThreshold},
		"fewer points than k":  {[]byte{7}, 3, upTo(2), ErrTooFewShares},
		"no points":            {[]byte{7}, 2, nil, ErrTooFewShares},
		"point 0":              {[]byte{7}, 2, []byte{1, 0, 2}, ErrZeroPoint},
		"repeated point":       {[]byte{7}, 2, []byte{1, 2, 1}, ErrRepeatedPoint},
		"more points than are": {[]byte{7}, 2, append(upTo(255), 1), ErrRepeatedPoint},
		"empty secret":         {[]byte{}, 2, upTo(5), ErrEmpty},
		"nil secret":           {nil, 2, upTo(5), ErrEmpty},
	} {
		shares, err := Split(c.secret, c.k, c.points)
		if !errors.Is(err, c.want) || shares != nil {
			t.Errorf("%s: got %v, %v, want %v", name, shares, err, c.want)
		}
	}
}
