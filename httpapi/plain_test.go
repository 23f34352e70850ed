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

func number(n uint64) *uint64 { return &n }

func fullProof() api.Proof {
	return api.Proof{Pubkey: "01", Signature: "02", Proof: 2, Audience: "[::1]:7080", Timestamp: math.MaxInt64}
}

func plainPushes() map[string]api.PushRequest {
	share := base64.StdEncoding.EncodeToString(make([]byte, 1<<10))
	return map[string]api.PushRequest{
		"least": {Identity: strings.Repeat("ab", 32), Share: share, Version: number(0)},
		"full": {
			Identity: strings.Repeat("AB", 32), Share: share, Version: number(math.MaxUint64), Threshold: 3,
			Split: strings.Repeat("cd", 16), Manifest: "bWFuaWZlc3Q=",
			Proof: fullProof(),
		},
	}
}

func plainPulls() map[string]api.PullRequest {
	id := strings.Repeat("ab", 32)
	return map[string]api.PullRequest{
		"least": {Identity: id},
		"older": {Identity: id, Version: number(7)},
		"full":  {Identity: id, Version: number(0), Epoch: number(math.MaxUint64), Proof: fullProof()},
	}
}

// A field that the reader is not taught is to be seen here: the full requests have all.
func TestFullRequestsHaveEveryField(t *testing.T) {
	for _, full := range []any{plainPushes()["full"], plainPulls()["full"], fullProof()} {
		value := reflect.ValueOf(full)
		for i := range value.NumField() {
			if value.Field(i).IsZero() {
				t.Errorf("%s is empty", value.Type().Field(i).Name)
			}
		}
	}
}

// What the client sends must be read without json: else that costs twice.
func TestReadPlainReadsWhatTheClientSends(t *testing.T) {
	for name, push := range plainPushes() {
		t.Run("push, "+name, func(t *testing.T) { readsPlain(t, push) })
	}
	for name, pull := range plainPulls() {
		t.Run("pull, "+name, func(t *testing.T) { readsPlain(t, pull) })
	}
}

func readsPlain[Request any](t *testing.T, want Request) {
	text := marshalled(t, want)
	var got, none Request
	if !readPlain(text, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for i := range text {
		var part Request
		if readPlain(text[:i], &part) || !reflect.DeepEqual(part, none) {
			t.Errorf("took the first %d bytes for %+v", i, part)
		}
	}
}

// FuzzReadPlain: what is read without json is what json reads.
func FuzzReadPlain(f *testing.F) {
	var texts []string
	for _, push := range plainPushes() {
		push.Share = "YQ=="
		texts = append(texts, string(marshalled(f, push)))
	}
	for _, pull := range plainPulls() {
		texts = append(texts, string(marshalled(f, pull)))
	}
	for _, text := range texts {
		f.Add([]byte(text))
		for _, change := range [][2]string{
			{`"version":`, `"version":0`},
			{`"version":`, `"version":-`},
			{`"version":`, `"version":1e`},
			{`"version":0`, `"version":null`},
			{`"epoch":1`, `"epoch":19`},
			{`"threshold":3`, `"threshold":2147483648`},
			{`"timestamp":9`, `"timestamp":99`},
			{`"identity":"`, `"identity":"\u0061`},
			{`"identity":"`, "\"identity\":\"\xff"},
			{`"identity":"`, "\"identity\":\"\n"},
			{`"identity":"`, "\"identity\":\"\x7f"},
			{`"identity":"`, `"identity":"é`},
			{`"share":"`, `"share":"*`},
			{`"identity"`, `"Identity"`},
			{`,`, ` ,`},
			{`}`, `,"version":1}`},
			{`}`, `}}`},
		} {
			f.Add([]byte(strings.Replace(text, change[0], change[1], 1)))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sameAsJSON[api.PushRequest](t, text)
		sameAsJSON[api.PullRequest](t, text)
	})
}

func sameAsJSON[Request any](t *testing.T, text []byte) {
	var got, want Request
	if !readPlain(text, &got) {
		return
	}
	if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %+v, json reads %+v, %v", text, got, want, err)
	}
}

// BenchmarkDecode: the baseline is encoding/json on the same text, in turns; x-json is
// how many times as long that takes.
func BenchmarkDecode(b *testing.B) {
	b.Run("push", func(b *testing.B) { benchmarkDecode(b, plainPushes()["least"]) })
	b.Run("pull", func(b *testing.B) { benchmarkDecode(b, plainPulls()["least"]) })
}

func benchmarkDecode[Request any](b *testing.B, request Request) {
	text := marshalled(b, request)
	var ours, baseline time.Duration
	for b.Loop() {
		began := time.Now()
		for range 100 {
			if _, err := decode[Request](text); err != nil {
				b.Fatal(err)
			}
		}
		half := time.Now()
		for range 100 {
			var request Request
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

func marshalled(t testing.TB, request any) []byte {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
