package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
)

func plainPushes() map[string]api.PushRequest {
	version := func(n uint64) *uint64 { return &n }
	share := base64.StdEncoding.EncodeToString(make([]byte, 1<<10))
	return map[string]api.PushRequest{
		"least": {Identity: strings.Repeat("ab", 32), Share: share, Version: version(0)},
		"full": {
			Identity: strings.Repeat("AB", 32), Share: share, Version: version(math.MaxUint64), Threshold: 3,
			Split: strings.Repeat("cd", 16), Manifest: "bWFuaWZlc3Q=",
			Proof: api.Proof{Pubkey: "01", Signature: "02", Proof: 2, Audience: "[::1]:7080", Timestamp: math.MaxInt64},
		},
	}
}

// A field that the reader is not taught is to be seen here: the full push has all.
func TestFullPushHasEveryField(t *testing.T) {
	full := plainPushes()["full"]
	for _, part := range []reflect.Value{reflect.ValueOf(full), reflect.ValueOf(full.Proof)} {
		for i := range part.NumField() {
			if part.Field(i).IsZero() {
				t.Errorf("%s is empty", part.Type().Field(i).Name)
			}
		}
	}
}

// What the client sends must be read without json: else that costs twice.
func TestReadPlainPushReadsWhatTheClientSends(t *testing.T) {
	for name, want := range plainPushes() {
		text := marshalled(t, want)
		var got api.PushRequest
		if !readPlainPush(text, &got) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		for i := range text {
			var part api.PushRequest
			if readPlainPush(text[:i], &part) || !reflect.DeepEqual(part, api.PushRequest{}) {
				t.Errorf("%s: took the first %d bytes for %+v", name, i, part)
			}
		}
	}
}

// FuzzReadPlainPush: what is read without json is what json reads.
func FuzzReadPlainPush(f *testing.F) {
	for _, push := range plainPushes() {
		push.Share = "YQ=="
		text := string(marshalled(f, push))
		f.Add([]byte(text))
		for _, change := range [][2]string{
			{`"version":`, `"version":0`},
			{`"version":`, `"version":-`},
			{`"version":`, `"version":1e`},
			{`"version":0`, `"version":null`},
			{`"threshold":3`, `"threshold":2147483648`},
			{`"timestamp":9`, `"timestamp":99`},
			{`"share":"`, `"share":"\u0061`},
			{`"share":"`, "\"share\":\"\xff"},
			{`"share":"`, "\"share\":\"\n"},
			{`"share":"`, "\"share\":\"\x7f"},
			{`"share":"`, `"share":"é`},
			{`"share":"`, `"share":"*`},
			{`"share"`, `"Share"`},
			{`,`, ` ,`},
			{`}`, `,"version":1}`},
			{`}`, `}}`},
		} {
			f.Add([]byte(strings.Replace(text, change[0], change[1], 1)))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want api.PushRequest
		if !readPlainPush(text, &got) {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, json reads %+v, %v", text, got, want, err)
		}
	})
}

// BenchmarkDecodePush: the baseline is encoding/json on the same text, in turns; x-json
// is how many times as long that takes.
func BenchmarkDecodePush(b *testing.B) {
	text := marshalled(b, plainPushes()["least"])
	var ours, baseline time.Duration
	for b.Loop() {
		began := time.Now()
		for range 100 {
			if _, err := decode[api.PushRequest](text); err != nil {
				b.Fatal(err)
			}
		}
		half := time.Now()
		for range 100 {
			var request api.PushRequest
			if err := json.Unmarshal(text, &request); err != nil {
				b.Fatal(err)
			}
		}
		ours, baseline = ours+half.Sub(began), baseline+time.Since(half)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/100, "ns/decode")
	b.ReportMetric(float64(baseline)/float64(ours), "x-json")
}

func marshalled(t testing.TB, push api.PushRequest) []byte {
	t.Helper()
	text, err := json.Marshal(push)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
