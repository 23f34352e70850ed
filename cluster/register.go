package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

var (
	// errAbsent: the node has no record.
	errAbsent = errors.New("no record of the node")
	// errMoved: a conditional write found something else than it named. It is
	// no proof that another writer was there: a storage that repeats a request
	// refuses the repetition of one that took effect.
	errMoved = errors.New("changed meanwhile")
	// errMovedRepeated is an errMoved after the answer to an earlier sending of
	// the same was lost.
	errMovedRepeated = fmt.Errorf("%w, after a lost answer", errMoved)
	// errUnusable: what is stored under the node's id is no record of it.
	errUnusable = errors.New("the node's record in the registry is unusable: remove it by hand, the node keeps its index")
)

// ledger is the storage of a registry's members: the claims, which say whose an
// index is and are never removed, and a record per node.
//
// claim and write are conditional, and may be repeated when their outcome is
// unknown.
type ledger interface {
	// claims returns the owner of every index that was given, "" where there is
	// one but it cannot be told.
	claims(ctx context.Context) (map[int]string, error)
	// claim gives index to node, or fails with errMoved.
	claim(ctx context.Context, index int, node string) error
	// find returns the node's record, errAbsent or errUnusable.
	find(ctx context.Context, node string) (stored, error)
	// write puts m in the place of old, or fails with errMoved. The zero old
	// means that there must be no record.
	write(ctx context.Context, m Member, old stored) error
}

// stored is a record and the revision it is at, in the storage's terms.
type stored struct {
	Member
	revision string
}

// maxRounds bounds how often register begins again because another got there
// first. Of writers that compete for the indices, one wins in each round.
const maxRounds = MaxIndex + 1

// pauseBefore is a random time before a round begins again, longer after each,
// so that those who compete part.
func pauseBefore(round int) time.Duration {
	const first, longest = 2 * time.Millisecond, 250 * time.Millisecond
	return rand.N(min(first<<min(round, 10), longest)) //nolint:gosec // spreads calls, keeps no secret
}

// register is [Registry.Register]. Nothing it does is undone by an interruption
// or by its own repetition: an index is claimed in the node's name before the
// record is written, and a later call finds it by that name.
func register(ctx context.Context, l ledger, m Member) (Member, error) {
	m.Index, m.RegisteredNS = 0, 0
	if err := m.checkUnindexed(); err != nil {
		return Member{}, err
	}
	for round := range maxRounds {
		now, err := registerOnce(ctx, l, m)
		if !errors.Is(err, errMoved) {
			return now, err
		}
		if !sleep(ctx, pauseBefore(round)) {
			return Member{}, fmt.Errorf("registering %s: %w", m.NodeID, ctx.Err())
		}
	}
	return Member{}, fmt.Errorf("registering %s: %w", m.NodeID, errMoved)
}

// registerOnce fails with errMoved when it is to be done again.
func registerOnce(ctx context.Context, l ledger, m Member) (Member, error) {
	old, err := l.find(ctx, m.NodeID)
	switch {
	case errors.Is(err, errAbsent):
		return complete(ctx, l, m, stored{})
	case err != nil:
		return Member{}, fmt.Errorf("reading the record of %s: %w", m.NodeID, err)
	}
	return complete(ctx, l, m, old)
}

// complete does what is left to do for m.
func complete(ctx context.Context, l ledger, m Member, old stored) (Member, error) {
	switch {
	case old.NodeID == "":
		index, err := claimIndex(ctx, l, m.NodeID)
		if err != nil {
			return Member{}, err
		}
		m.Index, m.RegisteredNS = index, time.Now().UnixNano()
	case !old.PublicKey.Equal(m.PublicKey):
		return Member{}, fmt.Errorf("registering %s: %w", m.NodeID, ErrImpostor)
	default:
		m.Index, m.RegisteredNS = old.Index, old.RegisteredNS
		if sameMember(m, old.Member) {
			return m, nil
		}
	}
	if err := l.write(ctx, m, old); err != nil {
		return Member{}, fmt.Errorf("writing the record of %s: %w", m.NodeID, err)
	}
	return m, nil
}

func sameMember(a, b Member) bool {
	return a.NodeID == b.NodeID && a.Index == b.Index && a.ClientURL == b.ClientURL && a.PeerURL == b.PeerURL &&
		a.PublicKey.Equal(b.PublicKey) && a.FailureDomain == b.FailureDomain && a.RegisteredNS == b.RegisteredNS
}

// claimIndex returns the index that is node's already, or claims the lowest one
// that nobody has. It fails with errMoved when that has just been given.
func claimIndex(ctx context.Context, l ledger, node string) (int, error) {
	owners, err := l.claims(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the indices that were given: %w", err)
	}
	index, owned := choose(owners, node)
	switch {
	case owned:
		return index, nil
	case index > MaxIndex:
		return 0, fmt.Errorf("registering %s: %w", node, ErrFull)
	}
	if err := l.claim(ctx, index, node); err != nil {
		return 0, fmt.Errorf("claiming index %d for %s: %w", index, node, err)
	}
	return index, nil
}

// choose returns node's index, or else the lowest one without an owner, which is
// MaxIndex+1 when there is none.
func choose(owners map[int]string, node string) (index int, owned bool) {
	free := MaxIndex + 1
	for i := MaxIndex; i >= 1; i-- {
		switch owner, given := owners[i]; {
		case !given:
			free = i
		case owner == node:
			return i, true
		}
	}
	return free, false
}
