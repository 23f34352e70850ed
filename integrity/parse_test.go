package integrity

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
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

// A field that the reader is not taught is to be seen here: the full statement has all.
func TestFullStatementHasEveryField(t *testing.T) {
	full := reflect.ValueOf(statements()["full"])
	for i := range full.NumField() {
		if full.Field(i).IsZero() {
			t.Errorf("%s is empty", full.Type().Field(i).Name)
		}
	}
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

// The baseline is encoding/json on the same text, in turns; x-json is how many times as
// long that takes.
func BenchmarkParseStatement(b *testing.B) {
	text, err := json.Marshal(statements()["full"])
	if err != nil {
		b.Fatal(err)
	}
	var ours, baseline time.Duration
	for b.Loop() {
		began := time.Now()
		for range 100 {
			if _, err := parseStatement(text); err != nil {
				b.Fatal(err)
			}
		}
		half := time.Now()
		for range 100 {
			var st Statement
			if err := json.Unmarshal(text, &st); err != nil {
				b.Fatal(err)
			}
		}
		ours, baseline = ours+half.Sub(began), baseline+time.Since(half)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/100, "ns/parse")
	b.ReportMetric(float64(baseline)/float64(ours), "x-json")
}

func FuzzReadPlain(f *testing.F) {
	for _, st := range statements() {
		text, err := json.Marshal(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		for _, change := range [][2]string{
			{`"epoch":`, `"epoch":0`},
			{`"epoch":`, `"epoch":-`},
			{`"epoch":`, `"epoch":1.`},
			{`"epoch":`, `"epoch":9999999999999999999`},
			{`"name":"`, `"name":"\u0061`},
			{`"name":"`, "\"name\":\"\xff"},
			{`"name":"`, "\"name\":\"\x01"},
			{`"name":"`, `"name":"é`},
			{`"manifest":"`, `"manifest":"=`},
			{`"owned":`, `"owned":t`},
			{`}`, `,"version":1}`},
			{`}`, `}}`},
			{`}`, "}\n"},
		} {
			f.Add([]byte(strings.Replace(string(text), change[0], change[1], 1)))
		}
	}
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
