package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	// storeAttempts bounds how often Store looks and goes for a higher version.
	storeAttempts = 6
	// storeDelay is how long it leaves others to finish, doubled each time.
	storeDelay = 200 * time.Millisecond
	// firstTimeout is what the guardian gets that a push goes by way of.
	firstTimeout = 3 * time.Second
)

// Store pushes secret at the version that follows what the guardians hold.
// It first asks them, and writes nothing unless enough answer for the push to
// be acknowledged: a push known to fail would only displace what the
// guardians retain of the version before. Versions that guardians merely
// claim move the next one within bounds.
//
// What can be rebuilt stays so whatever fails, even with K-1 guardians that
// lie: one that holds it only as what it retains below another version, or has
// not said whether it does, is sent its share last, once K others have
// acknowledged. Where too few others are left for that, nothing is sent:
// [ErrKept], and the way on is to Pull it, to Delete it and to Store it again.
// Nor is anything sent where ctx leaves them no time to say.
//
// Clients may store at the same time; one that comes too late asks again and
// goes for a higher version, later each time by chance. Over a version that is
// under way or was given up it goes only when that has not moved for a while,
// and then by way of a single guardian first, who accepts only one of those that
// try.
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
	claims, pushed := map[int]uint64{}, false
	var before ground
	for attempt := range storeAttempts {
		if attempt > 0 && !sleep(ctx, spread(storeDelay<<(attempt-1))) {
			break
		}
		now, failed := v.explore(ctx, identity, claims)
		if failed == nil && !now.firm && !now.same(before) {
			before, failed = now, now.unsettled(v)
		} else if failed == nil {
			report, err = v.pushOver(ctx, identity, secret, now)
			pushed, before = true, ground{}
			if refused := v.addClaims(claims, report.Lacking); err == nil || now.firm && !refused {
				return report, err
			}
			continue
		}
		if !pushed { // else what came of the push says more
			err = failed
		}
		if before.all == nil {
			return report, err
		}
	}
	return report, err
}

// pushOver pushes to all at once over firm ground. Else it goes by way of one
// guardian, drawn anew in each attempt since it may be the one that lies, and
// then to those that would drop what can be rebuilt last.
func (v *Vault) pushOver(ctx context.Context, identity string, secret []byte, over ground) (PushReport, error) {
	if over.firm {
		return v.pushWith(ctx, identity, over.next, secret, over.manifest, v.pushAll)
	}
	if !over.passable(v.Threshold(), len(v.guardians)) {
		return PushReport{}, v.impassable(over)
	}
	return v.pushWith(ctx, identity, over.next, secret, over.manifest, func(ctx context.Context, made *batch) *tally {
		t := newTally(made)
		if first, ok := over.first(made); ok && !v.pushFirst(ctx, made, first, t) {
			return t
		}
		v.pushAround(ctx, made, over, t)
		return t
	})
}

// pushFirst reports whether a guardian took its share, in a part of the time.
func (v *Vault) pushFirst(ctx context.Context, made *batch, first int, t *tally) bool {
	ctx, cancel := firstHalf(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	t.note(first, v.pushOne(ctx, first, made, surveyAttempts))
	return t.acked[first]
}

// pushAround pushes to the keepers of what can be rebuilt last, and only those
// that can be spared.
func (v *Vault) pushAround(ctx context.Context, made *batch, over ground, t *tally) {
	others := slices.DeleteFunc(v.positions(), func(i int) bool { return over.keepers[i] })
	if len(over.keepers) > 0 {
		v.pushBeforeKeepers(ctx, made, others, over, t)
	}
	v.pushTo(ctx, made, others, v.WriteQuorum(), t)
}

// pushBeforeKeepers pushes to the others until K have acknowledged, and then to
// as many keepers as can be spared.
func (v *Vault) pushBeforeKeepers(ctx context.Context, made *batch, others []int, over ground, t *tally) {
	k := v.Threshold()
	early, cancel := firstHalf(ctx)
	defer cancel()
	v.pushTo(early, made, others, k, t)
	left := over.inOrder()
	for len(left) > 0 {
		some := min(len(left), over.spare(t, left, k))
		if some <= 0 {
			break
		}
		v.pushTo(ctx, made, left[:some], v.WriteQuorum(), t)
		left = left[some:]
	}
	for _, i := range left {
		t.errs[i] = v.named(i, ErrKept)
	}
}

// impassable is why nothing is pushed at all.
func (v *Vault) impassable(over ground) error {
	errs := map[int]error{}
	for i := range over.keepers {
		errs[i] = v.named(i, ErrKept)
	}
	return &QuorumError{Action: "push", Need: v.WriteQuorum(), Errs: v.sortErrors(errs)}
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
