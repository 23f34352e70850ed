package check

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
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
	spent
)

// session is one holder's part in one check.
type session struct {
	// Fixed when it was opened.
	caller  ed25519.PublicKey
	name    string // E
	expires time.Time
	size    int // of all shares, in bytes

	mu sync.Mutex // guards what follows

	batch   *Batch
	x       byte
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
}

// wipe ends a session.
func (s *session) wipe() {
	for _, share := range s.shares {
		clear(share)
	}
	for _, mask := range s.masks {
		clear(mask)
	}
	s.shares, s.masks, s.private, s.phase = nil, nil, nil, spent
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
	if !bytes.Equal(roster.keyOf(s.x), []byte(s.name)) {
		return fmt.Errorf("%w: it has another key of this holder", ErrSession)
	}
	s.roster, s.id, s.bound = roster, sessionOf(s.batch, roster), true
	return nil
}

// equal goes by what a session is made of: signatures were checked.
func (r *Roster) equal(other *Roster) bool {
	if !bytes.Equal(r.points(), other.points()) || !bytes.Equal(r.Dealers, other.Dealers) {
		return false
	}
	for i := range r.Members {
		if !bytes.Equal(r.Members[i].Key, other.Members[i].Key) {
			return false
		}
	}
	return true
}

func (s *session) acknowledge(bundle [][]byte) error {
	random, hash := make([]byte, ackSize), receivedOf(s.id, s.x, bundle)
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
