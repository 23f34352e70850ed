package guardian

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/record"
)

// releaseAnew is one attempt at a `version` object that does not verify, at rev:
// whoever writes it anew first has decided.
func (n *Node) releaseAnew(ctx context.Context, slot Slot, r *record.Record, rev backend.Revision) error {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return err
	}
	left, at, err := n.remains(ctx, slot, found, r)
	if err != nil {
		return err
	}
	next, err := n.rules.depart(left, departure{r.Epoch, r.Hash}, r.Version, n.cfg.Retain)
	if err != nil {
		return err
	}
	// As in planMend: the record's manifest proves that there is an owner.
	next.standing = n.claimed(ctx, slot, found)
	next.standing.keep(standing{owned: true, manifest: true})
	if err := n.swap(ctx, slot, rev, next); err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	n.restored(slot, next)
	if at != holdsNothing && at != holdsLater {
		return fmt.Errorf("%w: the version object was damaged and is written anew; %w", ErrNotReleased, refusal(at, r.Version))
	}
	return n.eraseReleased(ctx, slot, r, nil, next)
}

// remains looks for what may have been committed, and tells the most that is of
// the record's version and not released by it. What a push puts before it is judged
// counts only where an owner has signed it.
func (n *Node) remains(ctx context.Context, slot Slot, found listing, r *record.Record) (left remains, at holding, err error) {
	var last Share
	for _, g := range inOrder(found.ages) {
		there, _, err := n.verify(ctx, slot, g)
		switch {
		case err != nil && !isDamage(err):
			return remains{}, holdsNothing, n.faulty(ctx, slot, g, err)
		case err != nil || len(there.Manifest) == 0:
			continue
		}
		if g.version == r.Version {
			is := compareRecords(n.recordOf(there), sha256.Sum256(there.Manifest), r)
			if is == holdsEarlier {
				continue
			}
			at = max(at, is)
		}
		if end := len(left.sound) - 1; end >= 0 && left.sound[end].version == g.version {
			left.twins = left.twins || n.areTwins(last, there)
			left.sound = left.sound[:end]
		}
		left.sound, last = append(left.sound, g), there
		left.young = left.young || found.ages[g] < orphanAge
	}
	slices.Reverse(left.sound)
	return left, at, nil
}

// restored is mended for a slot that no share was put into.
func (n *Node) restored(slot Slot, now *commit) {
	n.guesses.Remove(slot)
	if now.live != nil {
		n.census.add(1)
	}
	n.background.do(func(ctx context.Context) {
		if n.verifySlot(ctx, slot) == nil {
			n.removeMark(ctx, slot)
		}
	})
}
