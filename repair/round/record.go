package round

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/cluster"
)

const (
	// maxRecord bounds a group's record, in bytes.
	maxRecord = cluster.MaxRecordSize
	// maxSerial leaves room for more rounds than there will ever be.
	maxSerial = 1 << 62
	// maxNode and maxNonce bound a node id and a nonce.
	maxNode, maxNonce = 200, 64
)

// encode returns the record of a state.
func (s State) encode() ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding the round: %w", err)
	}
	return data, nil
}

// parse reads a group's record. It fails with ErrMalformed.
func parse(group Group, data []byte) (State, error) {
	s := State{}
	if len(data) > maxRecord {
		return State{}, fmt.Errorf("%w: %s has %d bytes", ErrMalformed, group.Key(), len(data))
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%w: %s is not JSON of its kind", ErrMalformed, group.Key())
	}
	if err := s.check(); err != nil {
		return State{}, fmt.Errorf("%w: %s: %w", ErrMalformed, group.Key(), err)
	}
	s.Group = group
	return s, nil
}

// check keeps what no guardian writes from being taken for an answer.
func (s State) check() error {
	p := s.Proposal
	switch {
	case s.Serial >= maxSerial || min(s.OpenedNS, s.ChangedNS, p.Bytes) < 0 || min(p.FromThreshold, p.ToThreshold, p.ToHolders, p.Generations) < 0:
		return errors.New("a number out of range")
	case len(s.Aborted) > maxAborted || len(s.Committed) > maxEnded || s.openBases() > maxOpenBases:
		return errors.New("a list too long")
	}
	if s.Line != "" && !printable(s.Line, maxNonce) {
		return errors.New("a line that cannot be")
	}
	if err := s.checkPhase(); err != nil {
		return err
	}
	return s.checkEnded()
}

func (s State) checkPhase() error {
	voted := s.Session != Session{}
	fits := false
	switch s.Phase {
	case Idle:
		if voted || len(s.Bases) != 0 || s.Coordinator != "" || s.Nonce != "" {
			return errors.New("an idle state with a round in it")
		}
		return nil
	case Open:
		fits = !voted && len(s.Bases) == 0
	case Voting:
		fits = voted && len(s.Bases) > 0 && s.Bases.valid() && !s.HasAborted(s.Session) && !s.HasCommitted(s.Session)
	case Committed:
		fits = s.HasCommitted(s.Session) && len(s.Bases) == 0
	case Aborted:
		fits = (!voted || s.HasAborted(s.Session)) && len(s.Bases) == 0
	}
	if !fits || s.Serial == 0 || !printable(s.Coordinator, maxNode) || !printable(s.Nonce, maxNonce) {
		return errors.New("a state that does not fit its session or coordinator")
	}
	return nil
}

func (s State) checkEnded() error {
	seen := map[Session]bool{{}: true}
	for _, e := range s.Aborted {
		if seen[e.Session] || len(e.Bases) != 0 || e.AtNS < 0 {
			return errors.New("an aborted session that cannot be")
		}
		seen[e.Session] = true
	}
	for _, e := range s.Committed {
		if seen[e.Session] || !e.Bases.valid() || e.AtNS < 0 {
			return errors.New("a committed session that cannot be")
		}
		seen[e.Session] = true
	}
	return nil
}

// printable wants 1 to most letters, digits and signs of ASCII: what is read
// here is shown on terminals.
func printable(text string, most int) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= most
}
