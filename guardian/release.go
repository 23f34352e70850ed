package guardian

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/record"
)

// ErrNotReleased refuses to give up a share for a record that does not say so.
var ErrNotReleased = errors.New("not released")

// Release gives up this node's share of a version for a certified record that
// gives no point of it to this node, follows the record of the share, and has the
// agreement of its holders; of a version that is not the current one also for a
// record that does, where its share is not to be had. nil means that no share of the version is named any
// more of which that is so, and that all is erased, what is prepared up to the
// record's epoch included; so it is where there never was any, or a later record
// has brought one back. The version stays refused to pushes as before.
//
// Where `version` itself is damaged, it is written anew: for what else is sound in
// the slot, once no writer of that is left, and to say that the version has moved
// away unless some of that is of the version or of a higher one.
//
// Errors: ErrNotReleased, which says why, and wraps ErrForked where that is why,
// api.ErrKeyUnavailable, and api.ErrStorageUnavailable, after which the share may
// or may not be gone. Repeating it is always safe, also in many processes at once.
func (n *Node) Release(ctx context.Context, slot Slot, chain []byte) error {
	r, err := n.ParseRecord(chain)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotReleased, err)
	case r.Epoch == 0 || r.Identity != slot.Identity || r.Name != slot.Name:
		return fmt.Errorf("%w: it is the record of another secret, or that of its owner", ErrNotReleased)
	}
	for range maxDecisions {
		if err = n.release(ctx, slot, chain, r); !errors.Is(err, errAgain) {
			return err
		}
	}
	return unavailable("releasing", err)
}

// release is one attempt. Whose compare-and-swap it was does not matter: what
// `version` says in the end is the same.
func (n *Node) release(ctx context.Context, slot Slot, chain []byte, r *record.Record) error {
	from, err := n.fetchCommit(ctx, slot)
	switch {
	case errors.Is(err, integrity.ErrMismatch) && !n.isNamedBy(r):
		return n.releaseAnew(ctx, slot, r, from.rev)
	case errors.Is(err, backend.ErrTooLarge):
		// It has no revision, so it could not be replaced without fail.
		return fmt.Errorf("%w: the version object is too large to be one", ErrNotReleased)
	case err != nil:
		return n.judgeCommit(err)
	case n.isNamedBy(r) && (from.commit == nil || from.commit.current <= r.Version):
		return fmt.Errorf("%w: the record of epoch %d names this node", ErrNotReleased, r.Epoch)
	}
	at, err := n.holdsOf(ctx, slot, from, Share{Version: r.Version, Epoch: r.Epoch, Chain: chain})
	if err != nil {
		return err
	}
	next, err := n.rules.release(from.commit, at, departure{r.Epoch, r.Hash}, r.Version)
	switch {
	case err != nil:
		return err
	case next == nil:
		return n.released(ctx, slot, from, r)
	}
	next.standing = from.standing()
	if err := n.swap(ctx, slot, from.rev, next); err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	n.guesses.Remove(slot)
	if from.commit.live != nil && next.live == nil {
		n.census.add(-1)
	}
	n.background.do(func(ctx context.Context) {
		if n.verifySlot(ctx, slot) == nil {
			n.unmark(ctx, slot)
		}
	})
	return n.eraseReleased(ctx, slot, r, from.commit, next)
}

// released makes durable that a version has left, and erases what is left of it.
func (n *Node) released(ctx context.Context, slot Slot, from stored, r *record.Record) error {
	if from.commit != nil {
		if err := n.replace(ctx, slot.commitKey(), from.raw, from.rev); err != nil {
			return err
		}
	}
	return n.eraseReleased(ctx, slot, r, nil, from.commit)
}

// eraseReleased erases what was named, and what was prepared up to the record:
// no other of its epoch can be certified.
func (n *Node) eraseReleased(ctx context.Context, slot Slot, r *record.Record, before, now *commit) error {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return err
	}
	for _, g := range found.prepared() {
		if g.version != r.Version || g.epoch > r.Epoch {
			continue
		}
		claimed, err := n.claimedStatement(ctx, slot, g)
		if err != nil {
			return err
		}
		if n.precedes(claimed.Certificate, r) && !n.dropGeneration(ctx, slot, g) {
			return unavailable("erasing what was prepared", fmt.Errorf("generation %s is still there", g))
		}
	}
	return n.erase(ctx, slot, before, now)
}

// precedes tells whether a draft was for the place of r or of one before it.
func (n *Node) precedes(draft []byte, r *record.Record) bool {
	of, err := n.ParseDraft(draft)
	return err == nil && r.Follows(of.Base)
}
