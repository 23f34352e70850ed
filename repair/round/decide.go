package round

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A decision looks at a state that was just read and says what to swap it for,
// or that there is nothing to do (done, or an error). It is made anew whenever
// the swap was lost or its outcome is unknown, so it knows its own work again.
type decision func(s State) (next State, done bool, err error)

// claim tells the record of one round from that of all others.
type claim struct {
	serial      uint64
	coordinator string
	nonce       string
}

func (c claim) of(s State) bool {
	return s.Serial == c.serial && s.Coordinator == c.coordinator && s.Nonce == c.nonce
}

// open begins a round, over one that was left lying if need be.
func (r *rules) open(s State, own claim, proposal Summary, now time.Time) (State, bool, error) {
	switch {
	case s.Coordinator == own.coordinator && s.Nonce == own.nonce:
		if s.Phase != Open {
			return s, false, ErrLost
		}
		return s, true, nil
	case s.Phase.running() && s.held(now):
		return s, false, &HeldError{Coordinator: s.Coordinator, Phase: s.Phase, Since: time.Unix(0, s.ChangedNS)}
	case s.full():
		return s, false, fmt.Errorf("%w: %d, over %d records", ErrUnclosed, len(s.Committed), s.openBases())
	case s.Serial+1 >= maxSerial:
		return s, false, fmt.Errorf("%w: no serial is left", ErrMalformed)
	}
	next := s.ended(now)
	next.Line, next.Serial, next.Phase, next.Session = cmp.Or(s.Line, own.nonce), s.Serial+1, Open, Session{}
	next.Coordinator, next.Nonce, next.Proposal = own.coordinator, own.nonce, proposal
	next.OpenedNS, next.ChangedNS = now.UnixNano(), now.UnixNano()
	return next, false, nil
}

// held tells whether the coordinator was heard of within the lease. A time too
// far ahead was written under a clock that was wrong, and holds up nobody.
func (s State) held(now time.Time) bool {
	age := now.Sub(time.Unix(0, s.ChangedNS))
	return age < Lease && age > -Lease
}

// full tells whether one more committed session could not be remembered.
func (s State) full() bool {
	return s.openBases()-s.Bases.Count() >= maxOpenBases ||
		len(s.Committed) >= maxEnded && !slices.ContainsFunc(s.Committed, Ended.Closed)
}

// ended returns the state with the session that is voted on, if there is one,
// as aborted.
func (s State) ended(now time.Time) State {
	if s.Phase == Voting {
		s.Aborted = append(slices.Clone(s.Aborted), Ended{Session: s.Session, AtNS: now.UnixNano()})
		s.Aborted = s.Aborted[max(0, len(s.Aborted)-maxAborted):]
	}
	s.Bases = nil
	return s
}

// vote puts the session to the vote.
func (r *rules) vote(s State, own claim, session Session, bases Tags, now time.Time) (State, bool, error) {
	if !own.of(s) || !s.Phase.running() {
		return s, false, ErrLost
	}
	if s.Phase == Voting {
		if s.Session != session {
			return s, false, fmt.Errorf("%w: %s, but %s in this round", ErrNotVoted, session.Short(), s.Session.Short())
		}
		return s, true, nil
	}
	if err := r.fresh(s, session); err != nil {
		return s, false, err
	}
	if err := r.taken(s, bases); err != nil {
		return s, false, err
	}
	if s.openBases()+bases.Count() > maxOpenBases {
		return s, false, fmt.Errorf("%w: %d, over %d records", ErrUnclosed, len(s.Committed), s.openBases())
	}
	s.Phase, s.Session, s.Bases, s.ChangedNS = Voting, session, bases, now.UnixNano()
	return s, false, nil
}

// commit ends the vote. Whether it has is told by the lists alone, as others may
// have opened rounds since.
func (r *rules) commit(s State, own claim, session Session, now time.Time) (State, bool, error) {
	switch {
	case s.HasCommitted(session):
		return s, true, nil
	case s.HasAborted(session):
		return s, false, fmt.Errorf("%w: %s was aborted", ErrLost, session.Short())
	case !own.of(s) || s.Phase != Voting || s.Session != session:
		return s, false, fmt.Errorf("%w: of %s nothing is known any more, its rounds are %s", ErrUnknown, session.Short(), s.Phase)
	}
	s.Committed = slices.Clone(s.Committed)
	if len(s.Committed) >= maxEnded {
		i := max(0, slices.IndexFunc(s.Committed, Ended.Closed)) // open has seen to one
		s.Committed = slices.Delete(s.Committed, i, i+1)
	}
	s.Committed = append(s.Committed, Ended{Session: session, AtNS: now.UnixNano(), Bases: s.Bases})
	s.Phase, s.Bases, s.ChangedNS = Committed, nil, now.UnixNano()
	return s, false, nil
}

// abort ends the round. Asked says whether a commit of the session was ever
// asked for: if not, nobody else's record can mean one.
func (r *rules) abort(s State, own claim, session Session, asked bool, now time.Time) (State, bool, error) {
	switch {
	case asked && s.HasCommitted(session):
		return s, false, fmt.Errorf("%w: %s", ErrCommitted, session.Short())
	case own.of(s) && s.Phase.running():
		next := s.ended(now)
		next.Phase, next.ChangedNS = Aborted, now.UnixNano()
		return next, false, nil
	case asked && !s.HasAborted(session):
		return s, false, fmt.Errorf("%w: of %s nothing is known any more", ErrUnknown, session.Short())
	}
	return s, true, nil
}

// renew keeps the lease.
func (r *rules) renew(s State, own claim, now time.Time) (State, bool, error) {
	if !own.of(s) || !s.Phase.running() {
		return s, false, ErrLost
	}
	s.ChangedNS = now.UnixNano()
	return s, false, nil
}

// closed ends the guard of a committed session's bases.
func (s State) closed(session Session) (State, bool, error) {
	i := slices.IndexFunc(s.Committed, func(e Ended) bool { return e.Session == session })
	if i < 0 || s.Committed[i].Closed() {
		return s, true, nil
	}
	s.Committed = slices.Clone(s.Committed)
	s.Committed[i].Bases = nil
	return s, false, nil
}
