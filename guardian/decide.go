package guardian

import (
	"fmt"
	"slices"
	"time"
)

// The decisions of a node are functions of what is stored and what is asked,
// without any I/O. They are values so that the model test can take out one
// rule at a time and see that it was needed.
type rules struct {
	admit     func(mode Ownership, known standing, by Caller) error
	push      func(stored *commit, ours generation, retain int) (*commit, bool)
	remove    func(stored *commit, version uint64, prepared bool) decision
	resolve   func(stored *commit, unchanged bool, ours generation) outcome
	mend      func(stored *commit, at holding, ours generation, retain int) (*commit, error)
	restore   func(above standsBeside, at holding, ours generation) (*commit, error)
	release   func(stored *commit, at holding, by departure, version uint64) (*commit, error)
	depart    func(left remains, by departure, version uint64, retain int) (*commit, error)
	mayCommit func(elapsed, limit time.Duration) bool
	mayReread func(changed bool) bool
	obsolete  func(stored *commit, found generation, age time.Duration, retain int) bool
}

var pageRules = rules{
	admit:     admit,
	push:      decidePush,
	remove:    decideDelete,
	resolve:   resolvePush,
	mend:      decideMend,
	restore:   decideRestore,
	release:   decideRelease,
	depart:    decideDepart,
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
// current one, and only once. One that has moved away may: its owner's word
// stands against whoever would move it back. So may a higher one that is
// prepared: a certificate would make it the current one.
func decideDelete(stored *commit, version uint64, prepared bool) decision {
	switch {
	case prepared && (stored == nil || version > stored.current):
		return decidedGo
	case stored == nil || stored.deleted() || stored.live == nil && version != stored.current:
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
// What is prepared for a redistribution waits for its certificate: how long, whoever
// knows the votes says, see DropLingering.
func obsolete(stored *commit, found generation, age time.Duration, retain int) bool {
	switch {
	case stored.names(found):
		return false
	case stored.outdates(found):
		return true
	case found.epoch > 0 && !stored.awaits(found, retain):
		return true
	case found.mended():
		return age >= orphanAge
	case found.epoch > 0:
		return false
	case stored != nil && found.version <= stored.current:
		return true
	}
	return age >= orphanAge
}

// outdates tells what can never be named again because its version has gone on
// to a later epoch, here or to other nodes; and what was prepared for the epoch
// that it has gone on to.
func (c *commit) outdates(found generation) bool {
	if left := c.departedAt(found.version); left != nil {
		return left.epoch >= found.epoch
	}
	named, ok := c.find(found.version)
	return ok && (named.epoch > found.epoch || named.epoch == found.epoch && found.isPrepared())
}

// awaits tells whether a share of a later epoch can still become what `version`
// names.
func (c *commit) awaits(found generation, retain int) bool {
	if c == nil || found.version > c.current {
		return true
	}
	_, err := decideMend(c, holdsEarlier, found, retain)
	return err == nil
}

// holding is what a slot has of a version.
type holding int

const (
	holdsNothing   holding = iota // or what is damaged
	holdsEarlier                  // a share that the record of ours moves on
	holdsOther                    // a sound share of another dealing by the owner
	holdsLater                    // a share of a later epoch than ours
	holdsUnvouched                // an earlier one, whose holders have not agreed to ours
	holdsFork                     // a share of another line of the same manifest
	holdsSame                     // the very share, sound
)

// decideMend returns what `version` shall say next for a recovered share, nil
// when it says so already, or ErrNotMended: the version never goes back, nor does
// the epoch of one, and what is sound stays unless its own holders have agreed to
// what comes after it.
func decideMend(stored *commit, at holding, ours generation, retain int) (*commit, error) {
	if next, above := decidePush(stored, ours, retain); above {
		return next, nil
	}
	_, named := stored.find(ours.version)
	left := stored.departedAt(ours.version)
	switch {
	case stored.deleted():
		return nil, notMended("version %d was deleted", stored.current)
	case left != nil && left.epoch >= ours.epoch:
		return nil, notMended("version %d moved to other nodes at epoch %d", ours.version, left.epoch)
	case left == nil && !named:
		return decideInsert(stored, ours, retain)
	case at == holdsSame:
		return nil, nil
	case at == holdsNothing || at == holdsEarlier:
		return stored.with(ours), nil
	}
	return nil, fmt.Errorf("%w: %w", ErrNotMended, refusal(at, ours.version))
}

// refusal says why a share here stays what it is.
func refusal(at holding, version uint64) error {
	switch at {
	case holdsLater:
		return fmt.Errorf("a later epoch of version %d is here", version)
	case holdsUnvouched:
		return fmt.Errorf("the holders of the share of version %d have not agreed to what comes after it", version)
	case holdsFork:
		return fmt.Errorf("%w, at version %d", ErrForked, version)
	}
	return fmt.Errorf("another share of version %d is sound", version)
}

// decideInsert is for an older version that is not here. Only a redistribution
// brings one, and only where there is room among the retained, and nothing was
// deleted since: what is no longer retained does not come back.
func decideInsert(stored *commit, ours generation, retain int) (*commit, error) {
	at := slices.IndexFunc(stored.older, func(g generation) bool { return g.version < ours.version })
	if at < 0 {
		at = len(stored.older)
	}
	if ours.epoch == 0 || ours.version < stored.standing.from || at >= retain-1 {
		return nil, notMended("version %d is current, and %d no longer retained", stored.current, ours.version)
	}
	next := *stored
	next.older = slices.Insert(slices.Clone(stored.older), at, ours)
	next.older = next.older[:min(len(next.older), retain-1)]
	return &next, nil
}

// decideRelease returns what `version` shall say next once a version has left
// this node, nil when there is nothing to leave or it was left before, or why
// what is here stays.
func decideRelease(stored *commit, at holding, by departure, version uint64) (*commit, error) {
	held, named := stored.find(version)
	left := stored.departedAt(version)
	switch {
	case left != nil && left.epoch >= by.epoch, left == nil && !named, named && at == holdsLater:
		return nil, nil
	case at != holdsNothing && at != holdsEarlier:
		return nil, fmt.Errorf("%w: %w", ErrNotReleased, refusal(at, version))
	}
	next := *stored
	if version == stored.current {
		next.live, next.moved = nil, &by
		return &next, nil
	}
	next.older = slices.DeleteFunc(slices.Clone(stored.older), func(g generation) bool { return g == held })
	return &next, nil
}

// remains are the sound generations, signed by an owner, that are left of a slot
// whose `version` does not verify, without those that a record has released: any of
// them may have been committed.
type remains struct {
	sound []generation // one of each version, newest first
	// twins: two of one version differ. young: a writer of one may be at work, and
	// does not expect it to be committed by others.
	twins, young bool
}

// decideDepart is decideRelease where `version` does not verify. The record is
// about nothing of what is left, so all of that stays.
func decideDepart(left remains, by departure, version uint64, retain int) (*commit, error) {
	switch {
	case left.young:
		return nil, fmt.Errorf("%w: the version object is damaged, and a sound share beside it is not a day old", ErrNotReleased)
	case left.twins:
		return nil, fmt.Errorf("%w: the version object is damaged, and two different shares of one version are sound", ErrNotReleased)
	}
	next := &commit{current: version, moved: &by, older: left.sound}
	if len(left.sound) > 0 && left.sound[0].version >= version {
		next = &commit{current: left.sound[0].version, live: &left.sound[0], older: left.sound[1:]}
	}
	next.older = next.older[:min(len(next.older), retain-1)]
	return next, nil
}

// standsBeside is the highest sound generation of a slot, the recovered share
// itself and what it moves on left out, where `version` does not verify, so that
// all that is sound may have been committed.
type standsBeside struct {
	found bool // there is one
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
	case !above.found, above.version == ours.version && at == holdsSame && above.epoch <= ours.epoch:
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
