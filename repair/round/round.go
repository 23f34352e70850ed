package round

import (
	"context"
	"fmt"
	"sync"
)

// Round is one round of a group, of the coordinator that opened it. It is safe
// for concurrent use; steps wait for each other.
type Round struct {
	rounds *Rounds
	group  Group
	own    claim
	line   string

	mu      sync.Mutex // guards what follows, and is held during a step
	last    *seen      // nil: look first
	session Session
	asked   bool // to commit it
}

// Serial returns the number of the round in its line, and Line that, as State has
// them.
func (r *Round) Serial() uint64 { return r.own.serial }

// Line returns the line of the round.
func (r *Round) Line() string { return r.line }

// Vote puts a session over bases to the vote: nil once the registry says so. It
// may be repeated for the same session.
//
// ErrLost: the round was taken over. ErrTaken, ErrSpent, ErrUnclosed, ErrBases:
// this session cannot be voted on. ErrUnknown: ask again, or abort.
func (r *Round) Vote(ctx context.Context, session Session, bases [][32]byte) error {
	all, err := sorted(bases)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.step(ctx, func(s State) (State, bool, error) {
		return r.rounds.rules.vote(s, r.own, session, all.tags(), r.rounds.now())
	})
	if err != nil {
		return fmt.Errorf("putting a session to the vote: %w", err)
	}
	r.session = session
	return nil
}

// Commit is for the coordinator that has all votes, and has them where it finds
// them again after a crash. A nil error: the registry says that the session is
// committed, and the certificates may be shown.
//
// ErrLost: it never was committed and never will be, so that they must not be.
// Any other error, ErrUnknown above all: it may be committed, and Commit is to
// be called again until it says one or the other.
func (r *Round) Commit(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == (Session{}) {
		return fmt.Errorf("committing a session: %w", ErrNotVoted)
	}
	r.asked = true
	err := r.step(ctx, func(s State) (State, bool, error) {
		return r.rounds.rules.commit(s, r.own, r.session, r.rounds.now())
	})
	if err != nil {
		return fmt.Errorf("committing session %s: %w", r.session.Short(), err)
	}
	return nil
}

// Abort ends the round. A nil error: its session, if there was a vote, is not
// committed and never will be. ErrCommitted: it is. ErrUnknown: ask again.
func (r *Round) Abort(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.step(ctx, func(s State) (State, bool, error) {
		return r.rounds.rules.abort(s, r.own, r.session, r.asked, r.rounds.now())
	})
	if err != nil {
		return fmt.Errorf("aborting a round: %w", err)
	}
	return nil
}

// Renew keeps the round for another Lease. ErrLost: it is over, or was taken
// over. ErrUnknown: ask again before Lease has passed.
func (r *Round) Renew(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.step(ctx, func(s State) (State, bool, error) {
		return r.rounds.rules.renew(s, r.own, r.rounds.now())
	})
	if err != nil {
		return fmt.Errorf("renewing a round: %w", err)
	}
	return nil
}

// step carries a decision out. What it was refused by may have changed since: the
// next step looks again.
func (r *Round) step(ctx context.Context, decide decision) error {
	last, err := r.rounds.change(ctx, r.group, r.last, decide)
	r.last = last
	if err != nil {
		r.last = nil
	}
	return err
}
