package shamir

import (
	"bytes"
	"errors"
	"testing"
)

// TestCombineKnownShares uses p(x) = 42 + 5x + 7x^2, whose values are fixed.
func TestCombineKnownShares(t *testing.T) {
	shares := [][]byte{{255, 125}, {1, 40}, {4, 78}}
	if got := mustCombine(t, shares); !bytes.Equal(got, []byte{42}) {
		t.Fatalf("rebuilt %v, want [42]", got)
	}
}

func TestCombineLeavesSharesAlone(t *testing.T) {
	shares := mustSplit(t, []byte("secret"), 2, upTo(3))
	before := [][]byte{bytes.Clone(shares[0]), bytes.Clone(shares[1]), bytes.Clone(shares[2])}
	clear(mustCombine(t, shares))
	for i := range shares {
		if !bytes.Equal(shares[i], before[i]) {
			t.Errorf("share %d changed", i)
		}
	}
}

func TestCombineRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		shares [][]byte
		want   error
	}{
		"none":                  {nil, ErrTooFewShares},
		"one":                   {[][]byte{{1, 7}}, ErrTooFewShares},
		"point 0":               {[][]byte{{1, 7}, {0, 8}}, ErrZeroPoint},
		"repeated point":        {[][]byte{{1, 7}, {2, 8}, {1, 7}}, ErrRepeatedPoint},
		"unequal lengths":       {[][]byte{{1, 7}, {2, 8, 9}}, ErrUnequalLengths},
		"empty payloads":        {[][]byte{{1}, {2}}, ErrEmpty},
		"no point":              {[][]byte{{}, {}}, ErrEmpty},
		"nil share":             {[][]byte{{1, 7}, nil}, ErrEmpty},
		"more shares than are":  {append(oneByteShares(255), []byte{1, 1}), ErrRepeatedPoint},
		"last of many repeated": {append(oneByteShares(40), []byte{40, 1}), ErrRepeatedPoint},
	} {
		secret, err := Combine(c.shares)
		if !errors.Is(err, c.want) || secret != nil {
			t.Errorf("%s: got %v, %v, want %v", name, secret, err, c.want)
		}
	}
}

func oneByteShares(n int) [][]byte {
	shares := make([][]byte, n)
	for i := range shares {
		shares[i] = []byte{byte(i + 1), 1}
	}
	return shares
}

// FuzzCombine cuts data into shares of the given size, the last of which may
// be shorter: either a documented error, or what the oracle rebuilds.
func FuzzCombine(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		shares := cut(data, int(size))
		got, err := Combine(shares)
		if err != nil {
			if !documented(err) {
				t.Fatalf("undocumented error: %v", err)
			}
			return
		}
		if want := oracleCombine(shares); !bytes.Equal(got, want) {
			t.Fatalf("shares %x: got %x, want %x", shares, got, want)
		}
	})
}

func cut(data []byte, size int) [][]byte {
	var shares [][]byte
	for size > 0 && len(data) > 0 {
		n := min(size, len(data))
		shares = append(shares, data[:n])
		data = data[n:]
	}
	return shares
}

func documented(err error) bool {
	for _, sentinel := range []error{ErrTooFewShares, ErrZeroPoint, ErrRepeatedPoint, ErrUnequalLengths, ErrEmpty} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}
