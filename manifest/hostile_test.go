package manifest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
)

var masks = []byte{0x01, 0x02, 0x20, 0x7f, 0x80, 0xff}

// Nobody but the owner can change a byte.
func TestEveryByteCounts(t *testing.T) {
	m, _, _ := sample(3, 5)
	data := mustSign(t, m)
	for i := range data {
		for _, mask := range masks {
			if _, err := Parse(flipped(data, i, mask)); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrSignature) {
				t.Errorf("byte %d xor %#x: %v", i, mask, err)
			}
		}
	}
}

func TestEveryLengthCounts(t *testing.T) {
	m, _, _ := sample(3, 5)
	data := mustSign(t, m)
	for size := range data {
		for name, cut := range map[string][]byte{"beginning": data[:size], "end": data[len(data)-size:]} {
			if _, err := Parse(cut); !errors.Is(err, ErrInvalid) {
				t.Errorf("the %s, %d bytes: %v", name, size, err)
			}
		}
	}
	for i := range len(data) + 1 {
		for _, more := range []byte{0, 'x', 0xff} {
			if _, err := Parse(slices.Insert(slices.Clone(data), i, more)); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrSignature) {
				t.Errorf("with %#x at %d: %v", more, i, err)
			}
		}
	}
	for name, longer := range map[string][]byte{
		"twice":        slices.Concat(data, data),
		"beyond limit": append(slices.Clone(data), make([]byte, MaxSize)...),
	} {
		if _, err := Parse(longer); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Not even the owner has two encodings of one manifest: what it could sign is
// refused, or is just what Sign makes of what Parse finds.
func TestOneEncoding(t *testing.T) {
	m, _, _ := sample(3, 5)
	forget(m.Holders[3:])
	body := m.encode()
	taken := 0
	try := func(body []byte) {
		if canonical(t, body) {
			taken++
		}
	}
	for i := range body {
		for mask := range 256 {
			try(flipped(body, i, byte(mask)))
		}
		try(body[:i])
		try(slices.Delete(slices.Clone(body), i, i+1))
		try(slices.Insert(slices.Clone(body), i, 0))
	}
	if taken < len(body) {
		t.Errorf("only %d were taken", taken)
	}
}

// canonical reports whether a body would be taken if it were signed, and fails
// if there is another way to write the same.
func canonical(t *testing.T, body []byte) bool {
	t.Helper()
	m, err := decode(body)
	if err != nil || m.check() != nil {
		return false
	}
	if again := m.encode(); !bytes.Equal(again, body) {
		t.Errorf("%x is encoded as %x", body, again)
	}
	return true
}

// resigned puts the owner's signature behind a body.
func resigned(body []byte) []byte {
	return append(slices.Clone(body), ed25519.Sign(owner, body)...)
}

// A signature of another text by the same key is none of a manifest, and none
// of a manifest is one of another text.
func TestDomains(t *testing.T) {
	m, _, _ := sample(3, 5)
	body := m.encode()
	if !bytes.HasPrefix(body, []byte("guardian-manifest-v1\n")) {
		t.Errorf("it begins with %q", body[:21])
	}
	for name, text := range map[string][]byte{
		"without its first line": body[len(prefix):],
		"a proof of ownership":   []byte("vault-push-v1:" + m.Identity + ":7"),
		"nothing":                nil,
	} {
		if _, err := Parse(append(slices.Clone(body), ed25519.Sign(owner, text)...)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s signed: %v", name, err)
		}
		if _, err := Parse(resigned(text)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s as a manifest: %v", name, err)
		}
	}
}

// What is far too large is refused before it is looked at.
func TestSizeBeforeAll(t *testing.T) {
	data := append([]byte(prefix), make([]byte, 64<<20)...)
	if allocated := testing.AllocsPerRun(10, func() {
		if _, err := Parse(data); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("got %v", err)
		}
	}); allocated > 10 {
		t.Errorf("%v allocations", allocated)
	}
}

func FuzzParse(f *testing.F) {
	m, _, _ := sample(2, 3)
	f.Add(mustSign(f, m))
	forget(m.Holders)
	m.Name, m.Policy.Admission = "", nil
	f.Add(mustSign(f, m))
	f.Add(m.encode())
	f.Add([]byte(prefix))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		before := slices.Clone(data)
		if m, err := Parse(data); err == nil {
			if body := m.encode(); !bytes.Equal(body, data[:len(data)-ed25519.SignatureSize]) {
				t.Errorf("%x is encoded as %x", data, body)
			}
		} else if m != nil || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrSignature) {
			t.Errorf("got %v, %v", m, err)
		}
		// And as an owner could have signed it, which gets further.
		canonical(t, data)
		if !bytes.Equal(data, before) {
			t.Error("its argument was changed")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, holders := range map[string]int{"5 holders": 5, "255 holders": 255} {
		m, _, _ := sample(3, holders)
		data := mustSign(b, m)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
