package shamir

import (
	"errors"
	"testing"
)

func mustConsistent(t *testing.T, shares [][]byte, k int) bool {
	t.Helper()
	same, err := Consistent(shares, k)
	if err != nil {
		t.Fatalf("checking %d shares, k %d: %v", len(shares), k, err)
	}
	return same
}

func TestConsistentFindsEveryPlantedError(t *testing.T) {
	random := seeded()
	for _, c := range []struct{ n, k int }{{3, 2}, {5, 3}, {6, 5}, {14, 4}, {100, 33}} {
		secret := randomBytes(random, 1+random.IntN(40))
		shares := mustSplit(t, secret, c.k, pickPoints(random, c.n))
		if !mustConsistent(t, shares, c.k) {
			t.Fatalf("(%d,%d): shares of one split are called inconsistent", c.n, c.k)
		}
		for i, share := range shares {
			position, flip := 1+random.IntN(len(secret)), byte(1+random.IntN(255))
			share[position] ^= flip
			if mustConsistent(t, shares, c.k) {
				t.Errorf("(%d,%d): error in share %d at %d not seen", c.n, c.k, i, position)
			}
			share[position] ^= flip
		}
	}
}

func TestConsistentSeesEveryPosition(t *testing.T) {
	shares := mustSplit(t, make([]byte, 2*blockSize+3), 2, upTo(3))
	for _, position := range []int{1, 8, 9, blockSize, blockSize + 1, 2 * blockSize, 2*blockSize + 3} {
		shares[2][position] ^= 1
		if mustConsistent(t, shares, 2) {
			t.Errorf("error at %d not seen", position)
		}
		shares[2][position] ^= 1
	}
}

func TestConsistentTellsDegreesAndSplitsApart(t *testing.T) {
	secret := []byte("a secret of more than a few bytes")
	first, second := mustSplit(t, secret, 3, upTo(5)), mustSplit(t, secret, 3, upTo(5))
	for k, want := range map[int]bool{2: false, 3: true, 4: true, 5: true} {
		if got := mustConsistent(t, first, k); got != want {
			t.Errorf("threshold 3 taken for %d: got %v, want %v", k, got, want)
		}
	}
	mixed := [][]byte{first[0], first[1], second[2], second[3]}
	if mustConsistent(t, mixed, 3) {
		t.Error("shares of two splits are called consistent")
	}
	if !mustConsistent(t, mixed[:3], 3) {
		t.Error("exactly k shares are always consistent")
	}
}

func TestConsistentRefuses(t *testing.T) {
	shares := oneByteShares(3)
	for name, c := range map[string]struct {
		shares [][]byte
		k      int
		want   error
	}{
		"threshold 1":     {shares, 1, ErrThreshold},
		"threshold 256":   {shares, 256, ErrThreshold},
		"fewer than k":    {shares, 4, ErrTooFewShares},
		"point 0":         {[][]byte{{1, 7}, {0, 8}}, 2, ErrZeroPoint},
		"repeated point":  {[][]byte{{1, 7}, {1, 7}}, 2, ErrRepeatedPoint},
		"unequal lengths": {[][]byte{{1, 7}, {2, 8, 9}}, 2, ErrUnequalLengths},
		"empty payloads":  {[][]byte{{1}, {2}}, 2, ErrEmpty},
	} {
		same, err := Consistent(c.shares, c.k)
		if !errors.Is(err, c.want) || same {
			t.Errorf("%s: got %v, %v, want %v", name, same, err, c.want)
		}
	}
}
