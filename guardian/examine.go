package guardian

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/record"
)

// Examined is all that a node holds of a slot, read and verified just now.
type Examined struct {
	Slot Slot
	// Unreadable is why Walk left the slot out, api.ErrKeyUnavailable or
	// api.ErrStorageUnavailable; nothing else is told then.
	Unreadable error
	// Known: there is a `version` object. Damaged: it does not verify, so
	// nothing of what follows is known, but for Bytes.
	Known, Damaged bool
	// Deleted: a tombstone, at Version.
	Deleted bool
	// Moved: Version has moved to other nodes, at the epoch MovedAt. Held is what is
	// retained behind it.
	Moved   bool
	MovedAt uint64
	// Version is the current one.
	Version uint64
	// Held is what `version` names, newest first; nothing of what is deleted.
	Held []Held
	// Unnamed has the lowest epoch of each version of which there were generations
	// that `version` does not name.
	Unnamed map[uint64]uint64
	// Bytes is the size of all objects of the slot, when they were listed.
	Bytes int64
	// Orphans is how many generations were dropped that `version` does not name.
	Orphans int
	// Lingering is how many prepared generations DropLingering has to judge.
	Lingering int
}

// Held is one retained generation.
type Held struct {
	Version, Epoch uint64
	// Sound: HMAC and place are right, and so is what the manifest says, if
	// there is one: that the owner signed it, for this slot, version and node,
	// and the hash of the share. At an epoch above 0 the record says so, certified
	// or, of what is prepared, as a draft. Problem says what is not.
	Sound   bool
	Problem string
	// Missing: of what is not sound, an object is gone.
	Missing bool
	// Share is there when it is sound.
	Share Share
}

// Examine reads and verifies everything of a slot, drops what no commit names
// and none can name any more, and takes the slot out of quarantine when all is
// sound. What is damaged is told in the value, and quarantined. Errors:
// api.ErrKeyUnavailable, api.ErrStorageUnavailable.
func (n *Node) Examine(ctx context.Context, slot Slot) (found Examined, err error) {
	for range maxDecisions {
		if found, err = n.examine(ctx, slot); !errors.Is(err, errAgain) {
			return found, err
		}
	}
	return Examined{}, unavailable("examining", err)
}

func (n *Node) examine(ctx context.Context, slot Slot) (Examined, error) {
	there, err := n.look(ctx, slot)
	found := Examined{Slot: slot, Unnamed: there.unnamed(), Bytes: there.bytes}
	if errors.Is(err, api.ErrIntegrityFailed) {
		found.Known, found.Damaged = true, true
		return found, nil
	}
	if err != nil {
		return Examined{}, err
	}
	if c := there.commit; c != nil {
		found.Known, found.Version = true, c.current
		if found.Deleted, found.Moved = c.deleted(), c.moved != nil; found.Moved {
			found.MovedAt = c.moved.epoch
		}
	}
	allSound := true
	for _, g := range there.commit.named() {
		held, err := n.hold(ctx, slot, there.stored, g)
		if err != nil {
			return Examined{}, err
		}
		found.Held = append(found.Held, held)
		allSound = allSound && held.Sound
	}
	if allSound {
		n.unmark(ctx, slot)
	}
	found.Orphans = n.dropObsolete(ctx, slot, there)
	found.Lingering = len(n.lingering(there))
	return found, nil
}

// hold verifies one generation that `version` names. Errors are those of
// verified, but for damage.
func (n *Node) hold(ctx context.Context, slot Slot, from stored, g generation) (Held, error) {
	share, st, err := n.verified(ctx, slot, from, g)
	switch {
	case err == nil:
		return Held{Version: g.version, Epoch: st.Epoch, Sound: true, Share: share}, nil
	case errors.Is(err, api.ErrIntegrityFailed):
		return Held{Version: g.version, Epoch: g.epoch, Problem: err.Error(), Missing: errors.Is(err, backend.ErrNotFound)}, nil
	}
	return Held{}, err
}

// verified is verify with the errors of the protocol, or errAgain when
// `version` has changed since it was read. What is damaged is quarantined.
func (n *Node) verified(ctx context.Context, slot Slot, from stored, g generation) (Share, integrity.Statement, error) {
	share, st, err := n.verify(ctx, slot, g)
	if err != nil {
		err = n.judge(ctx, slot, from, g, err)
	}
	return share, st, err
}

// verify is load, and what else can be told of a share: whether it is the one
// that its manifest, or its certified record, gives to this node.
func (n *Node) verify(ctx context.Context, slot Slot, g generation) (Share, integrity.Statement, error) {
	return n.verifyBy(ctx, slot, g, n.admitRecord)
}

// verifyBy is verify for another kind of record of an epoch above 0.
func (n *Node) verifyBy(ctx context.Context, slot Slot, g generation, admit func(Slot, Share) (*record.Record, error)) (Share, integrity.Statement, error) {
	share, st, err := n.load(ctx, slot, g)
	if err == nil {
		var misfit error
		if st.Epoch == 0 {
			_, misfit = n.admitManifest(slot, share)
		} else {
			_, misfit = admit(slot, share)
		}
		if misfit != nil {
			err = fmt.Errorf("%w: generation %s: %w", integrity.ErrMismatch, g, misfit)
		}
	}
	if err != nil {
		return Share{}, integrity.Statement{}, err
	}
	share.CreatedNS, share.UpdatedNS = st.CreatedNS, st.UpdatedNS
	return share, st, nil
}

// Walk examines all slots behind one, in the order of Slots, and visits each;
// from the zero Slot on it visits all. It goes on behind a slot whether or not
// that is still there, so a walk that was broken off can be resumed, also by
// another process. What cannot be read is visited as Unreadable; too many of
// those in a row end the walk: then it is the storage. The error of a visit
// ends it, and is returned. Other errors wrap api.ErrStorageUnavailable or
// api.ErrKeyUnavailable.
//
// A Walk from the zero Slot begins a pass for Counted, if none is under way; one
// to the end learns what other processes have quarantined, and takes out of it
// what is gone altogether.
func (n *Node) Walk(ctx context.Context, after Slot, visit func(Examined) error) error {
	if after == (Slot{}) {
		n.count.begin(n)
		if err := n.learnMarks(ctx); err != nil {
			return err
		}
	}
	failed, err := n.walk(ctx, after, func(slot Slot) (unreadable, err error) {
		found, unreadable := n.Examine(ctx, slot)
		if unreadable != nil {
			if ctx.Err() != nil {
				return unreadable, nil
			}
			found = Examined{Slot: slot, Unreadable: unreadable}
		}
		return unreadable, visit(found)
	})
	if failed > 0 {
		n.count.miss()
	}
	if err != nil {
		return err
	}
	if err := n.learnMarks(ctx); err != nil {
		return err
	}
	return n.forgetGone(ctx)
}

// forgetGone takes slots out of quarantine of which nothing is stored any more,
// so that no walk comes by them.
func (n *Node) forgetGone(ctx context.Context) error {
	for _, slot := range n.marked.all() {
		there, err := n.look(ctx, slot)
		if err != nil && !errors.Is(err, api.ErrIntegrityFailed) {
			return err
		}
		if err == nil && there.commit == nil && len(there.ages) == 0 {
			n.removeMark(ctx, slot)
		}
	}
	return nil
}
