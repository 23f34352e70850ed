package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/manifest"
)

// VerifyReport says what each guardian's share is worth by the owner's
// manifest.
type VerifyReport struct {
	// Version is the highest of which Threshold shares are good, or where there
	// is none the one of which most are; Threshold and Holders are its K and N.
	Version            uint64
	Threshold, Holders int
	// Good counts the points of which a guardian showed the very share that the
	// owner made. With Threshold of them the secret can be rebuilt.
	Good int
	// Guardians is in order of position.
	Guardians []PullAnswer
}

var errAnothers = errors.New("it shows the share of another guardian")

// Verify asks every guardian for its share and compares it with the manifest
// that the owner signed. Nothing is rebuilt, and it takes no root where
// guardians ask for no proof: the identity alone says whose signature counts.
//
// A nil error means that no share is wrong and Threshold are good; some may be
// missing, stale or unreachable. Errors: *QuorumError (counting shares) when
// fewer than Threshold are good, [ErrAuthentication] when any is wrong, both
// with a whole report; [ErrNoManifest] when shares are there but no manifest;
// api.ErrNotFound as for Pull.
func (v *Vault) Verify(ctx context.Context, identity string) (VerifyReport, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return VerifyReport{}, err
	}
	all := v.take(ctx, identity, func(s survey) time.Duration {
		if s.answers() >= v.WriteQuorum() {
			return longGrace
		}
		return waitForAll
	})
	by := v.verifiable(all)
	if by == nil {
		return VerifyReport{Guardians: v.report(all, candidate{}, false).Guardians}, v.unverifiable(all)
	}
	report := v.verify(all, by)
	return report, report.failure(v)
}

// verifiable returns the manifest of the highest version of which enough shares
// are good to rebuild it, or else of most shares; nil when none was shown. One
// share of a push that was cut short must not stand for the rest.
func (v *Vault) verifiable(all survey) *manifest.Manifest {
	var best *manifest.Manifest
	rank := func(m *manifest.Manifest) (bool, int) {
		good := v.verify(all, m).Good
		return good >= m.Threshold, good
	}
	for _, by := range all.inOrder() {
		if best == nil {
			best = by.manifest
			continue
		}
		enoughBest, most := rank(best)
		enough, good := rank(by.manifest)
		if !enoughBest && (enough || good > most) {
			best = by.manifest
		}
	}
	return best
}

// unverifiable says why nothing can be compared.
func (v *Vault) unverifiable(all survey) error {
	if len(all.versions()) > 0 {
		return fmt.Errorf("asking %d guardians: %w", len(all), ErrNoManifest)
	}
	failure := v.pullFailure(all)
	if quorum, ok := errors.AsType[*QuorumError](failure); ok {
		quorum.Action = "verify"
	}
	return failure
}

// verify judges each share by a manifest.
func (v *Vault) verify(all survey, m *manifest.Manifest) VerifyReport {
	report := VerifyReport{Version: m.Version, Threshold: m.Threshold, Holders: len(m.Holders)}
	about := group{version: m.Version, split: m.Split, threshold: m.Threshold, size: m.PayloadSize + 1}
	report.Guardians = v.report(all, candidate{group: about, manifest: m}, true).Guardians
	shownBy := map[int]bool{}
	for i := range report.Guardians {
		g := &report.Guardians[i]
		if g.State != StateGood {
			continue
		}
		if shownBy[g.X] {
			g.State, g.Err = StateWrong, v.named(i, errAnothers)
			continue
		}
		shownBy[g.X] = true
		report.Good++
	}
	return report
}

// failure is the error that a report amounts to.
func (r VerifyReport) failure(v *Vault) error {
	var wrong, lacking []error
	for i, g := range r.Guardians {
		switch {
		case g.State == StateWrong:
			wrong = append(wrong, g.Err)
		case g.State != StateGood && g.Err != nil:
			lacking = append(lacking, g.Err)
		case g.State != StateGood:
			lacking = append(lacking, v.named(i, fmt.Errorf("its share is %s", g.State)))
		}
	}
	switch {
	case r.Good < r.Threshold:
		return &QuorumError{Action: "verify", Need: r.Threshold, Got: r.Good, Errs: append(wrong, lacking...)}
	case len(wrong) > 0:
		return fmt.Errorf("verifying version %d: %w: %w", r.Version, ErrAuthentication, errors.Join(wrong...))
	}
	return nil
}
