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
	// Policy is what the owner signed that guardians may do by themselves; zero
	// without a root.
	Policy manifest.Policy
}

// Push splits secret and stores one share with each guardian at a version,
// which must be above every version they hold. It keeps trying with the same
// shares until enough have acknowledged, all the others have refused or want
// to be left alone for too long, or ctx ends.
//
// A nil error means that the secret can be rebuilt, even after the loss of
// one more guardian where N > K. *QuorumError means that it is not
// acknowledged; the version before stays readable as long as no second push
// fails: a guardian retains one version below its current one. Store takes care
// of that, and of carrying on the policy of the version before. Other errors wrap
// [ErrSecretSize], [ErrThreshold], [ErrPolicy], api.ErrInvalidIdentity, or auth.ErrClaim
// where the identity is not that of the vault's key, and nothing was sent.
func (v *Vault) Push(ctx context.Context, identity string, version uint64, secret []byte) (PushReport, error) {
	return v.pushWith(ctx, identity, version, secret, nil, v.pushAll)
}

// pushWith is Push with a way to send the requests, and with the manifest of
// what is stored now, if that is known.
func (v *Vault) pushWith(ctx context.Context, identity string, version uint64, secret []byte, previous *manifest.Manifest, send func(context.Context, *batch) *tally) (PushReport, error) {
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
	sent := send(ctx, made)
	v.explainTwins(made, version, sent)
	report := PushReport{
		Version: version, Split: made.split, Threshold: v.Threshold(),
		Need: v.WriteQuorum(), Got: len(sent.acked), Lacking: v.sortErrors(sent.errs), Warning: v.Warning(),
		Policy: made.policy,
	}
	if report.Got < report.Need {
		return report, &QuorumError{Action: "push", Need: report.Need, Got: report.Got, Errs: report.Lacking}
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
	if err := v.checkSplit(); err != nil {
		return err
	}
	_, err := v.policy.over(nil, v.Threshold(), len(v.guardians))
	return err
}

// tally is how a push goes.
type tally struct {
	acked map[int]bool
	errs  map[int]error // of those asked that have not acknowledged
}

func (t *tally) note(position int, err error) {
	if err == nil {
		t.acked[position] = true
		delete(t.errs, position)
	} else {
		t.errs[position] = err
	}
}

func newTally(made *batch) *tally {
	t := &tally{acked: map[int]bool{}, errs: map[int]error{}}
	maps.Copy(t.errs, made.unnamed)
	return t
}

// pushAll pushes to every guardian at once.
func (v *Vault) pushAll(ctx context.Context, made *batch) *tally {
	t := newTally(made)
	v.pushTo(ctx, made, v.positions(), v.WriteQuorum(), t)
	return t
}

// pushTo pushes to those that have a share to accept, until enough have
// acknowledged, counting those before, or can no longer.
func (v *Vault) pushTo(ctx context.Context, made *batch, positions []int, enough int, t *tally) {
	ask := slices.DeleteFunc(slices.Clone(positions), func(i int) bool {
		return t.acked[i] || made.unnamed[i] != nil || t.errs[i] != nil && !retriable(t.errs[i])
	})
	push := func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, v.pushOne(ctx, i, made, 0)
	}
	fanOut(ctx, ask, push, func(a answer[struct{}]) time.Duration {
		t.note(a.position, a.err)
		return graceOnce(len(t.acked) >= enough || len(t.errs) > len(v.guardians)-v.WriteQuorum())
	})
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

// explainTwins says more of a guardian that refuses a version which it was not
// sent, and claims to be the node that another one is.
func (v *Vault) explainTwins(made *batch, version uint64, sent *tally) {
	for i, err := range sent.errs {
		conflict, ok := errors.AsType[*api.VersionConflictError](err)
		if !ok || conflict.Current != version || made.nodes == nil {
			continue
		}
		twin := slices.IndexFunc(v.positions(), func(j int) bool { return j != i && made.nodes[j] == made.nodes[i] && sent.acked[j] })
		if twin >= 0 {
			sent.errs[i] = v.named(i, fmt.Errorf("%w: it says it is node %s, as %s does: is one guardian listed twice?",
				cause(err), made.nodes[i], v.guardians[twin].URL()))
		}
	}
}

// acknowledged takes a refusal of what is stored already for what it is: the
// answer to an earlier attempt was lost.
func acknowledged(err error) error {
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Stored {
		return nil
	}
	return err
}
