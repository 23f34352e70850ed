// Package hot is how whoever backs up a guardian that has its storage to itself asks
// it for a copy of that, on its admin plane. Without tokens that plane answers
// everybody on the machine, and a copy holds every share: so what is asked is sealed
// with the guardian's keyring, without which nobody can make a backup anyway.
package hot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/integrity"
)

// Path is where the admin plane answers a Request with a copy.
const Path = "/admin/backup/snapshot"

const (
	// label seals a request.
	label = "backup-snapshot"
	// skew is how long before or after it was made a request is taken.
	skew = 2 * time.Minute
)

// ErrRefused reports a request that the guardian's keyring has not sealed, or not
// just now.
var ErrRefused = errors.New("the request is not sealed with this guardian's keyring")

// Request asks for a copy.
type Request struct {
	// AskedNS is when, in nanoseconds since 1970.
	AskedNS int64  `json:"asked_ns"`
	KeyID   string `json:"key_id"`
	Tag     string `json:"tag"` // hex
}

func (r Request) sealed() []byte { return fmt.Appendf(nil, "%d", r.AskedNS) }

// NewRequest asks now.
func NewRequest(sealer *integrity.Sealer) (Request, error) {
	r := Request{AskedNS: time.Now().UnixNano()}
	keyID, tag, err := sealer.Seal(label, r.sealed())
	if err != nil {
		return Request{}, fmt.Errorf("sealing the request: %w", err)
	}
	r.KeyID, r.Tag = keyID, hex.EncodeToString(tag)
	return r, nil
}

// Check returns ErrRefused for a request that is not to be answered.
func (r Request) Check(ctx context.Context, sealer *integrity.Sealer) error {
	tag, err := hex.DecodeString(r.Tag)
	if err == nil {
		err = sealer.Open(ctx, label, r.KeyID, tag, r.sealed())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if off := time.Since(time.Unix(0, r.AskedNS)); off.Abs() > skew {
		return fmt.Errorf("%w: by this machine's clock it was made %v ago", ErrRefused, off.Round(time.Second))
	}
	return nil
}

// Note tells a guardian of a backup.
type Note struct {
	// Sealed is what last.Seal has made of it.
	Sealed string `json:"sealed"`
}
