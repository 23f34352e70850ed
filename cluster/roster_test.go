package cluster

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func keyOf(text string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(text))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(text string) ed25519.PublicKey { return keyOf(text).Public().(ed25519.PublicKey) }

// admission signs the rosters of tests.
var admission = keyOf("admission")

func entryOf(index int, node string) Entry {
	return Entry{NodeID: node, Index: index, Key: publicOf(node), FailureDomain: "eu-1"}
}

func rosterOf(serial uint64, nodes ...string) *Roster {
	r := &Roster{Serial: serial, Entries: []Entry{}}
	for i, node := range nodes {
		r.Entries = append(r.Entries, entryOf(i+1, node))
	}
	return r
}

func signRoster(t testing.TB, r *Roster) []byte {
	t.Helper()
	data, err := r.Sign(admission)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseRoster(data []byte) (*Roster, error) { return ParseRoster(data, publicOf("admission")) }

func refusedRoster(err error) bool {
	return errors.Is(err, ErrInvalidRoster) || errors.Is(err, ErrRosterSignature)
}

func TestRosterSignThenParse(t *testing.T) {
	for name, change := range map[string]func(*Roster){
		"all of it":      func(*Roster) {},
		"nobody":         func(r *Roster) { r.Entries = r.Entries[:0] },
		"one":            func(r *Roster) { r.Entries = r.Entries[:1] },
		"last serial":    func(r *Roster) { r.Serial = math.MaxUint64 },
		"first serial":   func(r *Roster) { r.Serial = 1 },
		"gaps":           func(r *Roster) { r.Entries = slices.Delete(r.Entries, 1, 3) },
		"last index":     func(r *Roster) { r.Entries[4].Index = MaxIndex },
		"no domain":      func(r *Roster) { r.Entries[0].FailureDomain = "" },
		"longest domain": func(r *Roster) { r.Entries[0].FailureDomain = strings.Repeat("~", MaxFailureDomain) },
		"longest id":     func(r *Roster) { r.Entries[0].NodeID = strings.Repeat("n", 63) },
	} {
		t.Run(name, func(t *testing.T) {
			r := rosterOf(7, "g1", "g2", "g3", "g4", "g5")
			change(r)
			data := signRoster(t, r)
			if got, err := parseRoster(data); err != nil || !reflect.DeepEqual(got, r) {
				t.Errorf("%+v became %+v, %v", r, got, err)
			}
			if !bytes.Equal(signRoster(t, r), data) {
				t.Error("signed twice, it is not the same")
			}
		})
	}
}

func TestLargestRoster(t *testing.T) {
	r := rosterOf(math.MaxUint64)
	for i := range MaxIndex {
		e := entryOf(i+1, fmt.Sprintf("%063d", i))
		e.FailureDomain = strings.Repeat("d", MaxFailureDomain)
		r.Entries = append(r.Entries, e)
	}
	data := signRoster(t, r)
	if len(data) > MaxRosterSize || len(data) != 41_402 {
		t.Errorf("it has %d bytes", len(data))
	}
	if got, err := parseRoster(data); err != nil || !reflect.DeepEqual(got, r) {
		t.Error(err)
	}
	r.Entries = append(r.Entries, entryOf(256, "one-more"))
	if _, err := r.Sign(admission); !errors.Is(err, ErrInvalidRoster) {
		t.Errorf("256 entries: %v", err)
	}
}

func TestRosterOutOfBounds(t *testing.T) {
	for name, change := range map[string]func(*Roster){
		"serial 0":              func(r *Roster) { r.Serial = 0 },
		"index -1":              func(r *Roster) { r.Entries[0].Index = -1 },
		"index 0":               func(r *Roster) { r.Entries[0].Index = 0 },
		"index 256":             func(r *Roster) { r.Entries[2].Index = 256 },
		"index 257":             func(r *Roster) { r.Entries[2].Index = 257 },
		"an index twice":        func(r *Roster) { r.Entries[1].Index = 1 },
		"out of order":          func(r *Roster) { slices.Reverse(r.Entries) },
		"a node id twice":       func(r *Roster) { r.Entries[2].NodeID = "g1" },
		"a key twice":           func(r *Roster) { r.Entries[2].Key = publicOf("g1") },
		"no node id":            func(r *Roster) { r.Entries[0].NodeID = "" },
		"node id in upper case": func(r *Roster) { r.Entries[0].NodeID = "G1" },
		"node id ends a line":   func(r *Roster) { r.Entries[0].NodeID = "g1\n" },
		"node id too long":      func(r *Roster) { r.Entries[0].NodeID = strings.Repeat("n", 64) },
		"no key":                func(r *Roster) { r.Entries[0].Key = nil },
		"key short":             func(r *Roster) { r.Entries[0].Key = r.Entries[0].Key[1:] },
		"key long":              func(r *Roster) { r.Entries[0].Key = append(slices.Clone(r.Entries[0].Key), 0) },
		"domain too long":       func(r *Roster) { r.Entries[0].FailureDomain = strings.Repeat("d", 65) },
		"domain far too long":   func(r *Roster) { r.Entries[0].FailureDomain = strings.Repeat("d", 256) },
		"domain of two lines":   func(r *Roster) { r.Entries[0].FailureDomain = "eu\n1" },
		"domain not ASCII":      func(r *Roster) { r.Entries[0].FailureDomain = "zürich" },
	} {
		r := rosterOf(7, "g1", "g2", "g3")
		change(r)
		if data, err := r.Sign(admission); !errors.Is(err, ErrInvalidRoster) || data != nil {
			t.Errorf("%s: signed as %x, %v", name, data, err)
		}
	}
}

func TestRosterKeys(t *testing.T) {
	r := rosterOf(7, "g1")
	data := signRoster(t, r)
	for name, key := range map[string]ed25519.PrivateKey{"none": nil, "a seed": admission.Seed()} {
		if _, err := r.Sign(key); !errors.Is(err, ErrInvalidRoster) {
			t.Errorf("signed with %s: %v", name, err)
		}
	}
	for name, key := range map[string]ed25519.PublicKey{"none": nil, "a short one": publicOf("admission")[1:]} {
		if got, err := ParseRoster(data, key); got != nil || !errors.Is(err, ErrInvalidRoster) {
			t.Errorf("read with %s: %v", name, err)
		}
	}
	if got, err := ParseRoster(data, publicOf("g1")); got != nil || !errors.Is(err, ErrRosterSignature) {
		t.Errorf("read with another's: %v, %v", got, err)
	}
}

// Nobody but the holder of the admission key can change a byte.
func TestRosterEveryByteCounts(t *testing.T) {
	data := signRoster(t, rosterOf(7, "g1", "g2", "g3"))
	for i := range data {
		for _, mask := range []byte{0x01, 0x02, 0x20, 0x7f, 0x80, 0xff} {
			changed := slices.Clone(data)
			changed[i] ^= mask
			if got, err := parseRoster(changed); got != nil || !refusedRoster(err) {
				t.Fatalf("byte %d xor %#x: %v", i, mask, err)
			}
		}
		for name, other := range map[string][]byte{
			"the beginning":       data[:i],
			"the end":             data[i+1:],
			"without byte":        slices.Delete(slices.Clone(data), i, i+1),
			"with one more":       slices.Insert(slices.Clone(data), i, 0),
			"with something else": slices.Insert(slices.Clone(data), i+1, data[i]),
		} {
			if bytes.Equal(other, data) {
				continue
			}
			if got, err := parseRoster(other); got != nil || !refusedRoster(err) {
				t.Errorf("%s %d: %v", name, i, err)
			}
		}
	}
}

// Not even the holder of the admission key has two encodings of one roster.
func TestRosterOneEncoding(t *testing.T) {
	body := rosterOf(7, "g1", "g2").encode()
	taken := 0
	try := func(body []byte) {
		if canonicalRoster(t, body) {
			taken++
		}
	}
	for i := range body {
		for mask := range 256 {
			changed := slices.Clone(body)
			changed[i] ^= byte(mask)
			try(changed)
		}
		try(slices.Delete(slices.Clone(body), i, i+1))
		try(slices.Insert(slices.Clone(body), i, 0))
	}
	if taken < len(body) {
		t.Errorf("only %d were taken", taken)
	}
}

// canonicalRoster reports whether a body would be taken if it were signed, and
// fails if there is another way to write the same.
func canonicalRoster(t *testing.T, body []byte) bool {
	t.Helper()
	r, err := decodeRoster(body)
	if err != nil || r.check() != nil {
		return false
	}
	if again := r.encode(); !bytes.Equal(again, body) {
		t.Errorf("%x is encoded as %x", body, again)
	}
	return true
}

// What is far too large is refused before it is looked at.
func TestRosterSizeBeforeAll(t *testing.T) {
	data := append([]byte(rosterPrefix), make([]byte, 16<<20)...)
	if _, err := parseRoster(data); !errors.Is(err, ErrInvalidRoster) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestParseRosterKeepsNothing(t *testing.T) {
	want := rosterOf(7, "g1", "g2")
	data := signRoster(t, want)
	got, err := parseRoster(data)
	clear(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("what ParseRoster returned changed with its argument: %v", err)
	}
}

func TestPropertyRoster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Roster{Serial: rapid.Uint64Min(1).Draw(t, "serial"), Entries: []Entry{}}
		for _, index := range slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.IntRange(1, MaxIndex), 0, 30, rapid.ID).Draw(t, "indices"))) {
			e := entryOf(index, fmt.Sprintf("%s-%d", rapid.StringMatching(`[a-z0-9-]{0,59}`).Draw(t, "node"), index))
			e.FailureDomain = rapid.StringMatching(`[ -~]{0,64}`).Draw(t, "domain")
			r.Entries = append(r.Entries, e)
		}
		data, err := r.Sign(admission)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseRoster(data); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%+v became %+v, %v", r, got, err)
		}
		for range 4 {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "place")] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		}
		if got, err := parseRoster(data); err == nil && !reflect.DeepEqual(got, r) {
			t.Fatalf("changed, it is %+v", got)
		}
	})
}

