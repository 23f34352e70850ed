package guardian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

var (
	// ErrNotMended refuses to put a recovered share where it does not belong.
	ErrNotMended = errors.New("not mended")
	// ErrForked reports two certified records in the place of one: more of those
	// who voted are wrong than the protocol allows for. Nothing is erased.
	ErrForked = errors.New("what is here is of another line of records")
)

// Mend commits a recovered or moved share: Version, Data and Manifest, Epoch and
// Chain where that is above 0, and CreatedNS where it is known. nil means that
// the share is durable and committed, or was there and sound. The manifest must
// be the owner's, for this slot, version and node, as with a push; above epoch 0
// the chain must be certified, and its record be of that manifest and give the
// share to this node. The version never goes back, and rises no higher than the
// manifest says; no sound share is replaced by another of its version, but by
// that of a later epoch to which its own holders have agreed; and no tombstone by
// a share at or below it. Where `version` itself is damaged, it is written anew:
// for the share, or for what else is sound in the slot and of a higher version or
// epoch, with the share behind it, once no writer of that is left.
//
// Above epoch 0 nil means, besides, that what the share replaces is erased, and
// so is what was prepared up to its epoch.
//
// What the slot holds already of the version may be replaced whatever the
// quotas say: it was counted. A version that is new here must have room as if
// it were pushed.
//
// Errors: ErrNotMended, which says why, and wraps ErrForked where that is why,
// api.ErrQuotaExceeded, api.ErrKeyUnavailable, and api.ErrStorageUnavailable, after which the share
// may or may not have been committed. Repeating it is always safe, also in many
// processes at once.
func (n *Node) Mend(ctx context.Context, slot Slot, share Share) error {
	share, err := n.admitMended(slot, share)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotMended, err)
	}
	share = share.written()
	for range maxDecisions {
		if err = n.mend(ctx, slot, share); !errors.Is(err, errAgain) {
			return err
		}
	}
	return unavailable("mending", err)
}

// admitMended is admitManifest, or admitRecord above epoch 0. The share comes back
// with the threshold and split of its record.
func (n *Node) admitMended(slot Slot, share Share) (Share, error) {
	switch {
	case len(share.Manifest) == 0:
		return Share{}, errors.New("the share has no manifest")
	case share.Epoch > 0:
		r, err := n.admitRecord(slot, share)
		if err != nil {
			return Share{}, err
		}
		share.Threshold, share.Split = r.Threshold, r.Split
		return share, nil
	case len(share.Chain) > 0:
		return Share{}, errors.New("the share has a chain, at epoch 0")
	}
	return n.admitManifest(slot, share)
}

// written is the share with the times that its statement says.
func (s Share) written() Share {
	now := time.Now().UnixNano()
	s.CreatedNS, s.UpdatedNS = min(cmp.Or(s.CreatedNS, now), now), now
	return s
}

func notMended(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotMended, fmt.Sprintf(format, args...))
}

// mend is one attempt, with a generation of its own: one that was committed and
// replaced must not be named again. errAgain: others were faster.
func (n *Node) mend(ctx context.Context, slot Slot, share Share) error {
	ours := generation{version: share.Version, epoch: share.Epoch, attempt: mendMark + n.newAttempt()}
	from, next, err := n.planMend(ctx, slot, share, ours)
	if err != nil {
		return err
	}
	if next == nil {
		if err := n.replace(ctx, slot.commitKey(), from.raw, from.rev); err != nil { // makes it durable
			return err
		}
		if share.Epoch == 0 {
			return nil
		}
		return n.erase(ctx, slot, nil, from.commit)
	}
	if !next.names(ours) {
		return n.restore(ctx, slot, share, from, next)
	}
	defer n.ages.write(slot, ours)()
	started := time.Now()
	if err := n.prepareMend(ctx, slot, share, ours, from, next); err != nil {
		n.abandon(slot, ours)
		return err
	}
	return n.commitMend(ctx, slot, share, ours, from, next, started)
}

