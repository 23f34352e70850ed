package guardian

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Push stores a share at a version above the current one; nil means durable
// and committed. The same bytes can always be pushed again. Errors:
// api.ErrOwnershipRequired, api.ErrOwnershipInvalid, api.ErrInvalidManifest,
// api.ErrQuotaExceeded, *api.VersionConflictError, api.ErrIntegrityFailed (what
// is stored cannot be trusted to say which version it is), what by.Create
// refuses with, api.ErrKeyUnavailable, and api.ErrStorageUnavailable, after
// which the share may or may not have been stored.
func (n *Node) Push(ctx context.Context, slot Slot, share Share, by Caller) error {
	share.Epoch, share.Chain = 0, nil
	share, err := n.admitManifest(slot, share)
	if err != nil {
		return err
	}
	p := &pushing{Node: n, slot: slot, share: share, by: by, ours: generation{version: share.Version, attempt: n.newAttempt()}}
	defer n.ages.write(slot, p.ours)()
	started := time.Now()
	from, err := p.begin(ctx)
	if err != nil {
		p.abandon()
		return err
	}
	doubt := false // whether a compare-and-swap of ours may have been applied
	var lost error // why the last one failed
	for range maxDecisions {
		next, err := p.decide(ctx, from, doubt)
		if err != nil {
			return err
		}
		if !n.rules.mayCommit(time.Since(started), n.cfg.RequestTimeout) {
			return unavailable("committing", errors.New("the request took too long to be committed safely"))
		}
		rev, err := p.swap(ctx, from, next)
		if lost = err; lost == nil {
			n.committed(slot, from.commit, stored{commit: next, rev: rev}, share)
			return nil
		}
		doubt = doubt || !errors.Is(lost, backend.ErrConflict)
		base := from.rev
		if from, err = n.readCommit(ctx, slot); err != nil {
			return err
		}
		if !doubt && !from.commit.names(p.ours) {
			continue
		}
		switch n.rules.resolve(from.commit, from.rev == base, p.ours) {
		case outcomeCommitted:
			if err := n.makeDurable(ctx, slot, from); err != nil {
				return err
			}
			n.committed(slot, before(from.commit), stored{commit: from.commit}, share)
			return nil
		case outcomeUnknown:
			return unavailable("committing", errors.New("the answer was lost and others have committed since"))
		case outcomeAgain:
			doubt = from.rev == base
		}
	}
	return unavailable("committing", fmt.Errorf("giving up after %d attempts: %w", maxDecisions, lost))
}

// pushing is a push under way.
type pushing struct {
	*Node
	slot  Slot
	share Share
	by    Caller
	ours  generation
	// unwritten are the objects of the generation as long as they are not put: a
	// [backend.Batcher] puts them together with `version`. written: some may be
	// there.
	unwritten []backend.Object
	written   bool
}

// begin reads `version`. Side by side it puts the objects of the generation; where
// these go together with the compare-and-swap, a guess at `version` will do.
func (p *pushing) begin(ctx context.Context) (from stored, err error) {
	now := time.Now().UnixNano()
	p.share.CreatedNS, p.share.UpdatedNS = now, now
	checksum, err := p.sealShare(p.slot, p.ours, p.share, standing{}.after(p.by, p.share))
	if err != nil {
		return stored{}, err
	}
	if p.batcher != nil {
		p.unwritten = []backend.Object{
			{Key: p.slot.shareKey(p.ours), Data: p.share.Data},
			{Key: p.slot.checksumKey(p.ours), Data: checksum},
		}
		if from, ok := p.guess(); ok {
			return from, nil
		}
		return p.readCommit(ctx, p.slot)
	}
	p.written = true
	var errRead, errWrite error
	backend.SideBySide(
		func() { from, errRead = p.readCommit(ctx, p.slot) },
		func() { errWrite = p.create(ctx, p.slot, p.ours, p.share.Data, checksum) },
	)
	return from, cmp.Or(errRead, errWrite)
}

