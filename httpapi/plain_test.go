package httpapi

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/internal/plainjson/plainjsontest"
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

// A field that the readers are not taught is to be seen here.
func TestFullRequestsHaveEveryField(t *testing.T) {
	for _, full := range []any{plainPushes()["full"], plainPulls()["full"], fullProof()} {
		plainjsontest.Full(t, full)
	}
}

// What the client sends must be read without json: else that costs twice.
func TestPlainRequestsAreReadWithoutJSON(t *testing.T) {
	for name, push := range plainPushes() {
		t.Run("push, "+name, func(t *testing.T) { plainjsontest.Reads(t, push, plainPush) })
	}
	for name, pull := range plainPulls() {
		t.Run("pull, "+name, func(t *testing.T) { plainjsontest.Reads(t, pull, plainPull) })
	}
}

// What is read in part only leaves nothing behind for json to add to.
func TestReadPlainLeavesTheRequestAlone(t *testing.T) {
	body := []byte(`{"identity":"ab","share":"YQ==","version":1,"more":1}`)
	var push api.PushRequest
	if readPlain(body, &push) || push != (api.PushRequest{}) {
		t.Errorf("%+v", push)
	}
	push, err := decode[api.PushRequest](body)
	if err != nil || push.Identity != "ab" || push.Share != "YQ==" || *push.Version != 1 {
		t.Errorf("%+v, %v", push, err)
	}
}

// FuzzReadPlain: what is read without json is what json reads.
func FuzzReadPlain(f *testing.F) {
	var texts []string
	for _, push := range plainPushes() {
		push.Share = "YQ=="
		texts = append(texts, string(plainjsontest.Marshal(f, push)))
	}
	for _, pull := range plainPulls() {
		texts = append(texts, string(plainjsontest.Marshal(f, pull)))
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
		plainjsontest.Same(t, text, plainPush)
		plainjsontest.Same(t, text, plainPull)
	})
}

func BenchmarkDecode(b *testing.B) {
	b.Run("push", func(b *testing.B) { plainjsontest.Benchmark(b, plainPushes()["least"], decode[api.PushRequest]) })
	b.Run("pull", func(b *testing.B) { plainjsontest.Benchmark(b, plainPulls()["least"], decode[api.PullRequest]) })
}
