package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// GuardianHistory is what one guardian retains, or why it did not say.
type GuardianHistory struct {
	Guardian string
	// Versions is newest first; of what was deleted the one version that may
	// not be written again.
	Versions []api.VersionInfo
	Err      error
}

// told reports a guardian that said what it retains, if only that it is
// nothing.
func (h GuardianHistory) told() bool { return h.Err == nil || errors.Is(h.Err, api.ErrNotFound) }

// History asks every guardian which versions it retains. Nothing is rebuilt,
// so what a guardian tells is not checked. The list is in order of position,
// and whole even with an error. It returns soon after so many have answered
// that an acknowledged push must have shown itself.
//
// Errors: api.ErrNotFound when all of these retain nothing; *QuorumError when
// fewer answered; auth.ErrClaim when the vault's key is not the identity's.
func (v *Vault) History(ctx context.Context, identity string) ([]GuardianHistory, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return nil, err
	}
	all, told := make([]GuardianHistory, len(v.guardians)), 0
	fanOut(ctx, v.positions(), func(ctx context.Context, i int) (GuardianHistory, error) {
		return v.historyOf(ctx, i, identity), nil
	}, func(a answer[GuardianHistory]) time.Duration {
		all[a.position] = a.value
		if a.value.told() {
			told++
		}
		return graceOnce(told >= v.WriteQuorum())
	})
	return all, v.historyFailure(all, told)
}

func (v *Vault) historyOf(ctx context.Context, position int, identity string) GuardianHistory {
	g := v.guardians[position]
	history := GuardianHistory{Guardian: g.URL()}
	history.Err = persist(ctx, surveyAttempts, func() error {
		response, err := g.History(ctx, api.HistoryRequest{Identity: identity})
		history.Versions = response.Versions
		return err
	})
	if history.Err != nil {
		history.Err = v.named(position, history.Err)
	}
	return history
}

// historyFailure says why a history tells nothing, or returns nil.
func (v *Vault) historyFailure(all []GuardianHistory, told int) error {
	failure := &QuorumError{Action: "history", Need: v.WriteQuorum(), Got: told}
	shown := false
	for _, h := range all {
		shown = shown || h.Err == nil
		if !h.told() {
			failure.Errs = append(failure.Errs, h.Err)
		}
	}
	switch {
	case told < failure.Need:
		return failure
	case !shown:
		return fmt.Errorf("asking %d guardians: %w", len(all), api.ErrNotFound)
	}
	return nil
}
