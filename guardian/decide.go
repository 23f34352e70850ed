package guardian

import "time"

// The decisions of a node are functions of what is stored and what is asked,
// without any I/O. They are values so that the model test can take out one
// rule at a time and see that it was needed.
type rules struct {
	admit     func(mode Ownership, known standing, by Caller) error
	push      func(stored *commit, ours generation, retain int) (*commit, bool)
	remove    func(stored *commit, version uint64) decision
	resolve   func(stored *commit, unchanged bool, ours generation) outcome
	mend      func(stored *commit, at holding, ours generation, retain int) (*commit, error)
	restore   func(above standsBeside, at holding, ours generation) (*commit, error)
	mayCommit func(elapsed, limit time.Duration) bool
	mayReread func(changed bool) bool
	obsolete  func(stored *commit, found generation, age time.Duration) bool
}

var pageRules = rules{
	admit:     admit,
	push:      decidePush,
	remove:    decideDelete,
	resolve:   resolvePush,
	mend:      decideMend,
	restore:   decideRestore,
	mayCommit: mayCommit,
	mayReread: func(changed bool) bool { return changed },
	obsolete:  obsolete,
}

// decidePush returns what `version` shall say next, or false when the push
// must be refused: versions only grow. Nothing is retained across a delete.
func decidePush(stored *commit, ours generation, retain int) (*commit, bool) {
	if stored != nil && ours.version <= stored.current {
		return nil, false
	}
	older := stored.named()
	return &commit{
		current: ours.version,
		live:    &ours,
		older:   older[:min(len(older), retain-1)],
	}, true
}

type decision int

const (
	decidedGo decision = iota
	decidedNotFound
	decidedConflict
)

// decideDelete tells whether the version named may be deleted: only the
// current one, and only once.
func decideDelete(stored *commit, version uint64) decision {
	switch {
	case stored == nil || stored.live == nil:
		return decidedNotFound
	case version != stored.current:
		return decidedConflict
	}
	return decidedGo
}

type outcome int

const (
	// outcomeAgain: the write has not happened, or may be repeated; decide
	// again on what is stored now.
	outcomeAgain outcome = iota
	outcomeCommitted
	// outcomeUnknown: others have moved the slot past us. We may have been
	// committed and seen in between, so no definite answer would be true.
	outcomeUnknown
)

// resolvePush finds out what became of a compare-and-swap whose answer was
// lost, from `version` as it is now.
func resolvePush(stored *commit, unchanged bool, ours generation) outcome {
	switch {
	case stored.names(ours):
		return outcomeCommitted
	case unchanged || stored == nil || stored.current < ours.version:
		return outcomeAgain
	}
	// Another attempt at our version was committed: then ours never was, for
	// versions only grow.
	if _, taken := stored.find(ours.version); taken {
		return outcomeAgain
	}
	return outcomeUnknown
}

// mayCommit keeps a writer that was asleep from committing: cleaning counts on
// no commit coming later than the request timeout after its objects.
func mayCommit(elapsed, limit time.Duration) bool { return elapsed < limit }

// orphanAge is how long a generation is left alone that may still be committed:
// far longer than any request lives.
const orphanAge = 24 * time.Hour

// obsolete tells whether a generation found in the storage can go: what
// `version` does not name and, being at or below it, can never be committed
// any more; above it only when its writer is long gone. Mend commits at and
// below the current version, so what it has put is left as long wherever it is.
func obsolete(stored *commit, found generation, age time.Duration) bool {
	if stored.names(found) {
		return false
	}
	if stored != nil && found.version <= stored.current && !found.mended() {
		return true
	}
	return age >= orphanAge
}

// holding is what a slot has of a version.
type holding int

const (
	holdsNothing holding = iota // or what is damaged
	holdsOther                  // a sound share of another split
	holdsSame                   // the very share, sound
)

// decideMend returns what `version` shall say next for a recovered share, nil
// when it says so already, or ErrNotMended: the version never goes back, and
// what is sound stays.
func decideMend(stored *commit, at holding, ours generation, retain int) (*commit, error) {
	if next, above := decidePush(stored, ours, retain); above {
		return next, nil
	}
	_, named := stored.find(ours.version)
	switch {
	case stored.live == nil:
		return nil, notMended("version %d was deleted", stored.current)
	case !named:
		return nil, notMended("version %d is current, and %d no longer retained", stored.current, ours.version)
	case at == holdsSame:
		return nil, nil
	case at == holdsOther:
		return nil, notMended("another share of version %d is sound", ours.version)
	}
	return stored.with(ours), nil
}

// standsBeside is the highest sound generation of a slot, the recovered share
// itself left out, where `version` does not verify, so that all that is sound
// may have been committed.
type standsBeside struct {
	generation
	// twins: there is another of that version, of another split. young: a push
	// of it may still be under way, and does not expect to be committed by others.
	twins, young bool
}

// decideRestore is decideMend where `version` does not verify. What is sound and
// above the recovered share becomes current again with that behind it, so that
// neither is lost; what is sound at its version stays in its place.
func decideRestore(above standsBeside, at holding, ours generation) (*commit, error) {
	switch {
	case above.version < ours.version, above.version == ours.version && at == holdsSame:
		return &commit{current: ours.version, live: &ours}, nil
	case above.young:
		return nil, notMended("the version object is damaged, and a sound share of version %d is not a day old", above.version)
	case above.twins:
		return nil, notMended("the version object is damaged, and two different shares of version %d are sound", above.version)
	case above.version == ours.version:
		return &commit{current: ours.version, live: &above.generation}, nil
	}
	return &commit{current: above.version, live: &above.generation, older: []generation{ours}}, nil
}
