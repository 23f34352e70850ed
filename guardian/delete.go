package guardian

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// Delete leaves a tombstone at the version, which must be the current one;
// pushes at or below it are refused for good. The share itself need not be
// sound. Errors: api.ErrOwnershipRequired, api.ErrOwnershipInvalid,
// api.ErrNotFound (absent or already deleted), *api.VersionConflictError,
// api.ErrIntegrityFailed, api.ErrKeyUnavailable, and
// api.ErrStorageUnavailable, after which the delete may or may not have
// happened.
func (n *Node) Delete(ctx context.Context, slot Slot, version uint64, by Caller) error {
	doubt := false
	var lost error
	for range maxDecisions {
		from, err := n.readCommit(ctx, slot)
		if err != nil {
			return err
		}
		if err := n.rules.admit(n.cfg.Ownership, from.standing(), by); err != nil {
			if doubt { // ours may have been there before what asks for more now
				return unavailable("deleting", err)
			}
			return err
		}
		switch n.rules.remove(from.commit, version) {
		case decidedNotFound:
			return n.alreadyDeleted(ctx, slot, from, version, doubt)
		case decidedConflict:
			if doubt {
				return unavailable("deleting", errors.New("the answer was lost and others have committed since"))
			}
			return &api.VersionConflictError{Current: from.commit.current}
		case decidedGo:
		}
		next := &commit{current: from.commit.current, standing: from.commit.standing.after(by, Share{})}
		lost = n.swap(ctx, slot, from.rev, next)
		if lost == nil {
			n.deleted(slot, from.commit, next)
			return nil
		}
		doubt = doubt || !errors.Is(lost, backend.ErrConflict)
	}
	return unavailable("deleting", fmt.Errorf("giving up after %d attempts: %w", maxDecisions, lost))
}

// DeleteCurrent is Delete of whatever version is the current one, and returns
// which that was.
func (n *Node) DeleteCurrent(ctx context.Context, slot Slot, by Caller) (version uint64, err error) {
	for range maxDecisions {
		from, err := n.readCommit(ctx, slot)
		if err == nil {
			err = n.rules.admit(n.cfg.Ownership, from.standing(), by)
		}
		if err != nil {
			return 0, err
		}
		if from.commit == nil {
			return 0, api.ErrNotFound
		}
		err = n.Delete(ctx, slot, from.commit.current, by)
		if !errors.Is(err, api.ErrVersionConflict) { // else it was replaced meanwhile
			return from.commit.current, err
		}
	}
	return 0, unavailable("deleting", errors.New("it changes too fast"))
}

// alreadyDeleted answers for a slot that holds nothing live. A tombstone at
// our version is what we wanted: an acknowledgement if our own attempt may
// have made it. Either answer promises that it stays, hence durability.
func (n *Node) alreadyDeleted(ctx context.Context, slot Slot, from stored, version uint64, doubt bool) error {
	if from.commit == nil {
		return api.ErrNotFound
	}
	if err := n.makeDurable(ctx, slot, from); err != nil {
		return err
	}
	if doubt && from.commit.current == version {
		n.deleted(slot, nil, from.commit)
		return nil
	}
	return api.ErrNotFound
}

func (n *Node) deleted(slot Slot, before, now *commit) {
	n.guesses.Remove(slot)
	n.census.add(-1)
	n.background.do(func(ctx context.Context) {
		n.unmark(ctx, slot)
		n.dropReplaced(ctx, slot, before, now)
	})
}
