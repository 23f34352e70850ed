package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func randomBytes(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

// Wherever 16 bytes of a share begin, in the share and in the message, and
// however they are written, they are found; 15 are not.
func TestOverhearing(t *testing.T) {
	t.Parallel()
	shares := [][]byte{randomBytes(100), randomBytes(101), randomBytes(3), nil}
	all := windowsOf(shares)
	for name, disguise := range disguises {
		for at := range len(shares[1]) - windowSize + 1 {
			part := shares[1][at : at+windowSize]
			whole := disguise(append(randomBytes(at%7), append(part[:windowSize:windowSize], randomBytes(at%5)...)...))
			for _, message := range [][]byte{
				whole,
				append(bytes.Repeat([]byte{'a'}, at%9), whole...), // at every offset of a run of digits
				append([]byte(`{"identity":"00","masked":"`), append(whole, `","more":"x"}`...)...),
			} {
				if found := all.in(message); !found[1] || len(found) != 1 {
					t.Fatalf("%s from %d: found %v in %q", name, at, found, message)
				}
			}
			if name == "raw" {
				short := append(randomBytes(40), append(part[:windowSize-1:windowSize-1], part[windowSize-1]^1)...)
				if at > 0 {
					short[39] = shares[1][at-1] ^ 1
				}
				if found := all.in(append(short, randomBytes(40)...)); len(found) != 0 {
					t.Fatalf("15 bytes from %d: found %v", at, found)
				}
			}
		}
	}
	for _, harmless := range [][]byte{nil, {}, []byte("{"), []byte(`{"masked":null}`), bytes.Repeat([]byte{'A'}, 1000), randomBytes(1000), shares[2]} {
		if found := all.in(harmless); len(found) != 0 {
			t.Errorf("found %v in %q", found, harmless)
		}
	}
}

// A share with a long run of one byte in it is no reason to look for ever.
func TestOverhearingZeros(t *testing.T) {
	t.Parallel()
	all := windowsOf([][]byte{append(make([]byte, 4096), randomBytes(64)...)})
	if found := all.in(make([]byte, 4096)); !found[0] {
		t.Error("zeros are not found")
	}
}

func TestSearchIsTried(t *testing.T) {
	t.Parallel()
	all := windowsOf([][]byte{randomBytes(64), randomBytes(64)})
	if !all.foundAll() {
		t.Error("a share is not found")
	}
	all.blocks = nil
	if all.foundAll() {
		t.Error("a search that finds nothing is taken for one")
	}
}
