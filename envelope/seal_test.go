package envelope

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func placeOf(root *Root) Place { return Place{Identity: root.Identity(), Name: "tls", Version: 7} }

func TestRoundTrip(t *testing.T) {
	var pool []*Root
	for i := range 2 * MaxSlots {
		pool = append(pool, keyFile(t, byte(i)))
	}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 4096).Draw(t, "secret")
		roots := rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 1, MaxSlots, (*Root).Identity).Draw(t, "roots")
		at := Place{
			Identity: roots[0].Identity(),
			Name:     rapid.StringMatching(`[A-Za-z0-9_-]{0,128}`).Draw(t, "name"),
			Version:  rapid.Uint64().Draw(t, "version"),
		}
		payload, err := Seal(secret, at, roots...)
		if err != nil || len(payload) != len(secret)+Overhead+(len(roots)-1)*SlotSize {
			t.Fatalf("%d bytes, %v", len(payload), err)
		}
		for _, root := range pool {
			got, err := Open(payload, at, root)
			if slices.Contains(roots, root) {
				if err != nil || !bytes.Equal(got, secret) {
					t.Fatalf("%x, %v, not %x", got, err, secret)
				}
			} else if !errors.Is(err, ErrOpen) || got != nil {
				t.Fatalf("another root: %x, %v", got, err)
			}
		}
	})
}

func TestSizes(t *testing.T) {
	if Overhead != 198 || SlotSize != 81 || MaxPayload != 524287 {
		t.Errorf("the published sizes changed: %d, %d, %d", Overhead, SlotSize, MaxPayload)
	}
	root := keyFile(t, 1)
	for _, slots := range []int{1, 2, MaxSlots} {
		roots := slices.Repeat([]*Root{root}, slots)
		most := MaxPayload - Overhead - (slots-1)*SlotSize
		for size, want := range map[int]error{
			0: ErrSecretSize, 1: nil, 15: nil, 16: nil, 17: nil, most: nil, most + 1: ErrSecretSize, 1 << 22: ErrSecretSize,
		} {
			secret := bytes.Repeat([]byte{'s'}, size)
			payload, err := Seal(secret, placeOf(root), roots...)
			if !errors.Is(err, want) || want != nil && payload != nil {
				t.Errorf("%d bytes for %d roots: %v, want %v", size, slots, err, want)
			}
			if err != nil {
				continue
			}
			if got, err := Open(payload, placeOf(root), root); err != nil || !bytes.Equal(got, secret) {
				t.Errorf("%d bytes for %d roots come back as %d: %v", size, slots, len(got), err)
			}
		}
	}
	if _, err := Seal(nil, placeOf(root), root); !errors.Is(err, ErrSecretSize) {
		t.Errorf("nil: %v", err)
	}
}