func FuzzParseRoster(f *testing.F) {
	f.Add(signRoster(f, rosterOf(7, "g1", "g2", "g3")))
	f.Add(signRoster(f, rosterOf(1)))
	f.Add(rosterOf(7, "g1").encode())
	f.Add([]byte(rosterPrefix))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		before := slices.Clone(data)
		if r, err := parseRoster(data); err == nil {
			if body := r.encode(); !bytes.Equal(body, data[:len(data)-ed25519.SignatureSize]) {
				t.Errorf("%x is encoded as %x", data, body)
			}
		} else if r != nil || !refusedRoster(err) {
			t.Errorf("got %v, %v", r, err)
		}
		// And as the holder of the key could have signed it, which gets further.
		canonicalRoster(t, data)
		canonicalRoster(t, append([]byte(rosterPrefix), data...))
		if !bytes.Equal(data, before) {
			t.Error("its argument was changed")
		}
	})
}

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

type rosterVectors struct {
	Valid []struct {
		About           string
		Seed, Admission hexBytes
		Fields          struct {
			Serial  uint64
			Entries []struct {
				NodeID        string `json:"node_id"`
				Index         int
				Key           hexBytes
				FailureDomain string `json:"failure_domain"`
			}
		}
		Roster hexBytes
	}
	Invalid []struct {
		About  string
		Roster hexBytes
		Error  string
	}
}

