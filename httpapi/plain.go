package httpapi

import (
	"math"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/internal/plainjson"
)

// readPlain reads a push or pull as [encoding/json] writes it, which the Go client does,
// or leaves the request alone. Whatever it takes, json.Unmarshal takes for the same: that
// is for every client, and takes several times as long (BenchmarkDecode).
func readPlain(body []byte, request any) (ok bool) {
	switch request := request.(type) {
	case *api.PushRequest:
		var plain api.PushRequest
		if plain, ok = plainPush(body); ok {
			*request = plain
		}
	case *api.PullRequest:
		var plain api.PullRequest
		if plain, ok = plainPull(body); ok {
			*request = plain
		}
	}
	return ok
}

func plainPush(body []byte) (plain api.PushRequest, ok bool) {
	r := plainjson.NewReader(body)
	r.Expect(`{"identity":`)
	plain.Identity = r.Text()
	r.Expect(`,"share":`)
	plain.Share = r.Text()
	r.Expect(`,"version":`)
	plain.Version = plainNumber(r)
	if r.Skip(`,"threshold":`) {
		plain.Threshold = int(r.Number(math.MaxInt32))
	}
	if r.Skip(`,"split":`) {
		plain.Split = r.Text()
	}
	if r.Skip(`,"manifest":`) {
		plain.Manifest = r.Text()
	}
	plain.Proof = plainProof(r)
	r.Expect(`}`)
	return plain, r.Done()
}

func plainPull(body []byte) (plain api.PullRequest, ok bool) {
	r := plainjson.NewReader(body)
	r.Expect(`{"identity":`)
	plain.Identity = r.Text()
	if r.Skip(`,"version":`) {
		plain.Version = plainNumber(r)
	}
	if r.Skip(`,"epoch":`) {
		plain.Epoch = plainNumber(r)
	}
	plain.Proof = plainProof(r)
	r.Expect(`}`)
	return plain, r.Done()
}

func plainProof(r *plainjson.Reader) (plain api.Proof) {
	if r.Skip(`,"pubkey":`) {
		plain.Pubkey = r.Text()
	}
	if r.Skip(`,"signature":`) {
		plain.Signature = r.Text()
	}
	if r.Skip(`,"proof":`) {
		plain.Proof = int(r.Number(math.MaxInt32))
	}
	if r.Skip(`,"audience":`) {
		plain.Audience = r.Text()
	}
	if r.Skip(`,"timestamp":`) {
		plain.Timestamp = int64(r.Number(math.MaxInt64))
	}
	return plain
}

func plainNumber(r *plainjson.Reader) *uint64 {
	number := r.Number(math.MaxUint64)
	return &number
}
