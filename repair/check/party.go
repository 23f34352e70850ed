package check

import (
	"fmt"
	"slices"
)

// Party is one participant of a session: an old holder at the point that the
// records of the batch give it, or a new one at the point that the proposal of a
// redistribution gives it. A node that is both is two parties.
type Party struct {
	New bool
	X   byte
}

// String is for logs and errors.
func (p Party) String() string {
	if p.New {
		return fmt.Sprintf("new point %d", p.X)
	}
	return fmt.Sprintf("point %d", p.X)
}

func partiesOf(isNew bool, xs []byte) []Party {
	parties := make([]Party, len(xs))
	for n, x := range xs {
		parties[n] = Party{isNew, x}
	}
	return parties
}

// sides has something of each party: of old holders, then of new ones, both by
// point. An audit has no new ones.
type sides[T any] struct{ old, new []T }

func (s *sides[T]) add(p Party, value T) {
	if p.New {
		s.new = append(s.new, value)
		return
	}
	s.old = append(s.old, value)
}

// parties are all members, in the order of sides.
func (r *Roster) parties() []Party {
	return slices.Concat(partiesOf(false, r.points()), partiesOf(true, pointsOf(r.New)))
}

// keyFor returns E of a party, or nil.
func (r *Roster) keyFor(p Party) []byte {
	if p.New {
		return keyIn(r.New, p.X)
	}
	return r.keyOf(p.X)
}

func (s *sides[T]) all() []T { return slices.Concat(s.old, s.new) }