func TestRoots(t *testing.T) {
	root := keyFile(t, 1)
	for _, slots := range []int{0, MaxSlots + 1, 256, 257} {
		payload, err := Seal([]byte("secret"), placeOf(root), slices.Repeat([]*Root{root}, slots)...)
		if !errors.Is(err, ErrRoots) || payload != nil {
			t.Errorf("%d roots: %v", slots, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	root, id := keyFile(t, 1), strings.Repeat("0a", 32)
	payload := must(Seal([]byte("secret"), Place{id, "ab", 258}, root))(t)
	for name, c := range map[string]struct {
		at   Place
		want error
	}{
		"same":                        {Place{id, "ab", 258}, nil},
		"upper case":                  {Place{strings.ToUpper(id), "ab", 258}, nil},
		"another identity":            {Place{strings.Repeat("0b", 32), "ab", 258}, ErrOpen},
		"another name":                {Place{id, "aB", 258}, ErrOpen},
		"no name":                     {Place{id, "", 258}, ErrOpen},
		"a longer name":               {Place{id, "ab\x00", 258}, ErrOpen},
		"the version before":          {Place{id, "ab", 257}, ErrOpen},
		"the version after":           {Place{id, "ab", 259}, ErrOpen},
		"version 0":                   {Place{id, "ab", 0}, ErrOpen},
		"the highest version":         {Place{id, "ab", math.MaxUint64}, ErrOpen},
		"a byte from name to version": {Place{id, "a", 0x62_00000000000001}, ErrOpen},
		"no identity":                 {Place{"", "ab", 258}, ErrPlace},
		"a short identity":            {Place{id[:62], "ab", 258}, ErrPlace},
		"an odd identity":             {Place{id[:63], "ab", 258}, ErrPlace},
		"a long identity":             {Place{id + "0a", "ab", 258}, ErrPlace},
		"no hex":                      {Place{strings.Repeat("g", 64), "ab", 258}, ErrPlace},
		"a name of 256":               {Place{id, strings.Repeat("n", 256), 258}, ErrPlace},
		"an endless name":             {Place{id, strings.Repeat("n", 1<<20), 258}, ErrPlace},
	} {
		secret, err := Open(payload, c.at, root)
		if !errors.Is(err, c.want) || (c.want == nil) != (string(secret) == "secret") || c.want != nil && secret != nil {
			t.Errorf("%s: %q, %v, want %v", name, secret, err, c.want)
		}
		if _, err := Seal([]byte("secret"), c.at, root); errors.Is(c.want, ErrPlace) != errors.Is(err, ErrPlace) {
			t.Errorf("sealing at %s: %v", name, err)
		}
	}
}

func TestPlaceEncoding(t *testing.T) {
	id := strings.Repeat("0a", 32)
	want := strings.Repeat("\x0a", 32) + "\x00\x03tls" + "\x00\x00\x00\x00\x00\x00\x01\x02"
	if got := must(Place{id, "tls", 258}.encode())(t); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPlacesAreApart: no two places are written alike.
func TestPlacesAreApart(t *testing.T) {
	id := strings.Repeat("0a", 32)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) Place {
			return Place{id, rapid.StringMatching("[\x00-\x03]{0,3}").Draw(t, label), rapid.Uint64().Draw(t, label)}
		}
		a, b := draw("a"), draw("b")
		encodedA, errA := a.encode()
		encodedB, errB := b.encode()
		if errA != nil || errB != nil || (encodedA == encodedB) != (a == b) {
			t.Fatalf("%v is %q, %v; %v is %q, %v", a, encodedA, errA, b, encodedB, errB)
		}
	})
}

// TestFresh: nothing but the format and the kinds is in two payloads of one
// secret, as nothing is drawn twice.
func TestFresh(t *testing.T) {
	root := keyFile(t, 1)
	first := must(Seal(make([]byte, 64), placeOf(root), root))(t)
	second := must(Seal(make([]byte, 64), placeOf(root), root))(t)
	for _, part := range [][2]int{{4, 36}, {38, 70}, {70, 118}, {118, 150}, {150, 230}, {230, 262}} {
		for at := part[0]; at+8 <= part[1]; at++ {
			if bytes.Contains(second, first[at:at+8]) {
				t.Errorf("the bytes from %d on are in both", at)
			}
		}
	}
	if len(first) != 262 {
		t.Errorf("%d bytes", len(first))
	}
}

func TestArgumentsOfSeal(t *testing.T) {
	root := keyFile(t, 1)
	secret := []byte("secret and more")
	payload := must(Seal(secret[:6], placeOf(root), root))(t)
	spare := append(payload, "tail"...)
	got := must(Open(spare[:len(payload)], placeOf(root), root))(t)
	clear(got)
	if string(secret) != "secret and more" || string(must(Open(payload, placeOf(root), root))(t)) != "secret" || string(spare[len(payload):]) != "tail" {
		t.Error("memory is shared or was changed")
	}
}

func TestAtOnce(t *testing.T) {
	root := keyFile(t, 1)
	payload := must(Seal([]byte("secret"), placeOf(root), root))(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				secret, err := Open(payload, placeOf(root), root)
				_, sealErr := Seal([]byte("secret"), placeOf(root), root)
				if string(secret) != "secret" || err != nil || sealErr != nil {
					t.Errorf("%q, %v, %v", secret, err, sealErr)
					return
				}
			}
		})
	}
	wg.Wait()
}
