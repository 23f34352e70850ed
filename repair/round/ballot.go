package round

import (
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/backend"
)

const (
	// MaxBallots bounds the ballots of one node.
	MaxBallots = 1024
	// MaxBallotBytes bounds the object they are kept in: no storage takes a
	// larger one.
	MaxBallotBytes = backend.MaxObjectSize
)

// Ballot says that this node has voted, or was about to: the votes themselves
// are not here.
type Ballot struct {
	Session Session `json:"session"`
	Group   Group   `json:"group"`
	// Line and Serial are those of the round.
	Line   string `json:"line,omitempty"`
	Serial uint64 `json:"serial"`
	Bases  Hashes `json:"bases"`
	AtNS   int64  `json:"at_ns"`
}

// cast returns the ballots with own among them.
func (r *rules) cast(ballots []Ballot, own Ballot) ([]Ballot, error) {
	if err := r.once(ballots, own); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(ballots, func(b Ballot) bool { return b.Session == own.Session })
	switch {
	case i >= 0 && !slices.Equal(ballots[i].Bases, own.Bases):
		return nil, fmt.Errorf("%w: in this one, but over other records", ErrVoted)
	case i >= 0:
		return ballots, nil
	case len(ballots) >= MaxBallots:
		return nil, fmt.Errorf("%w: %d", ErrFull, len(ballots))
	}
	return append(slices.Clone(ballots), own), nil
}

// admit judges a session by the registry alone.
func (r *rules) admit(s State, session Session, bases Hashes) error {
	if err := r.voting(s, session); err != nil {
		return err
	}
	if err := r.listed(s, bases.tags()); err != nil {
		return err
	}
	return r.taken(s, bases.tags())
}

func checkBallots(ballots []Ballot) error {
	seen := map[Session]bool{}
	for _, b := range ballots {
		if seen[b.Session] || len(b.Bases) == 0 || len(b.Bases) > MaxBases {
			return fmt.Errorf("%w: a ballot that cannot be", ErrDamaged)
		}
		seen[b.Session] = true
	}
	return nil
}