// eraseBefore drops what a share has replaced: what a redistribution has put an
// end to before anybody is told that it is in place.
func (n *Node) eraseBefore(ctx context.Context, slot Slot, share Share, before, now *commit) error {
	if share.Epoch > 0 {
		return n.erase(ctx, slot, before, now)
	}
	n.background.do(func(ctx context.Context) { n.dropReplaced(ctx, slot, before, now) })
	return nil
}

// erase is dropReplaced with an error.
func (n *Node) erase(ctx context.Context, slot Slot, before, now *commit) error {
	if !n.dropReplaced(ctx, slot, before, now) {
		return unavailable("erasing the share before", errors.New("not all of it is gone"))
	}
	return nil
}

// planMend reads what is stored and decides what `version` shall say next; nil
// when it is as it should be.
func (n *Node) planMend(ctx context.Context, slot Slot, share Share, ours generation) (from stored, next *commit, err error) {
	from, err = n.fetchCommit(ctx, slot)
	var known standing
	switch {
	case err == nil:
		known = from.standing()
		next, err = n.planInPlace(ctx, slot, share, ours, from)
	case errors.Is(err, integrity.ErrMismatch):
		known, next, err = n.planAnew(ctx, slot, share, ours)
	case errors.Is(err, backend.ErrTooLarge):
		// It has no revision, so it could not be replaced without fail.
		err = notMended("the version object is too large to be one")
	default:
		err = n.judgeCommit(err)
	}
	if next != nil {
		// The manifest proves that there is an owner, but by no proof of
		// ownership, so it asks for no higher version of those.
		next.standing = known
		next.standing.keep(standing{owned: true, manifest: true})
	}
	return from, next, err
}

func (n *Node) planInPlace(ctx context.Context, slot Slot, share Share, ours generation, from stored) (*commit, error) {
	at, err := n.holdsOf(ctx, slot, from, share)
	if err != nil {
		return nil, err
	}
	return n.rules.mend(from.commit, at, ours, n.cfg.Retain)
}

// holdsOf tells what `version` names, or has let go of, from the share.
func (n *Node) holdsOf(ctx context.Context, slot Slot, from stored, share Share) (holding, error) {
	r := n.recordOf(share)
	if left := from.commit.departedAt(share.Version); left != nil {
		return left.compare(r), nil
	}
	g, named := from.commit.find(share.Version)
	if !named {
		return holdsNothing, nil
	}
	there, _, err := n.verify(ctx, slot, g)
	if err == nil {
		return n.compareShares(there, share, r), nil
	}
	if !isDamage(err) {
		return holdsNothing, n.faulty(ctx, slot, g, err)
	}
	at, err := n.compareDamaged(ctx, slot, g, r)
	if err != nil {
		return holdsNothing, err
	}
	if now, err := n.fetchCommit(ctx, slot); err != nil || now.rev != from.rev {
		return holdsNothing, cmp.Or(n.judgeCommit(err), errAgain)
	}
	return at, nil
}

// planAnew is for a `version` object that does not verify. Whatever else does
// may have been committed.
func (n *Node) planAnew(ctx context.Context, slot Slot, share Share, ours generation) (standing, *commit, error) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return standing{}, nil, err
	}
	var above standsBeside
	var highest Share
	at, r := holdsNothing, n.recordOf(share)
	for _, g := range inOrder(found.ages) {
		if g.version < ours.version {
			continue
		}
		there, _, err := n.verify(ctx, slot, g)
		if err != nil && !isDamage(err) {
			return standing{}, nil, n.faulty(ctx, slot, g, err)
		}
		// A push puts its objects before it is judged: what no owner has signed may
		// be what was refused, and counts for nothing.
		if err != nil || len(there.Manifest) == 0 {
			continue
		}
		if g.version == ours.version {
			is := n.compareShares(there, share, r)
			if at = max(at, is); is == holdsSame || is == holdsEarlier {
				continue
			}
		}
		sameVersion := above.found && g.version == above.version
		above.twins = sameVersion && (above.twins || n.areTwins(highest, there))
		above.young = above.young || found.ages[g] < orphanAge
		above.found, above.generation, highest = true, g, there
	}
	next, err := n.rules.restore(above, at, ours)
	return n.claimed(ctx, slot, found), next, err
}

