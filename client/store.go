package client

import (
	"context"
	"errors"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	// storeAttempts bounds how often Store looks and goes for a higher version.
	storeAttempts = 6
	// storeDelay is how long it leaves others to finish, doubled each time.
	storeDelay = 200 * time.Millisecond
)

// Store pushes secret at the version that follows what the guardians hold.
// It first asks them, and writes nothing unless enough answer for the push to
// be acknowledged: a push known to fail would only displace what the
// guardians retain of the version before. Versions that guardians merely
// claim move the next one within bounds.
//
// Clients may store at the same time; one that comes too late asks again and
// goes for a higher version, later each time by chance. A guardian retains
// one version below its current one, so two pushes that each landed in part
// could leave nothing to be rebuilt. Hence Store goes over a version at once
// only if that could be rebuilt, even after one more loss where N > K. Over
// another, whose push is under way or was given up, it goes only when that
// has not moved for a while, and then by way of a single guardian first, who
// accepts only one of those that try. Guardians hold no locks: a client that
// was suspended for longer between asking and pushing can still collide.
//
// Errors are those of Push; *QuorumError too when others kept writing;
// ErrVersionSpent when there is no next version.
func (v *Vault) Store(ctx context.Context, identity string, secret []byte) (report PushReport, err error) {
	if identity, err = v.checkIdentity(identity); err != nil {
		return report, err
	}
	if err = v.CheckSecret(secret); err != nil {
		return report, err
	}
	claims := map[int]uint64{}
	var before ground
	for attempt := range storeAttempts {
		if attempt > 0 && !sleep(ctx, spread(storeDelay<<(attempt-1))) {
			break
		}
		now, failed := v.explore(ctx, identity, claims)
		if failed != nil {
			return report, failed
		}
		if !now.firm && !now.same(before) {
			before, err = now, now.unsettled(v)
			continue
		}
		report, err = v.pushOver(ctx, identity, secret, now, attempt)
		refused := v.addClaims(claims, report.Lacking)
		if err == nil || now.firm && !refused {
			return report, err
		}
		before = ground{}
	}
	return report, err
}

// pushOver pushes at once over firm ground, else by way of one guardian,
// another in each attempt since it may be the one that lies.
func (v *Vault) pushOver(ctx context.Context, identity string, secret []byte, over ground, attempt int) (PushReport, error) {
	if over.firm {
		return v.pushWith(ctx, identity, over.next, secret, over.manifest, v.pushAll)
	}
	first := over.all.answering()[attempt%over.all.answers()]
	return v.pushWith(ctx, identity, over.next, secret, over.manifest, func(ctx context.Context, made *batch) (int, map[int]error) {
		if err := v.pushOne(ctx, first, made, surveyAttempts); err != nil {
			return 0, map[int]error{first: err}
		}
		return v.pushAll(ctx, made)
	})
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
