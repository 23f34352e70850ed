package guardian

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// CopyOutcome is what a copy of one slot comes to.
type CopyOutcome string

// Outcomes of CopyTo and CompareTo.
const (
	// Copied: the destination had less, and has the same now.
	Copied CopyOutcome = "copied"
	// AlreadyThere: the destination had the same; what was damaged or missing
	// of it is mended.
	AlreadyThere CopyOutcome = "already there"
	// NewerThere: the destination has a higher version, or has deleted this
	// one. It is left alone.
	NewerThere CopyOutcome = "newer there"
	// CopyConflict: the destination was given another share of this version.
	// It is left alone.
	CopyConflict CopyOutcome = "conflict"
)

// ErrDestination wraps what went wrong at the destination of a copy, so that
// it is told from the same at the source.
var ErrDestination = errors.New("at the destination")

// CopyTo copies what `version` names, what is prepared for the slot, and `version`
// itself, to dst: a node of the same id with the same keys over another storage.
// Every share is verified
// before it is copied, and everything at dst once it is there. The version at
// dst never goes back; it changes last, so that whatever fails leaves there
// what was there or all that is here.
//
// It may be stopped at any moment and run again, with others working on the
// source. Nobody should serve dst yet: cleaning there may take what an earlier
// run has left for its own, and drop it while it is being named; the next run
// mends that. Errors: api.ErrNotFound (no version was ever committed, and nothing
// is prepared),
// api.ErrIntegrityFailed (the slot is then quarantined where it is damaged),
// api.ErrKeyUnavailable, api.ErrStorageUnavailable; each wraps ErrDestination
// where it is about dst.
func (n *Node) CopyTo(ctx context.Context, dst *Node, slot Slot) (outcome CopyOutcome, err error) {
	for range maxDecisions {
		if outcome, err = n.copyTo(ctx, dst, slot); !errors.Is(err, errAgain) {
			return outcome, err
		}
	}
	return "", unavailable("copying", err)
}

func (n *Node) copyTo(ctx context.Context, dst *Node, slot Slot) (CopyOutcome, error) {
	from, to, outcome, err := n.compare(ctx, dst, slot)
	if err != nil || outcome == NewerThere || outcome == CopyConflict {
		return outcome, err
	}
	placed, err := n.copyGenerations(ctx, dst, slot, from, to)
	if err != nil {
		return outcome, err
	}
	placedMore, err := n.copyPrepared(ctx, dst, slot)
	if err != nil || outcome == AlreadyThere && !placed && !placedMore || from.commit == nil {
		return outcome, err
	}
	if outcome == Copied {
		if err := dst.follow(ctx, slot, from, to); err != nil {
			return "", err
		}
	}
	return outcome, dst.holds(ctx, slot, from)
}

// CompareTo tells what CopyTo would come to and changes nothing, but for
// marking what is damaged. All that would be copied is verified. A nil dst
// stands for one that holds nothing. Errors are those of CopyTo.
func (n *Node) CompareTo(ctx context.Context, dst *Node, slot Slot) (CopyOutcome, error) {
	_, _, outcome, err := n.compare(ctx, dst, slot)
	if err == nil && (outcome == Copied || outcome == AlreadyThere) {
		err = n.verifySlot(ctx, slot)
	}
	return outcome, err
}

func (n *Node) compare(ctx context.Context, dst *Node, slot Slot) (from, to stored, outcome CopyOutcome, err error) {
	if from, err = n.readCommit(ctx, slot); err != nil {
		return stored{}, stored{}, "", err
	}
	if from.commit == nil {
		if err := n.needPrepared(ctx, slot); err != nil {
			return stored{}, stored{}, "", err
		}
	}
	if dst != nil {
		if to, err = dst.readCommit(ctx, slot); err != nil {
			return stored{}, stored{}, "", atDestination(err)
		}
	}
	return from, to, decideCopy(from.commit, to.commit), nil
}

// decideCopy compares what is committed at the source with the destination.
func decideCopy(from, to *commit) CopyOutcome {
	switch {
	case from == nil && to != nil:
		return NewerThere
	case to == nil || to.current < from.current:
		return Copied
	case to.current > from.current:
		return NewerThere
	case to.lines() == from.lines():
		return AlreadyThere
	case to.deleted():
		return NewerThere
	case from.deleted():
		return Copied
	}
	switch here, there := from.epoch(), to.epoch(); {
	case here < there:
		return NewerThere
	case here > there:
		return Copied
	case to.moved != nil && from.live != nil:
		return NewerThere
	case from.live != nil && *from.live != *to.live:
		return CopyConflict
	}
	return Copied // moved since, or other older versions are retained
}

// epoch is that of the current version, or of the record by which it moved away.
func (c *commit) epoch() uint64 {
	switch {
	case c.live != nil:
		return c.live.epoch
	case c.moved != nil:
		return c.moved.epoch
	}
	return 0
}

