package guardian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// Delete leaves a tombstone at the version, which must be the current one, or a
// higher one of which a sound share is prepared here: whoever has it has the
// owner's manifest, so that its owner must be proved. Pushes and redistributions at
// or below it are refused for good. The current share need not be sound. Errors:
// api.ErrOwnershipRequired, api.ErrOwnershipInvalid,
// api.ErrNotFound (absent or already deleted), *api.VersionConflictError,
// api.ErrIntegrityFailed, api.ErrKeyUnavailable, and
// api.ErrStorageUnavailable, after which the delete may or may not have
// happened.
func (n *Node) Delete(ctx context.Context, slot Slot, version uint64, by Caller) error {
	doubt := false
	var lost error
	for range maxDecisions {
		from, known, prepared, err := n.readDeletable(ctx, slot, version)
		if err != nil {
			return err
		}
		if err := n.rules.admit(n.cfg.Ownership, known, by); err != nil {
			if doubt { // ours may have been there before what asks for more now
				return unavailable("deleting", err)
			}
			return err
		}
		switch n.rules.remove(from.commit, version, prepared) {
		case decidedNotFound:
			return n.alreadyDeleted(ctx, slot, from, version, doubt)
		case decidedConflict:
			if doubt {
				return unavailable("deleting", errors.New("the answer was lost and others have committed since"))
			}
			return &api.VersionConflictError{Current: from.commit.current}
		case decidedGo:
		}
		next := &commit{current: version, standing: known.after(by, Share{})}
		lost = n.swap(ctx, slot, from.rev, next)
		if lost == nil {
			n.deleted(slot, cmp.Or(from.commit, &commit{}), next)
			return nil
		}
		doubt = doubt || !errors.Is(lost, backend.ErrConflict)
	}
	return unavailable("deleting", fmt.Errorf("giving up after %d attempts: %w", maxDecisions, lost))
}

// readDeletable reads `version`, and whether a higher one that is to be deleted is
// prepared; known is what the slot has seen of its owner, by that too.
func (n *Node) readDeletable(ctx context.Context, slot Slot, version uint64) (from stored, known standing, prepared bool, err error) {
	from, err = n.readCommit(ctx, slot)
	if err != nil || from.commit != nil && version <= from.commit.current {
		return from, from.standing(), false, err
	}
	from, above, err := n.readAhead(ctx, slot)
	known = from.standing()
	if prepared = slices.Contains(above, version); prepared {
		known.keep(standing{owned: true, manifest: true})
	}
	return from, known, prepared, err
}

// readAhead reads `version`, and the versions above it that are prepared. What is
// not while it looks may have been committed.
func (n *Node) readAhead(ctx context.Context, slot Slot) (from stored, above []uint64, err error) {
	for range maxDecisions {
		if from, err = n.readCommit(ctx, slot); err != nil {
			return stored{}, nil, err
		}
		if above, err = n.preparedAbove(ctx, slot, from.commit); err != nil {
			return stored{}, nil, err
		}
		now, err := n.readCommit(ctx, slot)
		if err != nil || !n.rules.mayReread(now.rev != from.rev) {
			return from, above, err
		}
	}
	return stored{}, nil, unavailable("looking for what is prepared", errors.New("it changes too fast"))
}

// preparedAbove lists the versions above the current one of which a sound share is
// prepared, in order.
func (n *Node) preparedAbove(ctx context.Context, slot Slot, c *commit) (versions []uint64, err error) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return nil, err
	}
	for _, g := range found.prepared() {
		if c != nil && g.version <= c.current {
			continue
		}
		share, err := n.prepared(ctx, slot, g)
		switch {
		case err == nil:
			clear(share.Data)
			versions = append(versions, g.version)
		case !isDamage(err):
			return nil, n.faulty(ctx, slot, g, err)
		}
	}
	return versions, nil
}

// DeleteCurrent is Delete of whatever version is the current one, or of the highest
// that is prepared above it, and returns which that was.
func (n *Node) DeleteCurrent(ctx context.Context, slot Slot, by Caller) (version uint64, err error) {
	for range maxDecisions {
		from, above, err := n.readAhead(ctx, slot)
		if err == nil {
			err = n.rules.admit(n.cfg.Ownership, from.standing(), by)
		}
		if err != nil {
			return 0, err
		}
		switch {
		case len(above) > 0:
			version = above[len(above)-1]
		case from.commit == nil:
			return 0, api.ErrNotFound
		default:
			version = from.commit.current
		}
		err = n.Delete(ctx, slot, version, by)
		if !errors.Is(err, api.ErrVersionConflict) { // else it was replaced meanwhile
			return version, err
		}
	}
	return 0, unavailable("deleting", errors.New("it changes too fast"))
}

// alreadyDeleted answers for a slot that holds nothing live. A tombstone at
// our version is what we wanted: an acknowledgement if our own attempt may
// have made it. Either answer promises that it stays, hence durability.
func (n *Node) alreadyDeleted(ctx context.Context, slot Slot, from stored, version uint64, doubt bool) error {
	switch {
	case from.commit == nil && doubt: // what was prepared is gone, and ours may land yet
		return unavailable("deleting", errors.New("the answer was lost"))
	case from.commit == nil:
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
	if before == nil || before.live != nil {
		n.census.add(-1)
	}
	n.background.do(func(ctx context.Context) {
		n.unmark(ctx, slot)
		n.dropReplaced(ctx, slot, before, now)
	})
}