// guess returns `version` as it was seen last, if that admits us without anything else
// being looked at: whether it is still so the compare-and-swap finds out, and nobody is
// refused for what was true once.
func (p *pushing) guess() (from stored, ok bool) {
	from, ok = p.guesses.Get(p.slot)
	return from, ok && !from.rev.IsZero() && from.commit.live != nil && p.share.Version > from.commit.current &&
		p.rules.admit(p.cfg.Ownership, from.standing(), p.by) == nil && admitShare(from.standing(), p.share) == nil &&
		p.cfg.MaxBytes == 0
}

// decide returns what `version` shall say next, or why not, and then has our
// objects dropped. While a compare-and-swap of ours may still land on what is
// stored, that state was found to admit us: it is neither asked about again nor
// are our objects touched.
func (p *pushing) decide(ctx context.Context, from stored, doubt bool) (*commit, error) {
	if !doubt {
		if err := p.admitPush(ctx, p.slot, p.share, p.by, from); err != nil {
			p.dropOurs(ctx)
			return nil, err
		}
	}
	next, ok := p.rules.push(from.commit, p.ours, p.cfg.Retain)
	if !ok {
		return nil, p.refuse(ctx, from)
	}
	next.standing = from.standing().after(p.by, p.share)
	if !doubt {
		if err := p.roomForShare(ctx, p.slot, p.share, next, p.unwritten...); err != nil {
			p.dropOurs(ctx)
			return nil, err
		}
	}
	return next, nil
}

// swap is the compare-and-swap of `version`. It tells the new revision only where the
// storage takes batches.
func (p *pushing) swap(ctx context.Context, from stored, next *commit) (backend.Revision, error) {
	if p.batcher == nil {
		return backend.Revision{}, p.Node.swap(ctx, p.slot, from.rev, next)
	}
	data, err := sealCommit(p.sealer, p.slot, next)
	if err != nil {
		return backend.Revision{}, fmt.Errorf("sealing commit: %w", err)
	}
	p.written = true
	return p.batcher.Apply(ctx, backend.Batch{
		Create: p.unwritten,
		Put:    backend.Object{Key: p.slot.commitKey(), Data: data},
		Rev:    from.rev,
		Drop:   p.replaced(from.commit, next),
	})
}

// replaced are the objects that one commit names and the next does not.
func (p *pushing) replaced(before, next *commit) (keys []string) {
	for _, g := range before.named() {
		if !next.names(g) {
			keys = append(keys, p.slot.shareKey(g), p.slot.checksumKey(g))
		}
	}
	return keys
}

// dropOurs removes objects that `version` does not name and never will.
func (p *pushing) dropOurs(ctx context.Context) {
	if p.written {
		p.dropGeneration(ctx, p.slot, p.ours)
	}
}

// abandon is dropOurs, later.
func (p *pushing) abandon() {
	if p.written {
		p.Node.abandon(p.slot, p.ours)
	}
}

// abandon drops the objects of a generation that `version` does not name and
// never will.
func (n *Node) abandon(slot Slot, ours generation) {
	n.background.do(func(ctx context.Context) { n.dropGeneration(ctx, slot, ours) })
}

// create puts the objects of a generation that nobody else can name.
func (n *Node) create(ctx context.Context, slot Slot, ours generation, data, checksum []byte) error {
	var errShare, errChecksum error
	backend.SideBySide(
		func() { _, errShare = n.store.Put(ctx, slot.shareKey(ours), data, backend.Revision{}) },
		func() { _, errChecksum = n.store.Put(ctx, slot.checksumKey(ours), checksum, backend.Revision{}) },
	)
	if err := errors.Join(errShare, errChecksum); err != nil {
		return unavailable("writing share", err)
	}
	return nil
}

// sealShare is the checksum.bin of a share, with the times that it says.
func (n *Node) sealShare(slot Slot, ours generation, share Share, known standing) ([]byte, error) {
	checksum, err := n.sealer.SealStatement(integrity.Statement{
		Kind:     integrity.KindShare,
		Identity: slot.Identity, Name: slot.Name,
		Version: ours.version, Epoch: ours.epoch, Attempt: ours.attempt,
		Owned: known.owned, Proof: known.proof,
		Threshold: share.Threshold, Split: share.Split, Manifest: share.Manifest, Certificate: share.Chain,
		CreatedNS: share.CreatedNS, UpdatedNS: share.UpdatedNS,
	}, share.Data)
	if err != nil {
		return nil, fmt.Errorf("sealing share: %w", err)
	}
	return checksum, nil
}

