package envelope

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// samples are payloads of one and of several slots, and a root for each slot.
func samples(t testing.TB) map[string]sample {
	t.Helper()
	a, b, c := keyFile(t, 1), must(FromMnemonic(zeros))(t), keyFile(t, 3)
	at := placeOf(a)
	return map[string]sample{
		"one slot":    {must(Seal([]byte("secret"), at, a))(t), at, []*Root{a}},
		"three slots": {must(Seal([]byte("secret"), at, a, b, c))(t), at, []*Root{a, b, c}},
	}
}

type sample struct {
	payload []byte
	at      Place
	roots   []*Root
}

// refused fails the test unless no root opens the payload.
func (s sample) refused(t *testing.T, what string, payload []byte) {
	t.Helper()
	for i, root := range s.roots {
		secret, err := Open(payload, s.at, root)
		if secret != nil || !errors.Is(err, ErrOpen) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: root %d gets %q, %v", what, i, secret, err)
		}
	}
}

func TestEveryByte(t *testing.T) {
	for name, s := range samples(t) {
		for at := range s.payload {
			for _, mask := range []byte{0x01, 0x02, 0x10, 0x20, 0x80, 0xff} {
				changed := bytes.Clone(s.payload)
				changed[at] ^= mask
				s.refused(t, name, changed)
			}
		}
	}
}

func TestEveryLength(t *testing.T) {
	for name, s := range samples(t) {
		for size := range s.payload {
			s.refused(t, name+" cut behind", s.payload[:size])
			s.refused(t, name+" cut in front", s.payload[size+1:])
			s.refused(t, name+" without a byte", slices.Concat(s.payload[:size], s.payload[size+1:]))
			s.refused(t, name+" with a byte twice", slices.Concat(s.payload[:size+1], s.payload[size:]))
		}
		for _, extra := range []int{1, 16, SlotSize, 1 << 10, MaxPayload - len(s.payload), MaxPayload, 1 << 22} {
			s.refused(t, name+" and zeros", append(bytes.Clone(s.payload), make([]byte, extra)...))
			s.refused(t, name+" behind zeros", append(make([]byte, extra), s.payload...))
		}
		s.refused(t, name+" twice", slices.Concat(s.payload, s.payload))
	}
}

// TestSlots moves, repeats and removes slots, with the count to match.
func TestSlots(t *testing.T) {
	s := samples(t)["three slots"]
	with := func(slots ...int) []byte {
		changed := bytes.Clone(s.payload[:preambleSize])
		changed[preambleSize-1] = byte(len(slots))
		for _, i := range slots {
			changed = append(changed, s.payload[preambleSize+i*SlotSize:][:SlotSize]...)
		}
		return append(changed, s.payload[preambleSize+3*SlotSize:]...)
	}
	if !bytes.Equal(with(0, 1, 2), s.payload) {
		t.Fatal("taking apart and putting together changes the payload")
	}
	for _, slots := range [][]int{{}, {0}, {1}, {2}, {0, 1}, {1, 0, 2}, {2, 1, 0}, {0, 0, 0}, {0, 1, 2, 2}, {0, 1, 2, 0, 1, 2, 0, 1}, {0, 1, 2, 0, 1, 2, 0, 1, 2}} {
		s.refused(t, "slots rearranged", with(slots...))
	}
}

// TestTransplants mixes parts of two payloads of one secret, place and root.
func TestTransplants(t *testing.T) {
	root := keyFile(t, 1)
	first := must(Seal([]byte("secret"), placeOf(root), root))(t)
	second := must(Seal([]byte("secret"), placeOf(root), root))(t)
	s := sample{first, placeOf(root), []*Root{root}}
	for _, cut := range []int{36, 37, 38, 70, 118, 150, 156, 172} {
		s.refused(t, "head of another", slices.Concat(second[:cut], first[cut:]))
	}
	for _, part := range [][2]int{{4, 36}, {37, 118}, {118, 150}, {118, 172}, {172, 204}} {
		s.refused(t, "part of another", slices.Concat(first[:part[0]], second[part[0]:part[1]], first[part[1]:]))
	}
}

// TestHostile: claims of sizes that are not there cost nothing, and formats not
// known here are told apart from keys that do not fit.
func TestHostile(t *testing.T) {
	root := keyFile(t, 1)
	payload := must(Seal([]byte("secret"), placeOf(root), root))(t)
	with := func(at int, value byte) []byte {
		changed := bytes.Clone(payload)
		changed[at] = value
		return changed
	}
	for name, c := range map[string]struct {
		payload []byte
		want    error
	}{
		"nothing":            {nil, ErrFormat},
		"zeros":              {make([]byte, 1024), ErrFormat},
		"zeros, longest":     {make([]byte, MaxPayload), ErrFormat},
		"too long":           {append(bytes.Clone(payload), make([]byte, MaxPayload)...), ErrFormat},
		"the next format":    {with(3, 2), ErrFormat},
		"other magic":        {with(0, 'g'), ErrFormat},
		"no slots":           {with(36, 0), ErrFormat},
		"two slots claimed":  {with(36, 2), ErrFormat},
		"255 slots claimed":  {with(36, 255), ErrFormat},
		"nine slots":         {append([]byte(format), bytes.Repeat([]byte{MaxSlots + 1}, 4096)...), ErrFormat},
		"kind 0":             {with(37, 0), ErrOpen},
		"another kind":       {with(37, 1), ErrOpen},
		"a kind of tomorrow": {with(37, 4), ErrOpen},
		"no secret":          {payload[:Overhead], ErrFormat},
	} {
		if secret, err := Open(c.payload, placeOf(root), root); !errors.Is(err, c.want) || secret != nil {
			t.Errorf("%s: %q, %v, want %v", name, secret, err, c.want)
		}
	}
	long := append([]byte(format), bytes.Repeat([]byte{MaxSlots}, MaxPayload-len(format))...)
	if allocated := testing.AllocsPerRun(10, func() { _, _ = Open(long, placeOf(root), root) }); allocated > 200 {
		t.Errorf("%v allocations for a hostile payload", allocated)
	}
}

// TestCommitment: a slot whose key another one shares opens for neither unless
// the commitment, too, is that of the key.
func TestCommitment(t *testing.T) {
	l := must(newLock([]byte("key"), []byte("salt"), "info"))(t)
	other := must(newLock([]byte("another key"), []byte("salt"), "info"))(t)
	closed := must(l.close(nil, []byte("message"), []byte("context")))(t)
	if got, err := l.open(closed, []byte("context")); string(got) != "message" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	same := lock{key: l.key, commit: other.commit}
	if got, err := same.open(closed, []byte("context")); !errors.Is(err, ErrOpen) || got != nil {
		t.Errorf("the key alone opens: %q, %v", got, err)
	}
	for size := range lockSize {
		if got, err := l.open(closed[:size], []byte("context")); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%d bytes: %q, %v", size, got, err)
		}
	}
}
