package check

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// Bounds of what one [Holder] keeps.
const (
	// Lifetime is how long a session of an audit lives, whatever happens in it.
	Lifetime = 60 * time.Second
	// MaxSessions are open at once, and MaxSessionsOfOne those of one caller.
	MaxSessions      = 64
	MaxSessionsOfOne = 16
	// MaxOpenBytes bounds the shares in memory, and MaxOpenBytesOfOne those of the
	// sessions of one caller: two of the largest batches.
	MaxOpenBytes      = 64 << 20
	MaxOpenBytesOfOne = MaxOpenBytes / 4
)

// places are the bounds of one kind of session.
type places struct {
	lifetime          time.Duration
	sessions, ofOne   int
	bytes, bytesOfOne int
	alone             bool // one of its role may have any size
}

var auditPlaces = places{
	lifetime: Lifetime, sessions: MaxSessions, ofOne: MaxSessionsOfOne,
	bytes: MaxOpenBytes, bytesOfOne: MaxOpenBytesOfOne,
}

// Source returns the record of a generation and the sound share that this node
// holds of it: a copy, as it is wiped after use. Where there is none, the error
// wraps [ErrNoShare]; any other error refuses the whole check. It is called from
// many goroutines.
type Source func(ctx context.Context, ref record.Ref) (*record.Record, []byte, error)

// Config is what a Holder asks of the node. All are called from many goroutines.
// Without the last three it takes part in audits alone.
type Config struct {
	Source Source
	// Permit returns nil if the node may take part in moving the batch as is
	// proposed. That the owners' manifests permit it was checked, but not that the
	// new holders are members.
	Permit func(ctx context.Context, batch []*record.Record, p record.Proposal) error
	// Vote returns nil if the node may vote in the session of this seed for what
	// comes after the records of the batch. It is asked once for each role of the
	// node, before anything is stored or signed, and sees to it that the node votes
	// in no two sessions over one record. Absent are the old holders that take no part: if
	// one has a sound share and could, it returns [ErrObjected].
	Vote func(ctx context.Context, seed [32]byte, batch []*record.Record, absent []manifest.Holder) error
	// Store makes new shares durable, all of them, before it returns nil. They are
	// wiped afterwards.
	Store func(ctx context.Context, shares []Prepared) error
}

// Holder answers checks and redistributions for one node. It is safe for
// concurrent use, and keeps sessions in memory alone.
type Holder struct {
	key   *integrity.NodeKey
	cfg   Config
	now   func() time.Time
	rules rules

	mu       sync.Mutex
	sessions map[string]*session // by E
	opening  map[*session]bool   // those whose shares are being read
	kept     uint64              // sessions, ever
}

// NewHolder returns a Holder that signs with the node's key and goes by the
// clock given.
func NewHolder(key *integrity.NodeKey, cfg Config, now func() time.Time) *Holder {
	return &Holder{
		key: key, cfg: cfg, now: now, rules: pageRules,
		sessions: map[string]*session{}, opening: map[*session]bool{},
	}
}

// Sweep wipes expired sessions. Every step does so too; whoever wants them gone
// on a quiet node calls it now and then.
func (h *Holder) Sweep() {
	now := h.now()
	h.drop(func(s *session) bool { return !now.Before(s.expires) })
}

// Close wipes all sessions.
func (h *Holder) Close() { h.drop(func(*session) bool { return true }) }

// drop takes sessions out before it waits for who is at work on one.
func (h *Holder) drop(which func(*session) bool) {
	var gone []*session
	h.mu.Lock()
	for _, s := range h.sessions {
		if which(s) {
			h.forget(s)
			gone = append(gone, s)
		}
	}
	h.mu.Unlock()
	for _, s := range gone {
		s.mu.Lock()
		s.wipe()
		s.mu.Unlock()
	}
}

// find returns a session of the caller, locked.
func (h *Holder) find(caller ed25519.PublicKey, key []byte) (*session, error) {
	h.Sweep()
	h.mu.Lock()
	s := h.sessions[string(key)]
	h.mu.Unlock()
	if s == nil || !s.caller.Equal(caller) {
		return nil, fmt.Errorf("%w: not known here", ErrSession)
	}
	s.mu.Lock()
	return s, nil
}

// end leaves no trace of a session that the rules have spent.
func (h *Holder) end(s *session) {
	h.rules.spend(s)
	if s.phase != spent {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.name] == s {
		h.forget(s)
	}
}

// forget is for who has locked the Holder.
func (h *Holder) forget(s *session) {
	delete(h.sessions, s.name)
}

// enter takes a place for a session, before anything is read for it.
func (h *Holder) enter(s *session) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, _ := h.used(s.sameKind)
	ofOne, _ := h.used(s.sameCaller)
	if all >= s.places.sessions || ofOne >= s.places.ofOne {
		return ErrBusy
	}
	h.opening[s] = true
	return nil
}

// used counts sessions and their bytes, and is for who has locked the Holder.
func (h *Holder) used(by func(*session) bool) (sessions, size int) {
	count := func(s *session) {
		if by(s) {
			sessions++
			size += s.size
		}
	}
	for _, s := range h.sessions {
		count(s)
	}
	for s := range h.opening {
		count(s)
	}
	return sessions, size
}

