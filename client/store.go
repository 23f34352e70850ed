package client

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/vault-guardian/guardian/api"
)

// storeAttempts bounds how often Store goes for a higher version.
const storeAttempts = 4

// Store pushes secret at the version that follows what the guardians hold.
// It first asks all of them, and writes nothing unless enough answer for the
// push to be acknowledged: a push known to fail would only displace what the
// guardians retain of the version before. Versions that guardians merely
// claim move the next one within bounds.
//
// Errors are those of Push; ErrVersionSpent when there is no next version.
func (v *Vault) Store(ctx context.Context, identity string, secret []byte) (PushReport, error) {
	identity, err := checkIdentity(identity)
	if err != nil {
		return PushReport{}, err
	}
	if err := v.CheckSecret(secret); err != nil {
		return PushReport{}, err
	}
	all := v.take(ctx, identity, func(survey) bool { return false })
	if err := v.enoughFor("push", v.WriteQuorum(), all); err != nil {
		return PushReport{}, err
	}
	rebuilt := uint64(0)
	if _, report, err := v.rebuild(ctx, identity, all); err == nil {
		rebuilt = report.Version
	}
	return v.pushAbove(ctx, identity, secret, rebuilt, all.versions())
}

// pushAbove pushes above what was rebuilt and claimed, and again when
// guardians claim more.
func (v *Vault) pushAbove(ctx context.Context, identity string, secret []byte, rebuilt uint64, claims map[int]uint64) (report PushReport, err error) {
	for range storeAttempts {
		version, spent := nextVersion(rebuilt, slices.Collect(maps.Values(claims)), v.Threshold())
		if spent != nil {
			return report, spent
		}
		report, err = v.Push(ctx, identity, version, secret)
		if err == nil || !v.addClaims(claims, report.Lacking) {
			return report, err
		}
	}
	return report, err
}

// addClaims notes the versions that refusals name, and reports whether any
// was above what its guardian had claimed before.
func (v *Vault) addClaims(claims map[int]uint64, refusals []error) bool {
	raised := false
	for i, guardian := range v.guardians {
		for _, refusal := range refusals {
			conflict, ok := errors.AsType[*api.VersionConflictError](refusal)
			if !ok || !from(guardian, refusal) {
				continue
			}
			if known, had := claims[i]; !had || conflict.Current > known {
				claims[i], raised = conflict.Current, true
			}
		}
	}
	return raised
}

func from(guardian *Guardian, err error) bool {
	failure, ok := errors.AsType[*Error](err)
	return ok && failure.Guardian == guardian.URL()
}

// enoughFor refuses what is known to fail: fewer guardians are there than
// must acknowledge it.
func (v *Vault) enoughFor(action string, need int, all survey) error {
	if all.answers() >= need {
		return nil
	}
	errs := map[int]error{}
	for i, f := range all {
		if !f.definite() {
			errs[i] = f.err
		}
	}
	return &QuorumError{Action: action, Need: need, Got: all.answers(), Errs: v.sortErrors(errs)}
}
