package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// DeleteReport describes a delete.
type DeleteReport struct {
	// Need and Got count guardians that no longer hold a share.
	Need, Got int
	// Lacking says of each other guardian why it may still, one [*Error] each.
	Lacking []error
}

// Delete asks every guardian to delete the version it holds, which leaves a
// tombstone there: a replay of any push up to that version stays refused.
//
// A guardian counts as done when it acknowledged or says that it holds
// nothing, so a delete that was cut short is finished by calling again. Where the
// owner lets guardians move shares, those that show nothing are asked as well: who
// is about to become a holder of the version then does not. A nil
// error means that as many are done as a push needs to be acknowledged, and
// that fewer than K are left over. Errors: *QuorumError otherwise;
// api.ErrNotFound when no guardian holds anything and enough have said so.
func (v *Vault) Delete(ctx context.Context, identity string) (DeleteReport, error) {
	identity, err := v.checkIdentity(identity)
	if err != nil {
		return DeleteReport{}, err
	}
	all := v.takeBeforeWriting(ctx, identity)
	need := v.deleteQuorum(all)
	if len(all.versions()) == 0 && all.absentees() >= need {
		return DeleteReport{}, fmt.Errorf("asking %d guardians: %w", len(all), api.ErrNotFound)
	}
	got, errs := v.deleteAll(ctx, identity, all, need)
	report := DeleteReport{Need: need, Got: got, Lacking: v.sortErrors(errs)}
	if got < need {
		return report, &QuorumError{Action: "delete", Need: need, Got: got, Errs: report.Lacking}
	}
	return report, nil
}

// deleteQuorum is that of a push, or more where the guardians left over could
// still rebuild what was deleted.
func (v *Vault) deleteQuorum(all survey) int {
	k := v.Threshold()
	if closest, ok := all.closest(k); ok {
		k = closest.k(k)
	}
	return max(v.WriteQuorum(), len(v.guardians)-k+1)
}

// deleteAll returns the number of guardians done and the errors of the others
// by position.
func (v *Vault) deleteAll(ctx context.Context, identity string, all survey, need int) (int, map[int]error) {
	got, errs := 0, map[int]error{}
	likely, _ := all.closest(v.Threshold())
	moves := all.mayMove()
	remove := func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, v.deleteOne(ctx, identity, i, all[i], likely.group.version, moves)
	}
	fanOut(ctx, v.positions(), remove, func(a answer[struct{}]) time.Duration {
		if a.err == nil {
			got++
		} else {
			errs[a.position] = a.err
		}
		return graceOnce(got >= need || len(errs) > len(v.guardians)-need)
	})
	return got, errs
}

// mayMove tells whether guardians may have prepared a share that they do not show,
// and that a certificate makes theirs later.
func (s survey) mayMove() bool {
	latest := s.latest()
	return latest != nil && latest.Policy.Refresh
}

// deleteOne deletes what one guardian holds: each its own current version,
// for a guardian that missed a push would refuse the others'. One that did
// not say is asked for the likely version, then for the one it names. Where shares
// may move, so are those that show nothing or an older version, which they may have
// prepared; what they have not shown otherwise stays.
func (v *Vault) deleteOne(ctx context.Context, identity string, position int, f found, likely uint64, moves bool) error {
	switch {
	case f.absent() && !moves:
		return nil
	case f.current != nil && (!moves || f.current.group.version >= likely):
		return v.deleteVersion(ctx, identity, position, f.current.group.version)
	}
	err := v.deleteVersion(ctx, identity, position, likely)
	conflict, ok := errors.AsType[*api.VersionConflictError](err)
	switch {
	case !ok || f.absent():
		return err
	case f.current != nil:
		return v.deleteVersion(ctx, identity, position, f.current.group.version)
	}
	return v.deleteVersion(ctx, identity, position, conflict.Current)
}

// deleteVersion keeps trying until ctx ends; what is gone already is done.
func (v *Vault) deleteVersion(ctx context.Context, identity string, position int, version uint64) error {
	err := persist(ctx, 0, func() error {
		return v.guardians[position].Delete(ctx, api.DeleteRequest{Identity: identity, Version: &version})
	})
	if errors.Is(err, api.ErrNotFound) {
		return nil
	}
	return err
}
