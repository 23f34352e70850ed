package round

import (
	"context"
	"fmt"

	"github.com/vault-guardian/guardian/cluster"
)

// The checks without which two sessions over one base could be committed are
// functions. They are values so that a test can take out one rule at a time and
// see that it was needed.
type rules struct {
	swap    func(ctx context.Context, r Registry, key string, data []byte, rev cluster.Revision) (cluster.Revision, error)
	fresh   func(s State, session Session) error
	taken   func(s State, bases Tags) error
	voting  func(s State, session Session) error
	listed  func(s State, bases Tags) error
	aborted func(s State, session Session) bool
	once    func(ballots []Ballot, own Ballot) error
}

var pageRules = rules{
	swap: func(ctx context.Context, r Registry, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
		return r.Swap(ctx, key, data, rev)
	},
	fresh:   checkFresh,
	taken:   checkTaken,
	voting:  checkVoting,
	listed:  checkListed,
	aborted: State.HasAborted,
	once:    checkOnce,
}

// checkFresh keeps a session that a vote was ended for from being voted on
// again: whoever reads that it is aborted votes for others.
func checkFresh(s State, session Session) error {
	if s.HasAborted(session) || s.HasCommitted(session) || session == (Session{}) {
		return fmt.Errorf("%w: %s", ErrSpent, session.Short())
	}
	return nil
}

// checkTaken keeps holders that have not heard of a committed session from
// making another successor of the same base. Their votes need not meet those of
// the others: K+1 holders are enough for each.
func checkTaken(s State, bases Tags) error {
	if session, taken := s.taken(bases); taken {
		return fmt.Errorf("%w: %s", ErrTaken, session.Short())
	}
	return nil
}

// checkVoting wants the vote to be on this very session.
func checkVoting(s State, session Session) error {
	if s.Phase != Voting || s.Session != session {
		return fmt.Errorf("%w: %s, the rounds of these holders are %s", ErrNotVoted, session.Short(), s.Phase)
	}
	return nil
}

// checkListed wants the registry to guard the bases from the moment on that the
// session is committed.
func checkListed(s State, bases Tags) error {
	if !s.Bases.hasAll(bases) {
		return fmt.Errorf("%w: %s is, over other records", ErrNotVoted, s.Session.Short())
	}
	return nil
}

// checkOnce wants no other ballot over any of the bases; those for sessions that
// are aborted are none any more.
func checkOnce(ballots []Ballot, own Ballot) error {
	for _, b := range ballots {
		if b.Session != own.Session && b.Bases.overlaps(own.Bases) {
			return fmt.Errorf("%w over the same record, %s, that is not known to be aborted", ErrVoted, b.Session.Short())
		}
	}
	return nil
}
