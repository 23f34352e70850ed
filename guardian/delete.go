package guardian

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Delete leaves a tombstone at the version, which must be the current one;
// pushes at or below it are refused for good. Errors: api.ErrNotFound (absent
// or already deleted), *api.VersionConflictError, api.ErrIntegrityFailed,
// api.ErrKeyUnavailable, and api.ErrStorageUnavailable, after which the delete
// may or may not have happened.
func (n *Node) Delete(ctx context.Context, slot Slot, version uint64) error {
	doubt := false
	var lost error
	for range maxDecisions {
		from, err := n.readCommit(ctx, slot)
		if err != nil {
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
		_, st, err := n.load(ctx, slot, *from.commit.live)
		if err != nil {
			if err = n.stillFaulty(ctx, slot, from, err); err != nil {
				return err
			}
			continue
		}
		next := buried(from.commit, st)
		lost = n.swap(ctx, slot, from.rev, next)
		if lost == nil {
			n.deleted(slot, next)
			return nil
		}
		doubt = doubt || !errors.Is(lost, backend.ErrConflict)
	}
	return unavailable("deleting", fmt.Errorf("giving up after %d attempts: %w", maxDecisions, lost))
}

// buried is the tombstone over what is stored.
func buried(c *commit, st integrity.Statement) *commit {
	return &commit{current: c.current, tombstone: tombstone{
		owned: st.Owned, proof: st.Proof, manifest: len(st.Manifest) > 0,
	}}
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
		n.deleted(slot, from.commit)
		return nil
	}
	return api.ErrNotFound
}

// stillFaulty returns nil when `version` has changed since from was read, so
// that the caller decides anew, and otherwise what is wrong with the data.
func (n *Node) stillFaulty(ctx context.Context, slot Slot, from stored, cause error) error {
	now, err := n.readCommit(ctx, slot)
	if err != nil {
		return err
	}
	if n.rules.mayReread(now.rev != from.rev) {
		return nil
	}
	return n.faulty(ctx, slot, *from.commit.live, cause)
}

func (n *Node) deleted(slot Slot, now *commit) {
	n.guesses.Remove(slot)
	n.census.add(-1)
	n.background.do(func(ctx context.Context) {
		n.unmark(ctx, slot)
		n.dropReplaced(ctx, slot, now)
	})
}
