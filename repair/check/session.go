package check

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"
)

const ackSize = 32

// phase is how far a session has come at one holder.
type phase int

const (
	opened phase = iota
	received
	sealed
	answered // of a redistribution alone, before the vote
	spent
)

// session is one holder's part in one check.
type session struct {
	// Fixed when it was opened.
	caller  ed25519.PublicKey
	name    string // E
	expires time.Time
	number  uint64 // in the order of opening; like size guarded by the Holder
	size    int    // of all shares, in bytes
	isNew   bool
	places  *places

	mu sync.Mutex // guards what follows

	batch   *Batch
	x       byte // among old holders or among new ones
	shares  [][]byte
	private *ecdh.PrivateKey // crypto/ecdh has no way to wipe one

	phase  phase
	bound  bool // to roster, and so to id
	dealt  bool
	roster Roster
	id     digest
	masks  [][]byte // one for each dealer
	ack    Ack
	seed   digest

	moving // what a redistribution adds
}

// wipe ends a session.
func (s *session) wipe() {
	s.retire()
	clear(s.sum)
	s.sum, s.chains, s.phase = nil, nil, spent
}

// retire leaves of a session what voting needs.
func (s *session) retire() {
	for _, secret := range slices.Concat(s.shares, s.masks, s.taken) {
		clear(secret)
	}
	clear(s.coefficients[:])
	s.shares, s.masks, s.taken, s.private, s.phase = nil, nil, nil, nil, answered
}

// bind fixes who takes part, or wants it to be as it was fixed: a key E serves
// one session.
func (s *session) bind(r *rules, roster Roster) error {
	if s.phase == spent {
		return fmt.Errorf("%w: it is over", ErrSession)
	}
	if !s.bound {
		return s.bindFirst(r, roster)
	}
	if !roster.equal(&s.roster) {
		return fmt.Errorf("%w: others take part in it", ErrSession)
	}
	return nil
}

func (s *session) bindFirst(r *rules, roster Roster) error {
	if err := r.checkRoster(s.batch, roster); err != nil {
		return err
	}
	if !bytes.Equal(roster.keyFor(s.party()), []byte(s.name)) {
		return fmt.Errorf("%w: it has another key of this holder", ErrSession)
	}
	s.roster, s.id, s.bound = roster, sessionOf(s.batch, roster), true
	return nil
}

// equal goes by what a session is made of: signatures were checked.
func (r *Roster) equal(other *Roster) bool {
	same := func(a, b Member) bool { return a.X == b.X && bytes.Equal(a.Key, b.Key) }
	return bytes.Equal(r.Dealers, other.Dealers) &&
		slices.EqualFunc(r.Members, other.Members, same) && slices.EqualFunc(r.New, other.New, same)
}

func (s *session) sameKind(other *session) bool { return s.places == other.places }

func (s *session) sameCaller(other *session) bool {
	return s.sameKind(other) && s.caller.Equal(other.caller)
}

func (s *session) sameRole(other *session) bool {
	return s.sameKind(other) && s.isNew == other.isNew
}

func (s *session) party() Party { return Party{s.isNew, s.x} }

// acknowledge is for who has received what has the given hash.
func (s *session) acknowledge(hash digest) error {
	random := make([]byte, ackSize)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("drawing an ack: %w", err)
	}
	s.ack, s.phase = Ack{s.x, random, hash[:]}, received
	return nil
}

// publish computes the answer.
func (s *session) publish(r *rules) AnswerAnswer {
	a := shareProducts(s.seed, s.shares)
	r.mask(a[:], s.masks)
	answer := AnswerAnswer{Shares: a[:]}
	for _, values := range s.masks {
		answer.Columns = append(answer.Columns, columnProducts(s.seed, values))
	}
	return answer
}
