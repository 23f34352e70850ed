package round

import (
	"errors"
	"fmt"
	"time"
)

// How a step of a round ends, and why a node does not vote. No error holds more
// of a session than its first eight digits.
var (
	// ErrHeld: a younger round of the group is open or being voted on. It comes
	// as a [HeldError].
	ErrHeld = errors.New("another round of these holders goes on")
	// ErrLost: the round is over, and was not committed: another coordinator has
	// taken the group over, or it was aborted. It stays so.
	ErrLost = errors.New("the round is over")
	// ErrUnknown: the registry has not told what became of the step, which may
	// have taken effect or do so yet. Ask again.
	ErrUnknown = errors.New("the registry does not say what became of the round")
	// ErrCommitted: the round cannot be aborted, as it is committed.
	ErrCommitted = errors.New("the round is committed")
	// ErrSpent: a session that was voted on before is not voted on again.
	ErrSpent = errors.New("session was voted on before")
	// ErrTaken: a base has a successor that is committed, though perhaps not
	// known here. It is for whoever holds that certificate to show it.
	ErrTaken = errors.New("a committed session has a successor of the same record")
	// ErrUnclosed: too many committed sessions wait for holders to follow them.
	ErrUnclosed = errors.New("too many committed sessions are not closed")
	// ErrBases: no bases, too many, or one of them twice.
	ErrBases = errors.New("not the bases of a session")
	// ErrMalformed: what the registry has is no state of a round. Nothing is
	// voted on over it.
	ErrMalformed = errors.New("the registry's record of the rounds is broken")

	// ErrNotVoted: the registry does not say that this session is being voted on.
	ErrNotVoted = errors.New("session is not being voted on")
	// ErrVoted: this node has voted for another session over the same record,
	// and that one is not known to be aborted.
	ErrVoted = errors.New("this node has voted in another session")
	// ErrForgotten: it has voted in a session of which the registry has lost all.
	ErrForgotten = errors.New("this node has voted in a session that the registry has forgotten")
	// ErrFull: no more ballots can be kept.
	ErrFull = errors.New("too many ballots wait for their sessions to end")
	// ErrDamaged: the ballots are not as this node wrote them. It votes on
	// nothing until somebody has looked.
	ErrDamaged = errors.New("the ballots of this node are damaged")
)

// HeldError is ErrHeld with whose round it is.
type HeldError struct {
	// Coordinator is a node id.
	Coordinator string
	// Phase is Open or Voting.
	Phase Phase
	// Since is when the round was last heard of, by its coordinator's clock.
	Since time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %s by %s, last heard of at %s", ErrHeld, e.Phase, e.Coordinator, e.Since.UTC().Format(time.RFC3339))
}

func (e *HeldError) Unwrap() error { return ErrHeld }
