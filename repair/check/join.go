package check

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// Bounds of what one [Holder] keeps of redistributions.
const (
	// MoveLifetime is how long a session of a redistribution lives.
	MoveLifetime = 10 * time.Minute
	// MaxMoves are open at once. A caller has MaxMovesOfOne in each role of this
	// node; one more takes the place of its oldest, which it has given up.
	MaxMoves      = 32
	MaxMovesOfOne = 2
	// MaxMoveBytes bounds the shares, dealings and chains in memory, and
	// MaxMoveBytesOfOne those of the sessions of one caller. A session that is the
	// only one of its role may be larger: a generation alone has any size.
	MaxMoveBytes      = 128 << 20
	MaxMoveBytesOfOne = 96 << 20
)

var movePlaces = places{
	lifetime: MoveLifetime, sessions: MaxMoves, ofOne: 2 * MaxMovesOfOne,
	bytes: MaxMoveBytes, bytesOfOne: MaxMoveBytesOfOne, alone: true,
}

// moving is what a redistribution adds to a session.
type moving struct {
	// Of a dealer: the polynomials on which what it deals lies.
	coefficients [shamir.KeySize]byte
	drawn        bool
	// Of a new holder: by dealer, in their order, what it took, and its hash as it
	// came sealed. Of what does not open there are the points of the dealers.
	taken    [][]byte
	hashes   []digest
	unopened []byte
	// sum is the payloads of its new shares, and chains those of the batch.
	sum    []byte
	chains [][]byte
}

// Join begins a session of a redistribution with this node as a new holder, for
// a caller that holds shares of the batch. Errors: [ErrMalformed], [ErrBatch],
// [ErrBusy], [ErrSession], those of chains and proposal, and that of Permit.
func (h *Holder) Join(ctx context.Context, caller ed25519.PublicKey, q JoinRequest) (OpenAnswer, error) {
	if err := q.check(); err != nil {
		return OpenAnswer{}, err
	}
	s := &session{places: &movePlaces, isNew: true}
	h.giveWay(caller, true)
	return h.opened(s, caller, q.Replaces, func() (OpenAnswer, error) { return h.join(ctx, s, q) })
}

func (q *JoinRequest) check() error {
	if len(q.Chains) == 0 || len(q.Chains) > MaxRecords || sizeOf(q.Chains) > MaxChains {
		return fmt.Errorf("%w: %d chains of %d bytes", ErrMalformed, len(q.Chains), sizeOf(q.Chains))
	}
	return nil
}

func sizeOf(all [][]byte) (size int) {
	for _, data := range all {
		size += len(data)
	}
	return size
}

func (h *Holder) join(ctx context.Context, s *session, q JoinRequest) (OpenAnswer, error) {
	var records []*record.Record
	for i, chain := range q.Chains {
		r, err := record.Parse(chain)
		if err != nil {
			return OpenAnswer{}, fmt.Errorf("reading chain %d of a batch: %w", i, err)
		}
		if _, holds := r.Of(s.caller); !holds {
			return OpenAnswer{}, fmt.Errorf("%w: the caller holds no share of record %d", ErrSession, i)
		}
		records = append(records, r)
	}
	var err error
	if s.batch, err = NewBatch(records); err != nil {
		return OpenAnswer{}, err
	}
	s.chains = q.Chains
	if err := h.permit(ctx, s, q.Proposal.proposal()); err != nil {
		return OpenAnswer{}, err
	}
	if err := h.seat(s); err != nil {
		return OpenAnswer{}, err
	}
	return h.begin(s)
}

// giveWay drops what a caller has too many of to open one more.
func (h *Holder) giveWay(caller ed25519.PublicKey, isNew bool) {
	like := session{caller: caller, places: &movePlaces, isNew: isNew}
	var last []uint64
	h.mu.Lock()
	for _, s := range h.sessions {
		if like.sameCaller(s) && like.sameRole(s) {
			last = append(last, s.number)
		}
	}
	h.mu.Unlock()
	slices.Sort(last)
	if many := len(last) - MaxMovesOfOne; many >= 0 {
		h.drop(func(s *session) bool { return like.sameCaller(s) && like.sameRole(s) && s.number <= last[many] })
	}
}

// permit makes the batch of a session one that moves.
func (h *Holder) permit(ctx context.Context, s *session, p record.Proposal) error {
	if h.cfg.Permit == nil || h.cfg.Vote == nil || h.cfg.Store == nil {
		return fmt.Errorf("%w: no shares move here", ErrSession)
	}
	batch, err := h.rules.moving(s.batch, p)
	if err != nil {
		return err
	}
	if err := h.cfg.Permit(ctx, slices.Clone(batch.records), p); err != nil {
		return fmt.Errorf("permitting a redistribution: %w", err)
	}
	s.batch = batch
	return nil
}

// seat finds the new point of this node, and room for all that it will be dealt.
func (h *Holder) seat(s *session) error {
	own := h.key.PublicKey()
	i := slices.IndexFunc(s.batch.proposal.Holders, func(t record.Target) bool { return t.Key.Equal(own) })
	if i < 0 {
		return fmt.Errorf("%w: this node is no new holder", ErrMalformed)
	}
	s.x = s.batch.proposal.Holders[i].X
	k, size := s.batch.Threshold(), s.batch.payload()
	s.taken, s.hashes = make([][]byte, k), make([]digest, k)
	return h.reserve(s, k*(size+rows)+size+sizeOf(s.chains))
}
