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
	mayCommit func(elapsed, limit time.Duration) bool
	mayReread func(changed bool) bool
	obsolete  func(stored *commit, found generation, age time.Duration) bool
}

var pageRules = rules{
	admit:     admit,
	push:      decidePush,
	remove:    decideDelete,
	resolve:   resolvePush,
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

// orphanAge is how long a generation above `version` is left alone: far longer
// than any request lives.
const orphanAge = 24 * time.Hour

// obsolete tells whether a generation found in the storage can go: what
// `version` does not name and, being at or below it, can never be committed
// any more; above it only when its writer is long gone.
func obsolete(stored *commit, found generation, age time.Duration) bool {
	if stored.names(found) {
		return false
	}
	if stored != nil && found.version <= stored.current {
		return true
	}
	return age >= orphanAge
}
