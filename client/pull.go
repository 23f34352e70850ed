package client

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/quorum"
)

// State is what a guardian's share is worth to a pull.
type State string

const (
	// StateGood holds a share of what was rebuilt.
	StateGood State = "good"
	// StateStale is at a lower version than what was rebuilt, or at a lower epoch
	// of it.
	StateStale State = "stale"
	// StateAhead is at a higher version, or a higher epoch of the version, which
	// could not be rebuilt: a push or redistribution that is under way or failed,
	// or a lie.
	StateAhead State = "ahead"
	// StateMissing says it holds nothing.
	StateMissing State = "missing"
	// StateWrong holds a damaged share, or one of another split at the very
	// version.
	StateWrong State = "wrong"
	// StateUnreachable did not say.
	StateUnreachable State = "unreachable"
	// StateUntold holds a share that was redistributed, of which too few others
	// were shown to tell whether it is right. Verify alone says so.
	StateUntold State = "untold"
)

// PullAnswer is what one guardian answered.
type PullAnswer struct {
	Guardian string
	State    State
	// Version is the current one of the guardian, nil when it showed no share, and
	// Epoch counts how often that was redistributed. Of a version that is being
	// redistributed it is the share of the epoch rebuilt, if it showed that too.
	Version *uint64
	Epoch   uint64
	// X is the evaluation point and Size the length of the share, 0 when none
	// was shown.
	X, Size int
	Err     error
	Latency time.Duration
}

// PullReport describes a pull, failed ones included.
type PullReport struct {
	Version uint64
	// Epoch is that of the shares used: 0 as the owner pushed them, above that as
	// guardians have redistributed them. Threshold is their K.
	Epoch     uint64
	Threshold int
	// Used counts the shares of the version that was rebuilt.
	Used int
	// Checked is true when a wrong share would have been noticed: by the owner's
	// manifest, by the envelope that opened, or because more than Threshold
	// shares agreed. Where some were left out as wrong, it takes so many that
	// Threshold of them remain without any Threshold-1.
	Checked bool
	// Manifest is true when each share that was used is the one that the owner's
	// manifest names, or at epochs above 0 fits those that made the payload that it
	// names.
	Manifest bool
	// ByEnvelope is true when so many shares were wrong that the shares alone do
	// not tell which; Threshold of them made an envelope that opened.
	ByEnvelope bool
	// ByPayload is true when so many redistributed shares did not fit the others
	// that who is named as wrong is right if two or more of the others conspire.
	// The secret is right: its hash is the owner's.
	ByPayload bool
	// Fallback is true when Newest, a higher version that some guardian
	// showed, could not be rebuilt.
	Fallback bool
	Newest   uint64
	// NewerPossible is true when guardians did not say what they hold, and so few
	// did that Threshold-1 liars among these could hide a newer acknowledged
	// version.
	NewerPossible bool
	// Guardians is in order of position.
	Guardians []PullAnswer
}

// Pull asks every guardian and rebuilds the highest version that has K
// shares. It never combines shares of different versions, splits or epochs.
// It returns once no answer still out can change the outcome, and waits longer
// while one more share would let the others be checked. An older version is
// taken only when the newest cannot be rebuilt; the report says so.
//
// Where a guardian shows a manifest of the owner, each share is judged by it,
// and the K in it counts. Once guardians have redistributed the shares, that is
// so of the payload, and the K counts that the shares say: they are right when
// they make what the owner signed. While that is under way, guardians are asked
// for the share that others show already, and all anew, a few times, where that has
// gone by then. Where nobody shows a manifest, wrong shares are found and named
// by decoding (shamir.CombineRobust), up to half of those beyond K. With a root
// what was rebuilt must open with it; then even more wrong shares do no harm as
// long as K right ones are there, for few guardians at least.
//
// Without a root or manifest, K guardians that agree on a split of their own can
// make up a secret, where K is the vault's. Fewer can change one only when no K
// of the shares used are honest: against all K-1 that takes 2K-1 shares that
// agree, against one K+1.
//
// Where the newest version cannot be rebuilt, guardians are asked what they
// retain below it.
//
// Errors: api.ErrNotFound when so many guardians hold nothing that no
// acknowledged version can exist; [ErrInconsistent], naming the guardians asked,
// when shares contradict each other and nothing decides; [ErrAuthentication]
// when what was rebuilt is not the owner's; *QuorumError (counting shares) when
// too few could be had.
func (v *Vault) Pull(ctx context.Context, identity string) ([]byte, PullReport, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return nil, PullReport{}, err
	}
	all := v.takeToRead(ctx, identity)
	result, report, err := v.rebuild(ctx, identity, all)
	version, above := all.movingAbove(report, err)
	for tries := 1; above && tries < maxSurveys && all.isShown(version, v.Threshold()); tries++ {
		again := v.takeToRead(ctx, identity)
		if !again.movedSince(all) {
			break
		}
		all = again
		clear(result.secret)
		result, report, err = v.rebuild(ctx, identity, all)
		version, above = all.movingAbove(report, err)
	}
	if above {
		clear(result.secret)
		v.takeRest(ctx, identity, version, all)
		result, report, err = v.rebuild(ctx, identity, all)
	}
	return result.secret, report, err
}

// maxSurveys bounds how often all guardians are asked while they move shares faster
// than they answer.
const maxSurveys = 6

func (v *Vault) takeToRead(ctx context.Context, identity string) survey {
	return v.take(ctx, identity, func(s survey) time.Duration {
		return s.patience(v.Threshold(), quorum.WriteQuorum(len(s)))
	})
}

// rebuild makes the secret of a survey, asking for what guardians retain
// where it must.
func (v *Vault) rebuild(ctx context.Context, identity string, all survey) (rebuilt, PullReport, error) {
	var failed error
	past := v.pastOf(identity, all)
	for {
		chosen, ok := past.choose(ctx)
		if !ok && failed == nil {
			failed = v.pullFailure(all)
		}
		if !ok {
			return rebuilt{}, v.report(all, chosen, ok), failed
		}
		result, err := v.rebuildFrom(ctx, identity, chosen)
		if err == nil {
			return result, v.reportOf(all, result), nil
		}
		if v.owner == nil || chosen.manifest != nil || !dubious(err) {
			return rebuilt{}, v.report(all, chosen, ok), err
		}
		failed = cmp.Or(failed, err)
		all.discard(chosen.group, errUnopened)
	}
}

// pullFailure says why nothing could be rebuilt.
func (v *Vault) pullFailure(all survey) error {
	closest, shown := all.closest(v.Threshold())
	if shown && closest.group.redistributed() && closest.distinct() >= closest.need(v.Threshold()) {
		return v.inconsistent(closest)
	}
	if !shown && v.surelyAbsent(all) {
		return fmt.Errorf("asking %d guardians: %w", len(all), api.ErrNotFound)
	}
	failure := &QuorumError{Action: "pull", Need: v.Threshold()}
	if shown {
		failure.Need, failure.Got = closest.need(v.Threshold()), closest.distinct()
		if k := closest.k(v.Threshold()); k < failure.Need {
			failure.Claimed = k
		}
	}
	failure.Errs = v.sortErrors(all.errors(closest))
	return failure
}

// surelyAbsent reports whether so many guardians say they hold nothing that of
// the W which hold an acknowledged version K would have to be lying. Where N is
// below W-1+K no number is as many, and then all must say so.
func (v *Vault) surelyAbsent(all survey) bool {
	n := len(all)
	return all.absentees() >= min(n, n-quorum.WriteQuorum(n)+v.Threshold())
}
