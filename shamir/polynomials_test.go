package shamir

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// Shares computed one by one are those of one sharing, and of the degree asked
// for, whatever block of the secret a byte is in.
func TestShareAt(t *testing.T) {
	for _, shape := range []struct{ n, k, size int }{{3, 2, 1}, {5, 3, 100}, {7, 4, 4 * blockSize}, {100, 33, 2000}, {255, 255, 300}} {
		t.Run(fmt.Sprintf("n=%d,k=%d", shape.n, shape.k), func(t *testing.T) {
			var key [KeySize]byte
			_, _ = rand.Read(key[:])
			secret := make([]byte, shape.size)
			_, _ = rand.Read(secret)
			var shares [][]byte
			for x := 1; x <= shape.n; x++ {
				share, err := ShareAt(&key, secret, shape.k, byte(x))
				if err != nil || share[0] != byte(x) || len(share) != shape.size+1 {
					t.Fatalf("point %d: %d bytes, %v", x, len(share), err)
				}
				shares = append(shares, share)
			}
			slices.Reverse(shares)
			fits, err := Consistent(shares, shape.k)
			if !fits || err != nil {
				t.Errorf("they are of no one sharing: %v", err)
			}
			if got, err := Combine(shares[:shape.k]); err != nil || !bytes.Equal(got, secret) {
				t.Errorf("they make another secret: %v", err)
			}
			if shape.size >= 100 && shape.k > 2 {
				if low, err := Consistent(shares[:shape.k], shape.k-1); low || err != nil {
					t.Errorf("they are of a lower degree: %v", err)
				}
			}
		})
	}
}

func TestShareAtIsAFunctionOfTheKey(t *testing.T) {
	key, other, secret := [KeySize]byte{1}, [KeySize]byte{2}, []byte("sixteen bytes...")
	first, err := ShareAt(&key, secret, 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := ShareAt(&key, secret, 3, 5)
	another, _ := ShareAt(&other, secret, 3, 5)
	if !bytes.Equal(first, again) || bytes.Equal(first, another) {
		t.Errorf("got %x, %x and with another key %x", first, again, another)
	}
}

func TestShareAtRefuses(t *testing.T) {
	var key [KeySize]byte
	for name, test := range map[string]struct {
		secret []byte
		k      int
		x      byte
		want   error
	}{
		"point 0":   {[]byte("secret"), 3, 0, ErrZeroPoint},
		"k of 1":    {[]byte("secret"), 1, 1, ErrThreshold},
		"k of 256":  {[]byte("secret"), 256, 1, ErrThreshold},
		"no secret": {nil, 3, 1, ErrEmpty},
	} {
		if _, err := ShareAt(&key, test.secret, test.k, test.x); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
