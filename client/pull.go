package client

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/quorum"
	"github.com/vault-guardian/guardian/shamir"
)

// State is what a guardian's share is worth to a pull.
type State string

const (
	// StateGood holds a share of what was rebuilt.
	StateGood State = "good"
	// StateStale is at a lower version than what was rebuilt.
	StateStale State = "stale"
	// StateAhead is at a higher version, which could not be rebuilt: a push
	// that failed, or a lie.
	StateAhead State = "ahead"
	// StateMissing says it holds nothing.
	StateMissing State = "missing"
	// StateWrong holds a damaged share, or one of another split at the very
	// version.
	StateWrong State = "wrong"
	// StateUnreachable did not say.
	StateUnreachable State = "unreachable"
)

// PullAnswer is what one guardian answered.
type PullAnswer struct {
	Guardian string
	State    State
	// Version is the current one of the guardian, nil when it showed no share.
	Version *uint64
	// X is the evaluation point and Size the length of the share, 0 when none
	// was shown.
	X, Size int
	Err     error
	Latency time.Duration
}

// PullReport describes a pull, failed ones included.
type PullReport struct {
	Version   uint64
	Threshold int
	// Used counts the shares of the version that was rebuilt.
	Used int
	// Checked is true when more than Threshold shares agreed; with just
	// Threshold a wrong one cannot be told.
	Checked bool
	// Fallback is true when Newest, a higher version that some guardian
	// showed, could not be rebuilt.
	Fallback bool
	Newest   uint64
	// Guardians is in order of position.
	Guardians []PullAnswer
}

// Pull asks every guardian and rebuilds the highest version that has K
// shares. It never combines shares of different versions, splits or epochs.
// It returns once no answer still out can change the outcome. An older
// version is taken only when the newest cannot be rebuilt; the report says so.
//
// Shares carry no signature of their owner: K guardians that agree on a split
// of their own can make up a secret, where K is the vault's. Fewer cannot, and
// where more than K shares are there they change nothing unnoticed.
//
// Errors: api.ErrNotFound when no acknowledged version can exist;
// [ErrInconsistent], naming the guardians asked, when shares contradict each
// other; *QuorumError (counting shares) when too few could be had.
func (v *Vault) Pull(ctx context.Context, identity string) ([]byte, PullReport, error) {
	identity, err := checkIdentity(identity)
	if err != nil {
		return nil, PullReport{}, err
	}
	all := v.take(ctx, identity, func(s survey) bool {
		return s.settled(v.Threshold(), quorum.WriteQuorum(len(s)))
	})
	return v.rebuild(ctx, identity, all)
}

// rebuild makes the secret of a survey, asking for what guardians retain
// where it must.
func (v *Vault) rebuild(ctx context.Context, identity string, all survey) ([]byte, PullReport, error) {
	chosen, ok := v.chooseOrGoBack(ctx, identity, all)
	report := v.report(all, chosen, ok)
	if !ok {
		return nil, report, v.pullFailure(all)
	}
	secret, err := v.combine(chosen)
	return secret, report, err
}

// chooseOrGoBack prefers what is current; where the newest cannot be rebuilt
// it goes through older versions from the highest down, and asks for the one
// it takes as well, since more shares than K can be checked.
func (v *Vault) chooseOrGoBack(ctx context.Context, identity string, all survey) (candidate, bool) {
	best, ok := all.choose(v.Threshold())
	for _, version := range all.olderVersions() {
		if ctx.Err() != nil || ok && version < best.group.version {
			break
		}
		v.takeOlder(ctx, identity, version, all)
		best, ok = all.choose(v.Threshold())
	}
	return best, ok
}

// combine checks that all shares of the group agree before it rebuilds from
// K of them.
func (v *Vault) combine(c candidate) ([]byte, error) {
	shares, k := make([][]byte, 0, len(c.members)), c.k(v.Threshold())
	seen := map[byte][]byte{}
	for _, m := range c.members {
		known, repeated := seen[m.share[0]]
		if repeated && !bytes.Equal(known, m.share) {
			return nil, v.inconsistent(c)
		}
		if !repeated {
			shares = append(shares, m.share)
		}
		seen[m.share[0]] = m.share
	}
	agree, err := shamir.Consistent(shares, k)
	if err != nil {
		return nil, fmt.Errorf("checking the shares: %w", err)
	}
	if !agree {
		return nil, v.inconsistent(c)
	}
	secret, err := shamir.Combine(shares[:k])
	if err != nil {
		return nil, fmt.Errorf("combining the shares: %w", err)
	}
	return secret, nil
}

func (v *Vault) inconsistent(c candidate) error {
	var names []string
	for _, m := range c.members {
		names = append(names, v.guardians[m.position].URL())
	}
	return fmt.Errorf("rebuilding version %d from %s: %w", c.group.version, strings.Join(names, ", "), ErrInconsistent)
}

// pullFailure says why nothing could be rebuilt.
func (v *Vault) pullFailure(all survey) error {
	closest, shown := all.closest(v.Threshold())
	silent := len(all) - all.answers()
	if !shown && silent < quorum.WriteQuorum(len(all)) && all.absentees() > 0 {
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
