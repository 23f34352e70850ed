package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/manifest"
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
	return v.pushWith(ctx, identity, version, secret, nil, v.pushAll)
}

// pushWith is Push with a way to send the requests, and with the manifest of
// what is stored now, if that is known.
func (v *Vault) pushWith(ctx context.Context, identity string, version uint64, secret []byte, previous *manifest.Manifest, send func(context.Context, *batch) (int, map[int]error)) (PushReport, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return PushReport{}, err
	}
	if err := v.CheckSecret(secret); err != nil {
		return PushReport{}, err
	}
	made, err := v.prepare(ctx, identity, version, secret, previous)
	if err != nil {
		return PushReport{}, err
	}
	got, errs := send(ctx, made)
	report := PushReport{
		Version: version, Split: made.split, Threshold: v.Threshold(),
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
	limit := api.MaxShareSize - 1
	if v.owner != nil {
		limit -= envelope.Overhead
	}
	switch {
	case len(secret) == 0:
		return fmt.Errorf("%w: there is nothing to store, the secret is empty", ErrSecretSize)
	case len(secret) > limit:
		return fmt.Errorf("%w: %d bytes do not fit into a share, the limit is %d", ErrSecretSize, len(secret), limit)
	}
	return v.checkSplit()
}

// pushAll returns the number of acknowledgements and the other guardians'
// errors by position.
func (v *Vault) pushAll(ctx context.Context, made *batch) (int, map[int]error) {
	got, errs := 0, maps.Clone(made.unnamed)
	if errs == nil {
		errs = map[int]error{}
	}
	push := func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, v.pushOne(ctx, i, made, 0)
	}
	fanOut(ctx, v.sendable(made), push, func(a answer[struct{}]) time.Duration {
		if a.err == nil {
			got++
		} else {
			errs[a.position] = a.err
		}
		return graceOnce(got >= v.WriteQuorum() || len(errs) > len(v.guardians)-v.WriteQuorum())
	})
	return got, errs
}

// sendable returns the positions of the guardians that have a share to accept.
func (v *Vault) sendable(made *batch) []int {
	return slices.DeleteFunc(v.positions(), func(i int) bool { return made.unnamed[i] != nil })
}

// pushOne pushes to one guardian, so many attempts at most (0: until ctx ends).
func (v *Vault) pushOne(ctx context.Context, position int, made *batch, attempts int) error {
	if err := made.unnamed[position]; err != nil {
		return err
	}
	g := v.guardians[position]
	err := persist(ctx, attempts, func() error {
		return acknowledged(g.Push(ctx, made.requests[position]))
	})
	g.forgetNode(err)
	return err
}

// acknowledged takes a refusal of what is stored already for what it is: the
// answer to an earlier attempt was lost.
func acknowledged(err error) error {
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Stored {
		return nil
	}
	return err
}
