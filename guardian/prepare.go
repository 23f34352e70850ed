package guardian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/record"
)

// ErrNotPrepared refuses a share that could not be committed, whoever voted for
// it.
var ErrNotPrepared = errors.New("not prepared")

// Prepare makes durable, and does not commit, the share that a redistribution
// gives to this node: Data, Version, Epoch and Manifest, the draft of its record
// in Chain, and CreatedNS where it is known. It stays until `version` names its
// epoch or a later one of its version, or cannot name its version any more, or
// until DropPrepared or DropLingering, and is pulled by its epoch meanwhile. The
// same share can always be prepared again.
//
// A version that is new here must have room as if it were pushed.
//
// Errors: ErrNotPrepared, which says why, api.ErrQuotaExceeded,
// api.ErrIntegrityFailed (`version` does not verify), api.ErrKeyUnavailable, and
// api.ErrStorageUnavailable, after which the share may or may not be there.
func (n *Node) Prepare(ctx context.Context, slot Slot, share Share) error {
	r, err := n.admitDraft(slot, share)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotPrepared, err)
	}
	share.Threshold, share.Split = r.Threshold, r.Split
	share = share.written()
	for range maxDecisions {
		if err = n.prepare(ctx, slot, share, r); !errors.Is(err, errAgain) {
			return err
		}
	}
	return unavailable("preparing", err)
}

// prepare is one attempt, with a generation of its own.
func (n *Node) prepare(ctx context.Context, slot Slot, share Share, r *record.Record) error {
	there, err := n.look(ctx, slot)
	if err != nil {
		return err
	}
	ours := generation{version: share.Version, epoch: share.Epoch, attempt: n.newAttempt()}
	next, err := n.planPrepare(ctx, slot, share, ours, there.stored)
	if err != nil {
		return err
	}
	for _, g := range there.prepared() {
		found, err := n.prepared(ctx, slot, g)
		switch {
		case err == nil && n.isOf(found.Chain, r.Hash):
			return n.prepareAgain(ctx, slot, g, found, share)
		case err != nil && !isDamage(err):
			return n.faulty(ctx, slot, g, err)
		}
	}
	defer n.ages.write(slot, ours)()
	if err := n.prepareMend(ctx, slot, share, ours, there.stored, next); err != nil {
		n.abandon(slot, ours)
		return err
	}
	return nil
}

// planPrepare returns what `version` would say if the share were committed now.
func (n *Node) planPrepare(ctx context.Context, slot Slot, share Share, ours generation, from stored) (*commit, error) {
	at, err := n.holdsOf(ctx, slot, from, share)
	if err != nil {
		return nil, err
	}
	if at == holdsUnvouched {
		at = holdsEarlier // nothing is erased for it yet
	}
	next, err := n.rules.mend(from.commit, at, ours, n.cfg.Retain)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotPrepared, err)
	case next == nil:
		return nil, fmt.Errorf("%w: epoch %d of version %d is committed", ErrNotPrepared, share.Epoch, share.Version)
	}
	next.standing = from.standing()
	next.standing.keep(standing{owned: true, manifest: true})
	return next, nil
}

// prepareAgain makes a share durable that is there: whoever put it may have been
// killed before it was.
func (n *Node) prepareAgain(ctx context.Context, slot Slot, g generation, found, share Share) error {
	if !isSameShare(found, share) {
		return fmt.Errorf("%w: another share by the same record is", ErrNotPrepared)
	}
	for _, key := range []string{slot.shareKey(g), slot.checksumKey(g)} {
		data, rev, err := n.store.Get(ctx, key)
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return errAgain
		case err != nil:
			return unavailable("reading what is prepared", err)
		}
		if err := n.replace(ctx, key, data, rev); err != nil {
			return err
		}
	}
	return nil
}

// prepared is verify for a generation that waits for its certificate.
func (n *Node) prepared(ctx context.Context, slot Slot, g generation) (Share, error) {
	share, _, err := n.verifyBy(ctx, slot, g, n.admitDraft)
	return share, err
}

// isOf tells whether a draft is that of the record with the hash.
func (n *Node) isOf(draft []byte, hash [sha256.Size]byte) bool {
	r, err := n.ParseDraft(draft)
	return err == nil && r.Hash == hash
}

// Prepared returns what is prepared and sound, and can still be committed, by
// version and then epoch, the newest first. Chain is the draft. Errors:
// api.ErrKeyUnavailable, api.ErrStorageUnavailable.
func (n *Node) Prepared(ctx context.Context, slot Slot) ([]Held, error) {
	there, err := n.look(ctx, slot)
	if err != nil && !errors.Is(err, api.ErrIntegrityFailed) {
		return nil, err
	}
	var all []Held
	newest := there.prepared()
	slices.Reverse(newest)
	for _, g := range newest {
		if n.rules.obsolete(there.commit, g, there.ages[g], n.cfg.Retain) {
			continue
		}
		share, err := n.prepared(ctx, slot, g)
		switch {
		case err == nil:
			all = append(all, Held{Version: g.version, Epoch: g.epoch, Sound: true, Share: share})
		case !isDamage(err):
			wipe(all)
			return nil, n.faulty(ctx, slot, g, err)
		}
	}
	return all, nil
}

func wipe(all []Held) {
	for _, held := range all {
		clear(held.Share.Data)
	}
}

// DropPrepared gives up what is prepared by the record of that hash, sound or
// not; what is committed stays. nil means that nothing of it is left. Errors:
// api.ErrKeyUnavailable, api.ErrStorageUnavailable.
func (n *Node) DropPrepared(ctx context.Context, slot Slot, record [sha256.Size]byte) error {
	there, err := n.look(ctx, slot)
	if err != nil && !errors.Is(err, api.ErrIntegrityFailed) {
		return err
	}
	for _, g := range there.prepared() { // where `version` is damaged, what it named is no draft
		claimed, err := n.claimedStatement(ctx, slot, g)
		if err != nil {
			return err
		}
		if n.isOf(claimed.Certificate, record) && !n.dropGeneration(ctx, slot, g) {
			return unavailable("dropping what is prepared", fmt.Errorf("generation %s is still there", g))
		}
	}
	return nil
}
