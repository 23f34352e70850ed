package guardian

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Pull returns the current share, or, with a version, that one if it is still
// retained; with an epoch, the share of that redistribution, committed or
// prepared. Every byte was verified in this call. Errors:
// api.ErrOwnershipRequired, api.ErrOwnershipInvalid, api.ErrNotFound,
// api.ErrIntegrityFailed (the slot is then quarantined),
// api.ErrKeyUnavailable, api.ErrStorageUnavailable.
func (n *Node) Pull(ctx context.Context, slot Slot, version, epoch *uint64, by Caller) (Share, error) {
	if epoch != nil {
		return n.pullEpoch(ctx, slot, version, *epoch, by)
	}
	share, st, err := n.read(ctx, slot, version, by)
	share.CreatedNS, share.UpdatedNS = st.CreatedNS, st.UpdatedNS
	return share, err
}

// read is Pull without an epoch, and with the statement.
func (n *Node) read(ctx context.Context, slot Slot, version *uint64, by Caller) (Share, integrity.Statement, error) {
	from, got, err := n.readWithGuess(ctx, slot, version)
	for range maxDecisions {
		if err != nil {
			return Share{}, integrity.Statement{}, err
		}
		if err := n.rules.admit(n.cfg.Ownership, from.standing(), by); err != nil {
			return Share{}, integrity.Statement{}, err
		}
		wanted, ok := n.wanted(from.commit, version)
		if !ok {
			return Share{}, integrity.Statement{}, api.ErrNotFound
		}
		if got.generation != wanted {
			got = n.loadAs(ctx, slot, wanted)
		}
		if got.err == nil {
			if wanted.version == from.commit.current {
				n.highest.note(got.share.Threshold)
			}
			return got.share, got.statement, nil
		}
		// The generation may have gone while it was read: only if `version`
		// still names it is that a fault of the data.
		before := from.rev
		if from, err = n.readCommit(ctx, slot); err == nil && !n.rules.mayReread(from.rev != before) {
			return Share{}, integrity.Statement{}, n.faulty(ctx, slot, wanted, got.err)
		}
		got = loaded{}
	}
	return Share{}, integrity.Statement{}, unavailable("reading share", errors.New("it changes too fast"))
}

func (n *Node) wanted(c *commit, version *uint64) (generation, bool) {
	switch {
	case c == nil || version == nil && c.live == nil:
		return generation{}, false
	case version == nil:
		return *c.live, true
	}
	return c.find(*version)
}

// readWithGuess reads `version` and, where an earlier read lets it guess which
// generation will be named, that generation at the same time.
func (n *Node) readWithGuess(ctx context.Context, slot Slot, version *uint64) (from stored, got loaded, err error) {
	guess, _ := n.guesses.Get(slot)
	g, ok := n.wanted(guess.commit, version)
	if !ok {
		from, err = n.readCommit(ctx, slot)
		return from, loaded{}, err
	}
	all := backend.GetEach(ctx, n.store, slot.commitKey(), slot.shareKey(g), slot.checksumKey(g))
	from, err = n.openFetched(ctx, slot, all[0])
	from, err = n.judgeFetched(ctx, slot, from, err)
	if err != nil {
		return from, loaded{}, err
	}
	share, st, errLoad := n.openGeneration(ctx, slot, g, all[1], all[2])
	return from, loaded{g, share, st, errLoad}, nil
}

// loaded is one generation as it was read, or why it could not be.
type loaded struct {
	generation generation
	share      Share
	statement  integrity.Statement
	err        error
}

func (n *Node) loadAs(ctx context.Context, slot Slot, g generation) loaded {
	share, st, err := n.load(ctx, slot, g)
	return loaded{g, share, st, err}
}

// load reads and verifies one generation. Errors are the backend's and
// integrity's, unjudged: see faulty.
func (n *Node) load(ctx context.Context, slot Slot, g generation) (Share, integrity.Statement, error) {
	all := backend.GetEach(ctx, n.store, slot.shareKey(g), slot.checksumKey(g))
	return n.openGeneration(ctx, slot, g, all[0], all[1])
}

func (n *Node) openGeneration(ctx context.Context, slot Slot, g generation, share, checksum backend.Got) (Share, integrity.Statement, error) {
	if err := errors.Join(share.Err, checksum.Err); err != nil {
		return Share{}, integrity.Statement{}, fmt.Errorf("reading generation %s: %w", g, err)
	}
	st, err := n.sealer.OpenStatement(ctx, checksum.Data, share.Data)
	if err != nil {
		return Share{}, integrity.Statement{}, fmt.Errorf("opening generation %s: %w", g, err)
	}
	if st.Kind != integrity.KindShare || st.Identity != slot.Identity || st.Name != slot.Name ||
		st.Version != g.version || st.Epoch != g.epoch || st.Attempt != g.attempt {
		return Share{}, integrity.Statement{}, fmt.Errorf("%w: generation %s holds what was sealed for another place", integrity.ErrMismatch, g)
	}
	return Share{
		Data: share.Data, Version: st.Version, Threshold: st.Threshold,
		Split: st.Split, Manifest: st.Manifest, Epoch: st.Epoch, Chain: st.Certificate,
	}, st, nil
}

// faulty judges why a generation that `version` names could not be loaded.
func (n *Node) faulty(ctx context.Context, slot Slot, g generation, err error) error {
	switch {
	case errors.Is(err, integrity.ErrKeyUnknown):
		return fmt.Errorf("%w: %w", api.ErrKeyUnavailable, err)
	case isDamage(err):
		return n.damaged(ctx, slot, g.String(), err)
	}
	return unavailable("reading share", err)
}