// restore writes `version` anew for what is sound, which is not the recovered
// share.
func (n *Node) restore(ctx context.Context, slot Slot, share Share, from stored, next *commit) error {
	data, err := sealCommit(n.sealer, slot, next)
	if err != nil {
		return fmt.Errorf("sealing commit: %w", err)
	}
	if err := n.replace(ctx, slot.commitKey(), data, from.rev); err != nil {
		return err
	}
	n.mended(slot, nil, next, share)
	n.background.do(func(ctx context.Context) { n.dropReplaced(ctx, slot, nil, next) })
	return notMended("the version object was damaged and is written anew; another share of version %d is sound", share.Version)
}

// prepareMend puts the objects, and looks for room where the version is new.
func (n *Node) prepareMend(ctx context.Context, slot Slot, share Share, ours generation, from stored, next *commit) error {
	checksum, err := n.sealShare(slot, ours, share, next.standing)
	if err != nil {
		return err
	}
	if err := n.create(ctx, slot, ours, share.Data, checksum); err != nil {
		return err
	}
	_, replaces := from.commit.find(ours.version)
	if anew := from.commit == nil && !from.rev.IsZero(); replaces || anew {
		return nil
	}
	if slot.Name != "" && (from.commit == nil || from.commit.live == nil) {
		if err := n.admitName(ctx, slot, Caller{}, from); err != nil {
			return err
		}
	}
	return n.roomForShare(ctx, slot, share, next)
}

// commitMend swaps `version`. When the answer is lost it is asked again only
// while `version` is as it was; once that has moved past us, our objects will
// never be named (again), and go.
func (n *Node) commitMend(ctx context.Context, slot Slot, share Share, ours generation, from stored, next *commit, started time.Time) error {
	var lost error
	for range maxDecisions {
		if !n.rules.mayCommit(time.Since(started), n.cfg.RequestTimeout) {
			if lost == nil {
				n.abandon(slot, ours)
			}
			return unavailable("committing", errors.New("it took too long to be committed safely"))
		}
		if lost = n.swap(ctx, slot, from.rev, next); lost == nil {
			n.mended(slot, from.commit, next, share)
			return n.eraseBefore(ctx, slot, share, from.commit, next)
		}
		now, err := n.fetchCommit(ctx, slot)
		switch {
		case now.commit.names(ours):
			if err := n.makeDurable(ctx, slot, now); err != nil {
				return err
			}
			n.mended(slot, from.commit, now.commit, share)
			return n.eraseBefore(ctx, slot, share, from.commit, now.commit)
		case now.rev == from.rev && (err == nil || !now.rev.IsZero()): // as it was
		case err != nil:
			return n.judgeCommit(err)
		default:
			n.abandon(slot, ours)
			return fmt.Errorf("%w: %w", errAgain, lost)
		}
	}
	return unavailable("committing", fmt.Errorf("giving up after %d attempts: %w", maxDecisions, lost))
}

// judgeCommit gives the error of the protocol to one of fetchCommit. Damage is
// left to the next read to quarantine.
func (n *Node) judgeCommit(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, integrity.ErrKeyUnknown):
		return fmt.Errorf("%w: %w", api.ErrKeyUnavailable, err)
	}
	return unavailable("reading commit", err)
}

// mended is committed for Mend, by which a slot need not have become sound as a
// whole.
func (n *Node) mended(slot Slot, before, now *commit, share Share) {
	n.guesses.Add(slot, stored{commit: now})
	if now.current == share.Version {
		n.highest.note(share.Threshold)
	}
	if (before == nil || before.live == nil) && now.live != nil {
		n.census.add(1)
	}
	n.background.do(func(ctx context.Context) {
		if n.verifySlot(ctx, slot) == nil {
			n.removeMark(ctx, slot)
		}
	})
}
