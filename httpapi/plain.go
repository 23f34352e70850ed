package httpapi

import (
	"math"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/internal/plainjson"
)

// readPlainPush reads a push as [encoding/json] writes it, which the Go client does, or
// leaves the request alone. Whatever it takes, json.Unmarshal takes for the same: that
// alone is for every client, and takes several times as long (BenchmarkDecodePush).
func readPlainPush(body []byte, request *api.PushRequest) bool {
	r := plainjson.NewReader(body)
	var plain api.PushRequest
	r.Expect(`{"identity":`)
	plain.Identity = r.Text()
	r.Expect(`,"share":`)
	plain.Share = r.Text()
	r.Expect(`,"version":`)
	version := r.Number(math.MaxUint64)
	plain.Version = &version
	if r.Skip(`,"threshold":`) {
		plain.Threshold = int(r.Number(math.MaxInt32))
	}
	if r.Skip(`,"split":`) {
		plain.Split = r.Text()
	}
	if r.Skip(`,"manifest":`) {
		plain.Manifest = r.Text()
	}
	if r.Skip(`,"pubkey":`) {
		plain.Pubkey = r.Text()
	}
	if r.Skip(`,"signature":`) {
		plain.Signature = r.Text()
	}
	if r.Skip(`,"proof":`) {
		plain.Proof.Proof = int(r.Number(math.MaxInt32))
	}
	if r.Skip(`,"audience":`) {
		plain.Audience = r.Text()
	}
	if r.Skip(`,"timestamp":`) {
		plain.Timestamp = int64(r.Number(math.MaxInt64))
	}
	r.Expect(`}`)
	if !r.Done() {
		return false
	}
	*request = plain
	return true
}
