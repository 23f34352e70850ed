package record

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
)

// refused reports whether an error is one that Parse promises.
func refused(err error) bool {
	return errors.Is(err, ErrInvalid) || errors.Is(err, ErrCertificate) || errors.Is(err, ErrProposal) ||
		errors.Is(err, manifest.ErrInvalid) || errors.Is(err, manifest.ErrSignature)
}

// hostileChain has a record left out, and two links.
func hostileChain(t tester) []byte {
	t.Helper()
	chains := line(t, signed0(t, sample(2, 3)), among(2, 2, 3, 4), among(2, 5, 6, 7), among(2, 5, 6, 7))
	return chains[3]
}

// Nobody can change a byte.
func TestEveryByteCounts(t *testing.T) {
	data := hostileChain(t)
	memory := remembering()
	for i := range data {
		for _, mask := range []byte{0x01, 0xff} {
			changed := slices.Clone(data)
			changed[i] ^= mask
			if r, _, err := memory.parse(manifest.Parse, changed); r != nil || !refused(err) {
				t.Errorf("byte %d xor %#x: %v", i, mask, err)
			}
		}
	}
}

func TestEveryLengthCounts(t *testing.T) {
	data := hostileChain(t)
	for size := range data {
		for name, cut := range map[string][]byte{"beginning": data[:size], "end": data[len(data)-size:]} {
			if r, err := Parse(cut); r != nil || !refused(err) {
				t.Errorf("the %s, %d bytes: %v", name, size, err)
			}
		}
	}
	for i := range len(data) + 1 {
		if r, err := Parse(slices.Insert(slices.Clone(data), i, 0)); r != nil || !refused(err) {
			t.Errorf("with 0 at %d: %v", i, err)
		}
	}
	for name, longer := range map[string][]byte{
		"twice":        slices.Concat(data, data),
		"beyond limit": append(slices.Clone(data), make([]byte, MaxSize)...),
	} {
		if r, err := Parse(longer); r != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A draft has no votes: who changes it has another record, or none.
func TestEveryByteOfADraftCounts(t *testing.T) {
	chain := signed0(t, sample(2, 3))
	made, body, err := Next(mustParse(t, chain), among(2, 1, 2, 3), seedOf(9))
	if err != nil {
		t.Fatal(err)
	}
	data, err := Draft(chain, body, seedOf(9))
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		changed := slices.Clone(data)
		changed[i] ^= 0x40
		for name, draft := range map[string][]byte{"changed": changed, "cut": data[:i], "more": slices.Insert(slices.Clone(data), i, 0)} {
			r, chain, body, _, err := ParseDraft(draft)
			if err == nil && name == "changed" && r.Hash != made.Hash {
				continue
			}
			if r != nil || chain != nil || body != nil || !refused(err) {
				t.Errorf("%s at %d: %v", name, i, err)
			}
		}
	}
	if _, _, _, _, err := ParseDraft(append(data, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("more at the end: %v", err)
	}
}

// What is parsed has one encoding.
func TestOneEncoding(t *testing.T) {
	data := hostileChain(t)
	if again := mustWrite(t, mustRead(t, data)); !bytes.Equal(again, data) {
		t.Errorf("%x is encoded as %x", data, again)
	}
	c := mustRead(t, data)
	for _, l := range c.links {
		if r, err := decodeBody(l.body); err != nil || !bytes.Equal(r.encode(), l.body) {
			t.Errorf("%x: %v", l.body, err)
		}
		for size := range l.body {
			if r, err := decodeBody(l.body[:size]); r != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}

// A chain that ends before its links do, has none, or more than epochs, leads
// nowhere, and none of it makes Parse panic.
func TestLinksAndHashesFit(t *testing.T) {
	data := hostileChain(t)
	for name, edit := range map[string]func(*container){
		"no links":         func(c *container) { c.links = nil },
		"links in reverse": func(c *container) { slices.Reverse(c.links) },
		"the last alone":   func(c *container) { c.links = c.links[1:] },
		"the first alone":  func(c *container) { c.links = c.links[:1] },
		"no hashes":        func(c *container) { c.ancestors = nil },
		"a hash too few":   func(c *container) { c.ancestors = c.ancestors[:len(c.ancestors)-1] },
		"one too many":     func(c *container) { c.ancestors = append(c.ancestors, seedOf(1)) },
		"hashes in reverse": func(c *container) {
			slices.Reverse(c.ancestors)
		},
		"a manifest of another": func(c *container) {
			m := sample(2, 3)
			m.Version++
			c.manifest = signed0(t, m)
		},
		"no manifest":            func(c *container) { c.manifest = nil },
		"a chain for a manifest": func(c *container) { c.manifest = data },
		"a link twice":           func(c *container) { c.links = append(c.links, c.links[len(c.links)-1]) },
		"a body for another": func(c *container) {
			c.links[0].body, c.links[1].body = c.links[1].body, c.links[0].body
		},
		"no body": func(c *container) { c.links[0].body = nil },
	} {
		c := mustRead(t, data)
		edit(c)
		if r, err := Parse(mustWrite(t, c)); r != nil || !refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is far too large is refused before it is looked at.
func TestSizeBeforeAll(t *testing.T) {
	for _, prefix := range []string{chainPrefix, draftPrefix, "guardian-manifest-v1\n", ""} {
		data := append([]byte(prefix), make([]byte, 64<<20)...)
		if allocated := testing.AllocsPerRun(10, func() {
			_, err := Parse(data)
			_, _, _, _, draftErr := ParseDraft(data)
			if !refused(err) || !refused(draftErr) || !strings.Contains(err.Error(), "larger than") {
				t.Errorf("got %v, %v", err, draftErr)
			}
		}); allocated > 20 {
			t.Errorf("%v allocations", allocated)
		}
	}
}

// A chain that would be too large is not made.
func TestNoChainAboveTheLimit(t *testing.T) {
	chain := signed0(t, sample(2, 3))
	c := &container{manifest: chain, ancestors: [][32]byte{seedOf(1)}}
	for range 20 {
		c.links = append(c.links, link{body: make([]byte, 65535)})
	}
	if chain, err := c.encode(); chain != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("%d bytes, %v", len(chain), err)
	}
	c.links = []link{{body: make([]byte, 65536)}}
	if chain, err := c.encode(); chain != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("%d bytes, %v", len(chain), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(hostileChain(f))
	f.Add(signed0(f, sample(2, 3)))
	f.Add([]byte(chainPrefix))
	f.Add([]byte{})
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Epochs[len(v.Epochs)-1].Chain))
	}
	lax := pageRules // gets further than who has no keys
	lax.signed = func(key ed25519.PublicKey, _, _ []byte) bool { return key != nil }
	lax.descends = func(*Record) bool { return true }
	f.Fuzz(func(t *testing.T, data []byte) {
		before := slices.Clone(data)
		if r, err := Parse(data); err == nil {
			checkParsed(t, r, data)
		} else if r != nil || !refused(err) {
			t.Errorf("got %+v, %v", r, err)
		}
		if r, c, err := lax.parse(manifest.Parse, data); err == nil && len(c.links) > 0 && !bytes.Equal(r.encode(), c.links[len(c.links)-1].body) {
			t.Error("its body is encoded otherwise")
		}
		if !bytes.Equal(data, before) {
			t.Error("its argument was changed")
		}
	})
}

func checkParsed(t *testing.T, r *Record, data []byte) {
	t.Helper()
	if again, err := Parse(data); err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("parsed again it is %+v, %v", again, err)
	}
	if !isContainer(data) {
		return
	}
	if again := mustWrite(t, mustRead(t, data)); !bytes.Equal(again, data) {
		t.Errorf("%x is encoded as %x", data, again)
	}
}

func FuzzParseDraft(f *testing.F) {
	for _, v := range readVectors(f) {
		for _, e := range v.Epochs {
			f.Add([]byte(e.Draft))
		}
	}
	f.Add([]byte(draftPrefix))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		before := slices.Clone(data)
		r, chain, body, seed, err := ParseDraft(data)
		if err != nil {
			if r != nil || chain != nil || body != nil || !refused(err) {
				t.Errorf("got %+v, %v", r, err)
			}
			return
		}
		if again, err := Draft(chain, body, seed); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x is encoded as %x, %v", data, again, err)
		}
		if !bytes.Equal(data, before) {
			t.Error("its argument was changed")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, n := range map[string]int{"5 holders": 5, "255 holders": 255} {
		m := sample(max(3, n/3), n)
		chain := round(b, signed0(b, m), among(m.Threshold, upTo(n)...))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(chain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
