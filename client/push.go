package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/shamir"
)

// PushReport describes a push that was acknowledged.
type PushReport struct {
	Version   uint64
	Split     string // hex
	Threshold int
	// Need and Got count acknowledgements.
	Need, Got int
	// Lacking says of each guardian without the share why, one [*Error] each.
	Lacking []error
	// Warning is that of [Vault.Warning].
	Warning string
}

// Push splits secret and stores one share with each guardian at a version,
// which must be above every version they hold. It keeps trying with the same
// shares until enough have acknowledged, all the others have refused or want
// to be left alone for too long, or ctx ends.
//
// A nil error means that the secret can be rebuilt, even after the loss of
// one more guardian where N > K. *QuorumError means that it is not
// acknowledged; the version before stays readable. Other errors wrap
// [ErrSecretSize], [ErrThreshold], api.ErrInvalidIdentity, or auth.ErrClaim
// where the identity is not that of the vault's key, and nothing was sent.
func (v *Vault) Push(ctx context.Context, identity string, version uint64, secret []byte) (PushReport, error) {
	return v.pushWith(ctx, identity, version, secret, v.pushAll)
}

// pushWith is Push with a way to send the requests.
func (v *Vault) pushWith(ctx context.Context, identity string, version uint64, secret []byte, send func(context.Context, []api.PushRequest) (int, map[int]error)) (PushReport, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return PushReport{}, err
	}
	if err := v.CheckSecret(secret); err != nil {
		return PushReport{}, err
	}
	requests, err := v.split(identity, version, secret)
	if err != nil {
		return PushReport{}, err
	}
	got, errs := send(ctx, requests)
	report := PushReport{
		Version: version, Split: requests[0].Split, Threshold: v.Threshold(),
		Need: v.WriteQuorum(), Got: got, Lacking: v.sortErrors(errs), Warning: v.Warning(),
	}
	if got < report.Need {
		return report, &QuorumError{Action: "push", Need: report.Need, Got: got, Errs: report.Lacking}
	}
	return report, nil
}

// CheckSecret returns the error with which Push refuses a secret before it
// sends anything, or nil.
func (v *Vault) CheckSecret(secret []byte) error {
	const limit = api.MaxShareSize - 1
	switch {
	case len(secret) == 0:
		return fmt.Errorf("%w: there is nothing to store, the secret is empty", ErrSecretSize)
	case len(secret) > limit:
		return fmt.Errorf("%w: %d bytes do not fit into a share, the limit is %d", ErrSecretSize, len(secret), limit)
	}
	return v.checkSplit()
}

// split makes one request per guardian, in order of position.
func (v *Vault) split(identity string, version uint64, secret []byte) ([]api.PushRequest, error) {
	points := make([]byte, len(v.guardians))
	for i := range points {
		points[i] = byte(i + 1)
	}
	shares, err := shamir.Split(secret, v.Threshold(), points)
	if err != nil {
		return nil, fmt.Errorf("splitting the secret: %w", err)
	}
	var id [api.SplitSize]byte
	rand.Read(id[:])
	requests := make([]api.PushRequest, len(shares))
	for i, share := range shares {
		requests[i] = api.PushRequest{
			Identity: identity, Share: base64.StdEncoding.EncodeToString(share), Version: &version,
			Threshold: v.Threshold(), Split: hex.EncodeToString(id[:]),
		}
		clear(share)
	}
	return requests, nil
}

// pushAll returns the number of acknowledgements and the other guardians'
// errors by position.
func (v *Vault) pushAll(ctx context.Context, requests []api.PushRequest) (int, map[int]error) {
	got, errs := 0, map[int]error{}
	push := func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, v.pushOne(ctx, i, requests, 0)
	}
	fanOut(ctx, v.positions(), push, func(a answer[struct{}]) time.Duration {
		if a.err == nil {
			got++
		} else {
			errs[a.position] = a.err
		}
		return graceOnce(got >= v.WriteQuorum() || len(errs) > len(v.guardians)-v.WriteQuorum())
	})
	return got, errs
}

// pushOne pushes to one guardian, so many attempts at most (0: until ctx ends).
func (v *Vault) pushOne(ctx context.Context, position int, requests []api.PushRequest, attempts int) error {
	return persist(ctx, attempts, func() error {
		return acknowledged(v.guardians[position].Push(ctx, requests[position]))
	})
}

// acknowledged takes a refusal of what is stored already for what it is: the
// answer to an earlier attempt was lost.
func acknowledged(err error) error {
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Stored {
		return nil
	}
	return err
}