func readRosterVectors(t *testing.T) (v rosterVectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/roster.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Valid) < 4 || len(v.Invalid) < 35 {
		t.Fatalf("%d and %d vectors", len(v.Valid), len(v.Invalid))
	}
	return v
}

// The vectors were made by another implementation, with OpenSSL's Ed25519.
func TestRosterVectors(t *testing.T) {
	for _, v := range readRosterVectors(t).Valid {
		want := &Roster{Serial: v.Fields.Serial, Entries: []Entry{}}
		for _, e := range v.Fields.Entries {
			want.Entries = append(want.Entries, Entry{e.NodeID, e.Index, ed25519.PublicKey(e.Key), e.FailureDomain})
		}
		if got, err := ParseRoster(v.Roster, ed25519.PublicKey(v.Admission)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: parsed as %+v, %v", v.About, got, err)
		}
		if data, err := want.Sign(ed25519.NewKeyFromSeed(v.Seed)); err != nil || !bytes.Equal(data, v.Roster) {
			t.Errorf("%s: signed as %x, %v", v.About, data, err)
		}
	}
}

func TestInvalidRosterVectors(t *testing.T) {
	vectors := readRosterVectors(t)
	key := ed25519.PublicKey(vectors.Valid[0].Admission)
	errorOf := map[string]error{"invalid": ErrInvalidRoster, "signature": ErrRosterSignature}
	for _, v := range vectors.Invalid {
		if r, err := ParseRoster(v.Roster, key); r != nil || errorOf[v.Error] == nil || !errors.Is(err, errorOf[v.Error]) {
			t.Errorf("%s: %v, %v; want %s", v.About, r, err, v.Error)
		}
	}
}

// The worked example of docs/FORMATS.md is taken as it stands there.
func TestRosterWorkedExample(t *testing.T) {
	document, err := os.ReadFile("../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)## Roster\n.*?```text\n(.*?)```").FindSubmatch(document)
	if example == nil {
		t.Fatal("there is no example")
	}
	explanations := regexp.MustCompile("(?m)  +[a-z ,]+$")
	shown, err := hex.DecodeString(strings.Join(strings.Fields(explanations.ReplaceAllString(string(example[1]), "")), ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := readRosterVectors(t).Valid[2].Roster; !bytes.Equal(shown, want) {
		t.Errorf("it is %x, want %x", shown, want)
	}
}
