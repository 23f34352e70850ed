package check

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// Prepared is a new share that is to be made durable.
type Prepared struct {
	// Base is the chain of the record before, Record what comes after it, and
	// Draft its [record.Draft].
	Base   []byte
	Record *record.Record
	Draft  []byte
	Share  []byte
}

// Prepare has a new holder make its new shares durable and say so, once in a
// session, when the answers of all show it that they are right. Whatever comes of
// it ends the session, but for a request that is refused. Errors:
// [ErrSession], [ErrUnsound], and those of Vote and Store.
func (h *Holder) Prepare(ctx context.Context, caller ed25519.PublicKey, q VoteRequest) (VoteAnswer, error) {
	b, err := h.ballot(caller, q, true)
	if err != nil {
		return VoteAnswer{}, err
	}
	defer b.wipe()
	if err := h.ask(ctx, b); err != nil {
		return VoteAnswer{}, err
	}
	prepared, err := b.prepared()
	if err != nil {
		return VoteAnswer{}, err
	}
	if err := h.cfg.Store(ctx, prepared); err != nil {
		return VoteAnswer{}, fmt.Errorf("storing new shares: %w", err)
	}
	return b.vote(h.key, func(n int) []byte {
		sum := sha256.Sum256(prepared[n].Share)
		return sum[:]
	})
}

// Agree has an old holder vote for what the answers of all show it to be right,
// once in a session. Errors: [ErrSession], [ErrUnsound], and those of Vote.
func (h *Holder) Agree(ctx context.Context, caller ed25519.PublicKey, q VoteRequest) (VoteAnswer, error) {
	b, err := h.ballot(caller, q, false)
	if err != nil {
		return VoteAnswer{}, err
	}
	if err := h.ask(ctx, b); err != nil {
		return VoteAnswer{}, err
	}
	return b.vote(h.key, func(int) []byte { return nil })
}

// ballot is what is left of a session for its vote, taken out of it.
type ballot struct {
	party    Party
	id, seed digest
	batch    *Batch
	absent   []manifest.Holder
	next     []*record.Record
	bodies   [][]byte
	chains   [][]byte // of a new holder
	sum      []byte   // likewise
	shares   []Prepared
}

// ballot ends a session. What is asked and stored then takes its time, in which
// nobody waits for the session.
func (h *Holder) ballot(caller ed25519.PublicKey, q VoteRequest, isNew bool) (*ballot, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.phase != answered || s.isNew != isNew {
		return nil, fmt.Errorf("%w: there is no vote in it now", ErrSession)
	}
	if err := h.rules.checkAnswers(s, q); err != nil {
		return nil, err
	}
	b := &ballot{
		party: s.party(), id: s.id, seed: s.seed, batch: s.batch, absent: absentFrom(s.batch, s.roster),
		chains: s.chains,
	}
	if b.next, b.bodies, err = nextOf(s.batch, s.seed); err != nil {
		return nil, err
	}
	b.sum = slices.Clone(s.sum) // the session's is wiped
	h.end(s)
	return b, nil
}

// absentFrom are the old holders that could be asked and take no part.
func absentFrom(b *Batch, roster Roster) (absent []manifest.Holder) {
	for _, holder := range b.records[0].Holders {
		if _, ok := b.keyAt(holder.X); ok && roster.keyOf(holder.X) == nil {
			absent = append(absent, holder)
		}
	}
	return absent
}

func (h *Holder) ask(ctx context.Context, b *ballot) error {
	if err := h.cfg.Vote(ctx, b.seed, slices.Clone(b.batch.records), b.absent); err != nil {
		return fmt.Errorf("asking whether to vote: %w", err)
	}
	return nil
}

// prepared cuts the sum into the new shares.
func (b *ballot) prepared() ([]Prepared, error) {
	rest := b.sum
	for n, r := range b.next {
		draft, err := record.Draft(b.chains[n], b.bodies[n], b.seed)
		if err != nil {
			return nil, fmt.Errorf("drafting record %d of a batch: %w", n, err)
		}
		share := append(make([]byte, 0, r.ShareSize), b.party.X)
		share = append(share, rest[:r.ShareSize-1]...)
		rest = rest[r.ShareSize-1:]
		b.shares = append(b.shares, Prepared{b.chains[n], r, draft, share})
	}
	return b.shares, nil
}

func (b *ballot) wipe() {
	clear(b.sum)
	for _, p := range b.shares {
		clear(p.Share)
	}
}

// vote signs for each generation; hash returns that of the new share.
func (b *ballot) vote(key *integrity.NodeKey, hash func(n int) []byte) (VoteAnswer, error) {
	var answer VoteAnswer
	for n, r := range b.next {
		share := hash(n)
		signature, err := sign(key, voteMessage(b.party, r.Hash, b.seed, share))
		if err != nil {
			return VoteAnswer{}, err
		}
		answer.Votes = append(answer.Votes, VoteMessage{share, signature})
	}
	return answer, nil
}

// voteMessage has the hash of the new share where there is one.
func voteMessage(p Party, of, seed digest, share []byte) []byte {
	if p.New {
		return record.PreparedMessage(of, seed, p.X, [sha256.Size]byte(share))
	}
	return record.AgreedMessage(of, seed, p.X)
}
