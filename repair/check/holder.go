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
	"github.com/vault-guardian/guardian/repair/record"
)

// Bounds of what one [Holder] keeps.
const (
	// Lifetime is how long a session lives, whatever happens in it.
	Lifetime = 60 * time.Second
	// MaxSessions are open at once, and MaxSessionsOfOne those of one caller.
	MaxSessions      = 64
	MaxSessionsOfOne = 16
	// MaxOpenBytes bounds the shares in memory, and MaxOpenBytesOfOne those of the
	// sessions of one caller: two of the largest batches.
	MaxOpenBytes      = 64 << 20
	MaxOpenBytesOfOne = MaxOpenBytes / 4
)

// Source returns the record of a generation and the sound share that this node
// holds of it: a copy, as it is wiped after use. Where there is none, the error
// wraps [ErrNoShare]; any other error refuses the whole check. It is called from
// many goroutines.
type Source func(ctx context.Context, name Name) (*record.Record, []byte, error)

// Holder answers checks for one node. It is safe for concurrent use, and keeps
// sessions in memory alone.
type Holder struct {
	key    *integrity.NodeKey
	source Source
	now    func() time.Time
	rules  rules

	mu       sync.Mutex
	sessions map[string]*session // by E
	opening  map[*session]bool   // those whose shares are being read
	size     int                 // of all shares, of either
}

// NewHolder returns a Holder that signs with the node's key and goes by the
// clock given.
func NewHolder(key *integrity.NodeKey, source Source, now func() time.Time) *Holder {
	return &Holder{
		key: key, source: source, now: now, rules: pageRules,
		sessions: map[string]*session{}, opening: map[*session]bool{},
	}
}

// Sweep wipes expired sessions. Every step does so too; whoever wants them gone
// on a quiet node calls it now and then.
func (h *Holder) Sweep() {
	now := h.now()
	h.drop(func(s *session) bool { return !now.Before(s.expires) })
}

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
	h.size -= s.size
}

// enter takes a place for a session, before anything is read for it.
func (h *Holder) enter(s *session) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ofOne, _ := h.usedBy(s.caller)
	if len(h.sessions)+len(h.opening) >= MaxSessions || ofOne >= MaxSessionsOfOne {
		return ErrBusy
	}
	h.opening[s] = true
	return nil
}

// usedBy returns the sessions and bytes of one caller, and is for who has locked
// the Holder.
func (h *Holder) usedBy(caller ed25519.PublicKey) (sessions, size int) {
	count := func(s *session) {
		if s.caller.Equal(caller) {
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
}

// reserve counts bytes before they are kept.
func (h *Holder) reserve(s *session, size int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ofOne := h.usedBy(s.caller); h.size+size > MaxOpenBytes || ofOne+size > MaxOpenBytesOfOne {
		return ErrBusy
	}
	h.size += size
	s.size += size
	return nil
}

func (h *Holder) release(s *session) {
	s.wipe()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.opening, s)
	h.size -= s.size
}

// Open begins a session with a batch of which the caller holds shares too.
// Errors: [ErrMalformed], [ErrBatch], [ErrTooFew], [ErrBusy], and those of the
// Source.
func (h *Holder) Open(ctx context.Context, caller ed25519.PublicKey, q OpenRequest) (OpenAnswer, error) {
	if err := q.check(); err != nil {
		return OpenAnswer{}, err
	}
	h.drop(func(s *session) bool { return s.caller.Equal(caller) && s.name == string(q.Replaces) })
	h.Sweep()
	s := &session{caller: bytes.Clone(caller)}
	if err := h.enter(s); err != nil {
		return OpenAnswer{}, err
	}
	answer, err := h.open(ctx, s, q)
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
	if err := s.admit(h.key.PublicKey(), q.Participants); err != nil {
		return OpenAnswer{}, err
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return OpenAnswer{}, fmt.Errorf("making a session key: %w", err)
	}
	key := private.PublicKey().Bytes()
	s.private, s.name, s.expires = private, string(key), h.now().Add(Lifetime)
	signature, err := sign(h.key, openMessage(s.batch.hash, s.x, key))
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
		r, share, err := h.source(ctx, name)
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
// that it has for this one.
func isFor(caller, own ed25519.PublicKey, name Name, r *record.Record, share []byte) bool {
	_, holds := r.Of(caller)
	self, ok := r.Of(own)
	return holds && ok && bytes.Equal(name.Hash, r.Hash[:]) && r.Check(self.X, share) == nil
}

// admit wants this node among those proposed.
func (s *session) admit(own ed25519.PublicKey, participants []byte) error {
	self, _ := s.batch.records[0].Of(own)
	s.x = self.X
	if err := checkParticipants(s.batch, participants); err != nil {
		return err
	}
	if bytes.IndexByte(participants, s.x) < 0 {
		return fmt.Errorf("%w: this holder is not to take part", ErrMalformed)
	}
	return nil
}
