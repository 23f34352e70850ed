package round

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/cluster"
)

// Registry is what rounds need of a [cluster.Registry], whose contract holds.
type Registry interface {
	Load(ctx context.Context, key string) ([]byte, cluster.Revision, error)
	Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (cluster.Revision, error)
}

// Rounds is one node's view of the rounds in the registry. It is safe for
// concurrent use.
type Rounds struct {
	registry Registry
	node     string
	now      func() time.Time
	rules    rules
}

// New returns the rounds in a registry for a node, which is named as their
// coordinator in those that it opens. Now is the wall clock.
func New(registry Registry, node string, now func() time.Time) *Rounds {
	return &Rounds{registry: registry, node: node, now: now, rules: pageRules}
}

// Look returns the state of a group's rounds: Idle where there never was one.
// Errors are ErrMalformed and the registry's.
func (r *Rounds) Look(ctx context.Context, group Group) (State, error) {
	s, _, err := r.load(ctx, group)
	return s, err
}

// Open begins a round of a group. One that another left lying, not heard of for
// Lease, is taken over: what it voted on is aborted.
//
// ErrHeld, as a [HeldError]: another round goes on. ErrUnclosed: committed
// sessions must be closed first. ErrUnknown, with ErrMalformed where that is why:
// the round may have been opened, and if so is held until Lease has passed.
func (r *Rounds) Open(ctx context.Context, group Group, proposal Summary) (*Round, error) {
	round := &Round{rounds: r, group: group, own: claim{coordinator: r.node, nonce: rand.Text()}}
	err := round.step(ctx, func(s State) (State, bool, error) {
		return r.rules.open(s, round.own, proposal, r.now())
	})
	if err != nil {
		return nil, fmt.Errorf("opening a round: %w", err)
	}
	round.own.serial, round.line = round.last.state.Serial, round.last.state.Line
	r.note(ctx, group)
	return round, nil
}

// Close ends the guard of a committed session's bases: from now on nothing but
// the holders themselves keeps another successor of them from being made. It is
// for when at least N-K of the N old holders follow the certificate, as then no
// K+1 others are left to vote, or the others are gone for good. A session that is
// not listed needs no closing. ErrUnknown: ask again.
func (r *Rounds) Close(ctx context.Context, group Group, session Session) error {
	_, err := r.change(ctx, group, nil, func(s State) (State, bool, error) { return s.closed(session) })
	if err != nil {
		return fmt.Errorf("closing a session: %w", err)
	}
	return nil
}

func (r *Rounds) load(ctx context.Context, group Group) (State, cluster.Revision, error) {
	data, rev, err := r.registry.Load(ctx, group.Key())
	switch {
	case errors.Is(err, cluster.ErrNoRecord):
		return State{Group: group, Phase: Idle}, cluster.Revision{}, nil
	case err != nil:
		return State{}, rev, fmt.Errorf("reading the rounds: %w", err)
	}
	s, err := parse(group, data)
	return s, rev, err
}

// seen is a state and the revision that it is at.
type seen struct {
	state State
	rev   cluster.Revision
}

// maxTries is how often a step is decided anew before its caller is told that
// nothing is known.
const maxTries = 4

// change carries a decision out, beginning with what was last seen. A swap whose
// outcome is unknown is followed by another look; until the registry was heard,
// the error is ErrUnknown.
func (r *Rounds) change(ctx context.Context, group Group, last *seen, decide decision) (*seen, error) {
	var failure error
	for range maxTries {
		if last == nil {
			s, rev, err := r.load(ctx, group)
			if err != nil {
				failure = err
				continue
			}
			last = &seen{s, rev}
		}
		next, done, err := decide(last.state)
		if done || err != nil {
			return last, err
		}
		data, err := next.encode()
		if err != nil {
			return last, err
		}
		rev, err := r.rules.swap(ctx, r.registry, group.Key(), data, last.rev)
		if err == nil {
			return &seen{next, rev}, nil
		}
		last, failure = nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrUnknown, failure)
}
