package round

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// Ballots are what one node has voted in, shared by its replicas: one sealed
// object of its storage. It is safe for concurrent use, by other processes too.
//
// Every method fails with ErrDamaged when the object is not what this node
// wrote, and with those of [integrity.Sealer.Open] and the storage.
type Ballots struct {
	store  backend.Backend
	sealer *integrity.Sealer
	rounds *Rounds
	now    func() time.Time
}

// NewBallots returns the ballots that a node keeps in store, which nobody else
// writes to. Now is the wall clock.
func NewBallots(store backend.Backend, sealer *integrity.Sealer, rounds *Rounds, now func() time.Time) *Ballots {
	return &Ballots{store: store, sealer: sealer, rounds: rounds, now: now}
}

// Cast is to be called before each vote, whose signature may be made only after
// a nil error: then the ballot is durable. It may be repeated.
//
// ErrNotVoted: the registry does not say that this session is being voted on,
// over these bases. ErrTaken: another session over one of them is committed.
// ErrVoted: this node has a ballot for another session over one of them, which
// is not known to be aborted. ErrFull, ErrBases, ErrMalformed. After any other
// error the ballot may have been kept, and nothing may be signed.
func (b *Ballots) Cast(ctx context.Context, group Group, session Session, bases [][32]byte) error {
	all, err := sorted(bases)
	if err != nil {
		return err
	}
	state, err := b.rounds.Look(ctx, group)
	if err != nil {
		return err
	}
	if err := b.rounds.rules.admit(state, session, all); err != nil {
		return err
	}
	own := Ballot{Session: session, Group: group, Line: state.Line, Serial: state.Serial, Bases: all, AtNS: b.now().UnixNano()}
	return b.change(ctx, func(now kept) ([]Ballot, error) {
		known, err := b.without(ctx, now.ballots, state, func(known State, other Ballot) bool {
			return b.rounds.rules.aborted(known, other.Session)
		}, func(other Ballot) bool { return other.Bases.overlaps(all) })
		if err != nil {
			return nil, err
		}
		return b.rounds.rules.cast(known, own)
	})
}

// without leaves those of the ballots asked for out that stand against nothing any
// more, by what the registry has.
func (b *Ballots) without(ctx context.Context, ballots []Ballot, known State, over func(State, Ballot) bool, asked func(Ballot) bool) (left []Ballot, err error) {
	states := map[Group]State{known.Group: known}
	for _, ballot := range ballots {
		if !asked(ballot) {
			left = append(left, ballot)
			continue
		}
		state, found := states[ballot.Group]
		if !found {
			if state, err = b.rounds.Look(ctx, ballot.Group); err != nil {
				return nil, err
			}
			states[ballot.Group] = state
		}
		if !over(state, ballot) {
			left = append(left, ballot)
		}
	}
	return left, nil
}

// Settle takes the bases out of all ballots of which followed says that they have
// a successor which this node follows: nothing is voted on over them again. A
// ballot without bases is gone.
func (b *Ballots) Settle(ctx context.Context, followed func(base [32]byte) bool) error {
	return b.change(ctx, func(now kept) ([]Ballot, error) {
		var left []Ballot
		changed := false
		for _, ballot := range now.ballots {
			bases := slices.DeleteFunc(slices.Clone(ballot.Bases), followed)
			changed = changed || len(bases) < len(ballot.Bases)
			if ballot.Bases = bases; len(bases) > 0 {
				left = append(left, ballot)
			}
		}
		if !changed {
			return nil, errNothing
		}
		return left, nil
	})
}

// MayFollow returns nil unless this node has a ballot over a base of which made
// says that another session has made its successor. ErrVoted: the session of the
// ballot may be committed yet. ErrCommitted: the registry says that it is.
// ErrForgotten: the registry has lost what it knew of it; whether it was committed,
// holders may tell. Other errors: it cannot be told now.
func (b *Ballots) MayFollow(ctx context.Context, made func(base [32]byte) (session [32]byte, known bool)) error {
	ballots, err := b.Pending(ctx)
	if err != nil {
		return err
	}
	var forgotten error
	for _, other := range ballots {
		elsewhere := func(base [32]byte) bool {
			session, known := made(base)
			return known && other.Session != session
		}
		if !slices.ContainsFunc(other.Bases, elsewhere) {
			continue
		}
		state, err := b.rounds.Look(ctx, other.Group)
		switch {
		case err != nil:
			return err
		case state.HasCommitted(other.Session):
			return fmt.Errorf("%w: session %s, over the same record", ErrCommitted, other.Session.Short())
		case b.rounds.rules.aborted(state, other.Session):
		case !state.Knows(other.Line, other.Serial):
			forgotten = fmt.Errorf("%w: %s", ErrForgotten, other.Session.Short())
		default:
			return fmt.Errorf("%w: %s", ErrVoted, other.Session.Short())
		}
	}
	return forgotten
}

// forgottenAge is how long a ballot stands for a session that the registry has lost
// what it knew of: who keeps certificates follows them, or gives them up, in half of
// that.
const forgottenAge = 14 * 24 * time.Hour

// Sweep removes the ballots for sessions that the registry lists as aborted,
// which it does not forever, and those of 14 days ago for sessions that it has lost
// what it knew of. What is left it seals under the primary key.
func (b *Ballots) Sweep(ctx context.Context) error {
	all := func(Ballot) bool { return true }
	over := func(s State, ballot Ballot) bool {
		forgotten := !s.Knows(ballot.Line, ballot.Serial) && b.now().UnixNano()-ballot.AtNS > int64(forgottenAge)
		return forgotten || b.rounds.rules.aborted(s, ballot.Session)
	}
	return b.change(ctx, func(now kept) ([]Ballot, error) {
		left, err := b.without(ctx, now.ballots, State{}, over, all)
		switch {
		case err != nil:
			return nil, err
		case len(left) == len(now.ballots):
			return left, b.alreadyUnder(now.keyID)
		}
		return left, nil
	})
}

// Pending returns all ballots, the oldest first: what they are for was not yet
// seen to be aborted.
func (b *Ballots) Pending(ctx context.Context) ([]Ballot, error) {
	now, err := b.load(ctx)
	return now.ballots, err
}

// alreadyUnder is errNothing where what is sealed by a key need not be again: it
// is the primary key, or nothing is.
func (b *Ballots) alreadyUnder(keyID string) error {
	if keyID == "" || keyID == b.sealer.PrimaryKeyID() {
		return errNothing
	}
	return nil
}

// errNothing is for a change to say that there is none.
var errNothing = errors.New("nothing to change")

// change replaces the ballots by what a function makes of them. A nil error: by
// this very call, so that it is durable.
func (b *Ballots) change(ctx context.Context, apply func(kept) ([]Ballot, error)) error {
	var failure error
	for range maxTries {
		now, err := b.load(ctx)
		if err != nil {
			return err
		}
		next, err := apply(now)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		if failure = b.save(ctx, next, now.rev); failure == nil || errors.Is(failure, ErrFull) {
			return failure
		}
	}
	return fmt.Errorf("keeping the ballots: %w", failure)
}