// keep takes in a session that was opened.
func (h *Holder) keep(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.opening, s)
	h.sessions[s.name] = s
	h.kept++
	s.number = h.kept
}

// reserve counts bytes before they are kept.
func (h *Holder) reserve(s *session, size int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, all := h.used(s.sameKind)
	_, ofOne := h.used(s.sameCaller)
	if all+size > s.places.bytes || ofOne+size > s.places.bytesOfOne {
		if beside, _ := h.used(s.sameRole); !s.places.alone || beside > 1 {
			return ErrBusy
		}
	}
	s.size += size
	return nil
}

// shrink counts the bytes of a session anew, once some are wiped.
func (h *Holder) shrink(s *session, size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.name] == s {
		s.size = size
	}
}

func (h *Holder) release(s *session) {
	s.wipe()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.opening, s)
}

// Open begins a session with a batch of which the caller holds shares too.
// Errors: [ErrMalformed], [ErrBatch], [ErrTooFew], [ErrBusy], those of the
// Source, and in a redistribution those of the proposal and of Permit.
func (h *Holder) Open(ctx context.Context, caller ed25519.PublicKey, q OpenRequest) (OpenAnswer, error) {
	if err := q.check(); err != nil {
		return OpenAnswer{}, err
	}
	s := &session{places: &auditPlaces}
	if q.Proposal != nil {
		s.places = &movePlaces
		h.giveWay(caller, false)
	}
	return h.opened(s, caller, q.Replaces, func() (OpenAnswer, error) { return h.open(ctx, s, q) })
}

// opened gives a session a place and has it opened, in place of one of this
// caller that it has given up.
func (h *Holder) opened(s *session, caller ed25519.PublicKey, replaces []byte, open func() (OpenAnswer, error)) (OpenAnswer, error) {
	h.drop(func(s *session) bool { return s.caller.Equal(caller) && s.name == string(replaces) })
	h.Sweep()
	s.caller = bytes.Clone(caller)
	if err := h.enter(s); err != nil {
		return OpenAnswer{}, err
	}
	answer, err := open()
	if err != nil || len(answer.Lacking) > 0 {
		h.release(s)
	}
	return answer, err
}

func (h *Holder) open(ctx context.Context, s *session, q OpenRequest) (OpenAnswer, error) {
	lacking, err := h.gather(ctx, s, q)
	if err != nil || len(lacking) > 0 {
		return OpenAnswer{Lacking: lacking}, err
	}
	if err := h.admit(s, q.Participants); err != nil {
		return OpenAnswer{}, err
	}
	if q.Proposal != nil {
		if err := h.permit(ctx, s, q.Proposal.proposal()); err != nil {
			return OpenAnswer{}, err
		}
	}
	return h.begin(s)
}

// begin makes the key of a session and keeps it.
func (h *Holder) begin(s *session) (OpenAnswer, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return OpenAnswer{}, fmt.Errorf("making a session key: %w", err)
	}
	key := private.PublicKey().Bytes()
	s.private, s.name, s.expires = private, string(key), h.now().Add(s.places.lifetime)
	signature, err := sign(h.key, openMessageOf(s.batch.hash, s.party(), key))
	if err != nil {
		return OpenAnswer{}, err
	}
	h.keep(s)
	return OpenAnswer{Key: key, Signature: signature}, nil
}

// gather reads the shares, and says of which there is none for this caller.
func (h *Holder) gather(ctx context.Context, s *session, q OpenRequest) (lacking []int, err error) {
	var records []*record.Record
	for i, name := range q.Batch {
		r, share, err := h.cfg.Source(ctx, name)
		switch {
		case errors.Is(err, ErrNoShare):
			lacking = append(lacking, i)
			continue
		case err != nil:
			return nil, fmt.Errorf("reading share %d of a batch: %w", i, err)
		case !isFor(s.caller, h.key.PublicKey(), name, r, share):
			clear(share)
			lacking = append(lacking, i)
			continue
		}
		s.shares, records = append(s.shares, share), append(records, r)
		if err := h.reserve(s, len(share)); err != nil {
			return nil, err
		}
		if s.size > MaxBytes {
			return nil, fmt.Errorf("%w: shares of more than %d bytes", ErrBatch, MaxBytes)
		}
	}
	if len(lacking) == 0 {
		s.batch, err = NewBatch(records)
	}
	return lacking, err
}

// isFor wants the record that was named, with both as holders, and the share
// that it has for this one. Where it has no hash, the check itself tells.
func isFor(caller, own ed25519.PublicKey, ref record.Ref, r *record.Record, share []byte) bool {
	_, holds := r.Of(caller)
	self, ok := r.Of(own)
	if !holds || !ok || !bytes.Equal(ref.Hash, r.Hash[:]) {
		return false
	}
	err := r.Check(self.X, share)
	return err == nil || errors.Is(err, record.ErrNoHash)
}

// admit wants this node among those proposed.
func (h *Holder) admit(s *session, participants []byte) error {
	self, _ := s.batch.records[0].Of(h.key.PublicKey())
	s.x = self.X
	if err := h.rules.checkParticipants(s.batch, participants); err != nil {
		return err
	}
	if bytes.IndexByte(participants, s.x) < 0 {
		return fmt.Errorf("%w: this holder is not to take part", ErrMalformed)
	}
	return nil
}
