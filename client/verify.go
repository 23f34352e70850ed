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
	// is none the one of which most are; Epoch likewise, 0 as the owner pushed it.
	Version, Epoch uint64
	// Threshold and Holders are K and N. Who holds a redistributed share nobody
	// shows: then Holders counts the points of that version that were shown.
	Threshold, Holders int
	// Good counts the points of which a guardian showed the very share that the
	// owner made, or at epochs above 0 one that fits others that make what the
	// owner signed. With Threshold of them the secret can be rebuilt.
	Good int
	// ByPayload is that of a PullReport.
	ByPayload bool
	// Policy is what the owner lets guardians do with that version by themselves.
	Policy manifest.Policy
	// Guardians is in order of position.
	Guardians []PullAnswer
}

var (
	errAnothers = errors.New("it shows the share of another guardian")
	errUntold   = errors.New("too few shares of that epoch were shown to tell whether it is right")
)

// Verify asks every guardian for its share and compares it with the manifest
// that the owner signed. Nothing is output that was kept, and it takes no root
// where guardians ask for no proof: the identity alone says whose signature
// counts. Redistributed shares are right when K of them make the payload of the
// manifest, for which it is rebuilt here and thrown away, still encrypted.
//
// A nil error means that no share is wrong and Threshold are good; some may be
// missing, stale, untold or unreachable. Errors: *QuorumError (counting shares)
// when fewer than Threshold are good, [ErrAuthentication] when any is wrong, both
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
	v.pastOf(identity, all).chooseMoving(ctx)
	by, ok := v.verifiable(all)
	if !ok {
		return VerifyReport{Guardians: v.report(all, candidate{}, false).Guardians}, v.unverifiable(all)
	}
	report := v.verify(all, by)
	return report, report.failure(v)
}

// verifiable returns the group with a manifest of the highest version and epoch
// of which enough shares are good to rebuild it, or else of most shares; none
// when no manifest was shown. One share of a push that was cut short must not
// stand for the rest.
func (v *Vault) verifiable(all survey) (best candidate, ok bool) {
	rank := func(c candidate) (bool, int) {
		good := v.verify(all, c).Good
		return good >= c.need(v.Threshold()), good
	}
	for _, by := range all.verifiable() {
		if !ok {
			best, ok = by, true
			continue
		}
		enoughBest, most := rank(best)
		enough, good := rank(by)
		if !enoughBest && (enough || good > most) {
			best = by
		}
	}
	return best, ok
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

// verify judges each share by the manifest of a group.
func (v *Vault) verify(all survey, by candidate) VerifyReport {
	report := VerifyReport{
		Version: by.group.version, Epoch: by.group.epoch, Threshold: by.need(v.Threshold()), Holders: len(by.manifest.Holders),
		Policy: by.manifest.Policy, Guardians: v.report(all, by, true).Guardians,
	}
	if by.group.redistributed() {
		report.Holders, report.ByPayload = all.pointsOf(by.group.version), by.proof.found() && !by.proof.sure()
	}
	shownBy := map[int]bool{}
	for i := range report.Guardians {
		g := &report.Guardians[i]
		switch {
		case g.State != StateGood:
		case by.group.redistributed() && !by.proof.found():
			g.State, g.Err = StateUntold, v.named(i, errUntold)
		case shownBy[g.X]:
			g.State, g.Err = StateWrong, v.named(i, errAnothers)
		default:
			shownBy[g.X] = true
			report.Good++
		}
	}
	return report
}

// pointsOf counts the points of a version that guardians showed.
func (s survey) pointsOf(version uint64) int {
	shown := map[*holding]bool{}
	for h := range s.holdings() {
		if h.group.version == version {
			shown[h] = true
		}
	}
	return points(shown)
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
