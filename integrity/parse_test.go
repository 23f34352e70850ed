package integrity

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func statements() map[string]Statement {
	full := Statement{
		Kind: KindShare, KeyID: "k1", NodeID: "node-1", Identity: strings.Repeat("ab", 32), Name: "wallet_1",
		Version: math.MaxUint64, Epoch: 3, Attempt: "0123456789ab", Threshold: 255, Split: strings.Repeat("cd", 16),
		Size: 512 << 10, SHA256: strings.Repeat("ef", 32), Owned: true, Proof: 2,
		Manifest: []byte{0, 1, 0xff}, Certificate: []byte("certificate"), CreatedNS: math.MaxInt64, UpdatedNS: 1,
	}
	return map[string]Statement{"empty": {}, "canary": {Kind: KindCanary, NodeID: "n"}, "full": full}
}

// What is stored must be read without json: else that costs twice.
func TestReadPlainReadsWhatIsWritten(t *testing.T) {
	for name, want := range statements() {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := readPlain(text)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %t, %+v, want %+v", name, ok, got, want)
		}
		for i := range text {
			if st, ok := readPlain(text[:i]); ok {
				t.Errorf("%s: took the first %d bytes for %+v", name, i, st)
			}
		}
	}
}

// What is written in another way is read by json, with the same result.
func TestParseStatementReadsOtherJSON(t *testing.T) {
	escaped := Statement{Kind: KindShare, NodeID: `a"\<é`, Version: 7}
	text, err := json.Marshal(escaped)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(text), ` {"kind":"share","version":7,"node_id":"a\"\\<é"}`} {
		if _, ok := readPlain([]byte(text)); ok {
			t.Errorf("%s is not plain", text)
		}
		if st, err := parseStatement([]byte(text)); err != nil || !reflect.DeepEqual(st, escaped) {
			t.Errorf("%s: %+v, %v", text, st, err)
		}
	}
	for _, text := range []string{"", "{", "null x", `{"version":-1}`, `{"version":18446744073709551616}`, `{"manifest":"*"}`} {
		if st, err := parseStatement([]byte(text)); err == nil {
			t.Errorf("took %q for %+v", text, st)
		}
	}
}

func FuzzReadPlain(f *testing.F) {
	for _, st := range statements() {
		text, err := json.Marshal(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"kind":"","key_id":"","node_id":"","name":"","version":01}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := readPlain(text)
		if !ok {
			return
		}
		var want Statement
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, json reads %+v, %v", text, got, want, err)
		}
	})
}
