package integrity

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/internal/plainjson/plainjsontest"
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

// A field that the reader is not taught is to be seen here.
func TestFullStatementHasEveryField(t *testing.T) { plainjsontest.Full(t, statements()["full"]) }

// What is stored must be read without json: else that costs twice.
func TestPlainStatementsAreReadWithoutJSON(t *testing.T) {
	for name, st := range statements() {
		t.Run(name, func(t *testing.T) { plainjsontest.Reads(t, st, readPlain) })
	}
}

// What is written in another way is read by json, with the same result.
func TestParseStatementReadsOtherJSON(t *testing.T) {
	escaped := Statement{Kind: KindShare, NodeID: `a"\<é`, Version: 7}
	text := plainjsontest.Marshal(t, escaped)
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

func BenchmarkParseStatement(b *testing.B) {
	plainjsontest.Benchmark(b, statements()["full"], parseStatement)
}

func FuzzReadPlain(f *testing.F) {
	for _, st := range statements() {
		text := plainjsontest.Marshal(f, st)
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
	f.Fuzz(func(t *testing.T, text []byte) { plainjsontest.Same(t, text, readPlain) })
}