// swap is the compare-and-swap of `version`.
func (n *Node) swap(ctx context.Context, slot Slot, from backend.Revision, next *commit) error {
	data, err := sealCommit(n.sealer, slot, next)
	if err != nil {
		return fmt.Errorf("sealing commit: %w", err)
	}
	_, err = n.store.Put(ctx, slot.commitKey(), data, from)
	return err
}

// committed does what can wait until a push is safe: it tells the census, and
// has dropped what the new commit does not name.
func (n *Node) committed(slot Slot, before *commit, now stored, share Share) {
	n.guesses.Add(slot, now)
	n.highest.note(share.Threshold)
	if before == nil || before.live == nil {
		n.census.add(1)
	}
	// A batch has dropped what it replaced. Where there is more, a crash has left it
	// for the next Walk.
	if n.batcher != nil && !n.marked.has(slot) {
		return
	}
	n.background.do(func(ctx context.Context) {
		n.unmark(ctx, slot)
		n.dropReplaced(ctx, slot, before, now.commit)
	})
}

// before is what a commit replaced, as far as it tells.
func before(c *commit) *commit {
	if len(c.older) == 0 {
		return nil
	}
	return &commit{current: c.older[0].version, live: &c.older[0]}
}

// refuse answers a push that is not above the stored version, and drops its
// objects, which nothing will ever name.
func (p *pushing) refuse(ctx context.Context, from stored) error {
	conflict := &api.VersionConflictError{Current: from.commit.current}
	if from.commit.live != nil && from.commit.current == p.share.Version {
		same, err := p.sameAsStored(ctx, p.slot, p.share, p.by, from)
		if err != nil {
			return err
		}
		conflict.Stored = same
	}
	p.abandon()
	return conflict
}

// sameAsStored tells whether the current share is the one pushed. Saying so is
// an acknowledgement, so `version` is made durable first: the one who wrote it
// may have been killed before it got that far. What the caller has proved
// beyond that is kept with it.
func (n *Node) sameAsStored(ctx context.Context, slot Slot, share Share, by Caller, from stored) (bool, error) {
	_, st, err := n.load(ctx, slot, *from.commit.live)
	if err != nil {
		if now, errRead := n.readCommit(ctx, slot); errRead != nil || now.rev != from.rev {
			return false, unavailable("comparing with what is stored", err)
		}
		return false, n.faulty(ctx, slot, *from.commit.live, err)
	}
	if !isSame(st, share) {
		return false, nil
	}
	if known := from.standing().after(by, share); known != from.standing() {
		next := *from.commit
		next.standing = known
		if err := n.swap(ctx, slot, from.rev, &next); err != nil {
			return false, unavailable("keeping what was proved", err)
		}
		return true, nil
	}
	if err := n.makeDurable(ctx, slot, from); err != nil {
		return false, err
	}
	return true, nil
}

// isSame tells whether a statement is that of the share pushed. Of one that was
// redistributed since, the manifest tells.
func isSame(st integrity.Statement, share Share) bool {
	if st.Epoch > 0 {
		return len(share.Manifest) > 0 && slices.Equal(st.Manifest, share.Manifest)
	}
	sum := sha256.Sum256(share.Data)
	return st.SHA256 == hex.EncodeToString(sum[:]) && st.Threshold == share.Threshold &&
		st.Split == share.Split && slices.Equal(st.Manifest, share.Manifest)
}

// makeDurable puts `version` again as it is: that it can be read does not make it
// durable, and after a crash it may be the one before again. A lost race or answer leaves the
// caller without proof, so it may not acknowledge.
func (n *Node) makeDurable(ctx context.Context, slot Slot, from stored) error {
	if len(from.raw) == 0 { // a guess: to put that would empty it
		return unavailable("making commit durable", errors.New("it was not read"))
	}
	if _, err := n.store.Put(ctx, slot.commitKey(), from.raw, from.rev); err != nil {
		return unavailable("making commit durable", err)
	}
	return nil
}