// copyGenerations brings over what `from` names, but what is there and sound,
// and reports whether there was any.
func (n *Node) copyGenerations(ctx context.Context, dst *Node, slot Slot, from, to stored) (placed bool, err error) {
	for _, g := range from.commit.named() {
		share, _, err := n.load(ctx, slot, g)
		if err != nil {
			return placed, n.judge(ctx, slot, from, g, err)
		}
		if to.commit.names(g) {
			sound, err := dst.isSound(ctx, slot, g)
			if err != nil {
				return placed, err
			}
			if sound {
				continue
			}
		}
		checksum, _, err := n.store.Get(ctx, slot.checksumKey(g))
		if err != nil {
			return placed, n.judge(ctx, slot, from, g, err)
		}
		if err := dst.place(ctx, slot, g, share.Data, checksum); err != nil {
			return placed, err
		}
		placed = true
	}
	return placed, nil
}

// copyPrepared brings over what is prepared and sound, and reports whether there
// was any that was not there.
func (n *Node) copyPrepared(ctx context.Context, dst *Node, slot Slot) (placed bool, err error) {
	there, err := n.look(ctx, slot)
	if err != nil {
		return false, err
	}
	for _, g := range there.prepared() {
		share, _, err := n.load(ctx, slot, g)
		if err != nil && !isDamage(err) {
			return placed, n.faulty(ctx, slot, g, err)
		}
		checksum, _, errChecksum := n.store.Get(ctx, slot.checksumKey(g))
		sound, errThere := dst.isSound(ctx, slot, g)
		switch {
		case errThere != nil:
			return placed, errThere
		case err != nil || errChecksum != nil || sound:
			continue
		}
		if err := dst.place(ctx, slot, g, share.Data, checksum); err != nil {
			return placed, err
		}
		placed = true
	}
	return placed, nil
}

// needPrepared returns api.ErrNotFound where nothing of the slot is prepared.
func (n *Node) needPrepared(ctx context.Context, slot Slot) error {
	prepared, err := n.Prepared(ctx, slot)
	if err == nil && len(prepared) == 0 {
		return api.ErrNotFound
	}
	wipe(prepared)
	return err
}

// isSound tells what is damaged or missing from what cannot be read.
func (n *Node) isSound(ctx context.Context, slot Slot, g generation) (bool, error) {
	_, _, err := n.load(ctx, slot, g)
	switch {
	case err == nil:
		return true, nil
	case isDamage(err):
		return false, nil
	}
	return false, atDestination(n.faulty(ctx, slot, g, err))
}

// place puts the objects of a generation. Its checksum may be there under
// another key, so each is a compare-and-swap: a request that lands late undoes
// nothing.
func (n *Node) place(ctx context.Context, slot Slot, g generation, share, checksum []byte) error {
	var errShare, errChecksum error
	backend.SideBySide(
		func() { errShare = n.placeObject(ctx, slot.shareKey(g), share) },
		func() { errChecksum = n.placeObject(ctx, slot.checksumKey(g), checksum) },
	)
	return errors.Join(errShare, errChecksum)
}

func (n *Node) placeObject(ctx context.Context, key string, data []byte) error {
	_, err := n.store.Put(ctx, key, data, backend.Revision{})
	if !errors.Is(err, backend.ErrConflict) {
		return placing(err)
	}
	there, rev, err := n.store.Get(ctx, key)
	switch {
	case errors.Is(err, backend.ErrTooLarge):
		rev = backend.AnyRevision
	case err != nil && !errors.Is(err, backend.ErrNotFound):
		return placing(err)
	case err == nil && bytes.Equal(there, data): // by a run that was stopped
		return nil
	}
	_, err = n.store.Put(ctx, key, data, rev)
	return placing(err)
}

func placing(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backend.ErrConflict):
		return errAgain
	}
	return atDestination(unavailable("copying", err))
}

// follow makes the destination's `version` the source's, byte by byte: node id
// and keys are the same.
func (n *Node) follow(ctx context.Context, slot Slot, from, to stored) error {
	_, err := n.store.Put(ctx, slot.commitKey(), from.raw, to.rev)
	if err != nil {
		return placing(err)
	}
	if to.commit != nil {
		n.dropReplaced(ctx, slot, to.commit, from.commit)
	}
	return nil
}

// holds reads all of the slot back from the destination.
func (n *Node) holds(ctx context.Context, slot Slot, from stored) error {
	now, err := n.readCommit(ctx, slot)
	if err != nil {
		return atDestination(err)
	}
	if now.commit == nil || now.commit.lines() != from.commit.lines() {
		return errAgain
	}
	for _, g := range from.commit.named() {
		sound, err := n.isSound(ctx, slot, g)
		if err != nil {
			return err
		}
		if !sound {
			return atDestination(fmt.Errorf("%w: generation %s is not what was copied", errAgain, g))
		}
	}
	return nil
}

func atDestination(err error) error { return fmt.Errorf("%w: %w", ErrDestination, err) }
