package guardian

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// maxFailures in a row end a Walk: then it is the storage, not a slot.
const maxFailures = 16

// walk does something with every slot behind one, and counts those that the
// storage would not read: they are left out, but for too many in a row. The
// error of do that is none of those ends it.
func (n *Node) walk(ctx context.Context, after Slot, do func(Slot) (unreadable, err error)) (failed int64, err error) {
	inARow := 0
	for slot, err := range slotsBehind(ctx, n.store, after) {
		if err != nil {
			return failed, err
		}
		unreadable, err := do(slot)
		if err != nil {
			return failed, err
		}
		if unreadable == nil {
			inARow = 0
			continue
		}
		if inARow++; ctx.Err() != nil || inARow == maxFailures {
			return failed, unreadable
		}
		failed++
		n.log.Warn("reading an identity failed", "identity", slot.Short(), "error", unreadable)
	}
	return failed, nil
}

// looked is what a look at a slot finds: first the objects, then `version`.
type looked struct {
	listing
	stored
}

// unnamed are the lowest epochs of what `version` does not name, by version.
func (l looked) unnamed() map[uint64]uint64 {
	lowest := map[uint64]uint64{}
	for _, g := range inOrder(l.ages) {
		if other, seen := lowest[g.version]; !l.commit.names(g) && (!seen || g.epoch < other) {
			lowest[g.version] = g.epoch
		}
	}
	return lowest
}

// look lists before it reads `version`: what was old enough when listed has no
// writer left, so what `version` does not name after that it never will. The
// other way round, a walker that slept in between would drop what was
// committed meanwhile. With an error about `version`, the listing is there.
func (n *Node) look(ctx context.Context, slot Slot) (looked, error) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return looked{}, err
	}
	from, err := n.readCommit(ctx, slot)
	return looked{found, from}, err
}

// dropObsolete drops what a look has found that nothing will name, and returns
// how many generations that were.
func (n *Node) dropObsolete(ctx context.Context, slot Slot, found looked) (dropped int) {
	for _, g := range inOrder(found.ages) {
		age := found.ages[g]
		obsolete := n.rules.obsolete(found.commit, g, age, n.cfg.Retain) || found.isScrap(g) && !found.commit.names(g)
		if obsolete && n.drop(ctx, slot, found.commit, g) {
			dropped++
		}
	}
	return dropped
}

// dropReplaced removes what a commit has put an end to: the generations at or
// below it that it does not name, and those of the commit before it, nil when
// that is not known. It reports whether all of that is gone; what fails is tried
// again by the next Walk.
func (n *Node) dropReplaced(ctx context.Context, slot Slot, before, now *commit) (gone bool) {
	found, err := n.present(ctx, slot)
	if err != nil {
		n.log.Warn("listing generations failed", "identity", slot.Short(), "error", err)
	}
	gone = err == nil
	for _, g := range found {
		const unknownAge = 0 // now may be old news
		// What was named and is no more never is again.
		if n.rules.obsolete(now, g, unknownAge, n.cfg.Retain) || before.names(g) && !now.names(g) {
			gone = n.drop(ctx, slot, now, g) && gone
		}
	}
	return gone
}

func inOrder(found map[generation]time.Duration) []generation {
	return slices.SortedFunc(maps.Keys(found), compareGenerations)
}

func (n *Node) drop(ctx context.Context, slot Slot, c *commit, g generation) bool {
	if c == nil || g.version > c.current {
		n.reportUncommitted(ctx, slot, g)
	}
	return n.dropGeneration(ctx, slot, g)
}

// listing is what there is of a slot.
type listing struct {
	// ages has every generation that has an object, and the time since its
	// latest write.
	ages map[generation]time.Duration
	// whole are those that have both objects.
	whole map[generation]bool
	bytes int64 // of all objects
}

// prepared are those that wait for a certificate, in order.
func (l listing) prepared() []generation {
	return slices.DeleteFunc(inOrder(l.ages), func(g generation) bool { return !g.isPrepared() })
}

// isScrap tells what a redistribution has begun to write and never ended.
func (l listing) isScrap(g generation) bool {
	return g.epoch > 0 && !l.whole[g] && l.ages[g] >= orphanAge
}

// present lists the generations that have an object, in order.
func (n *Node) present(ctx context.Context, slot Slot) (all []generation, err error) {
	for entry, err := range n.store.ListSegments(ctx, slot.prefix(), "") {
		if err != nil {
			return nil, unavailable("listing generations", err)
		}
		g, err := parseGeneration(strings.TrimSuffix(strings.TrimPrefix(entry.Key, slot.prefix()), "/"))
		if err == nil {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, compareGenerations)
	return all, nil
}

func (n *Node) generations(ctx context.Context, slot Slot) (listing, error) {
	found := listing{ages: map[generation]time.Duration{}, whole: map[generation]bool{}}
	for entry, err := range n.store.List(ctx, slot.prefix(), "") {
		if err != nil {
			return listing{}, unavailable("listing generations", err)
		}
		found.bytes += entry.Size
		name, _, _ := strings.Cut(strings.TrimPrefix(entry.Key, slot.prefix()), "/")
		g, err := parseGeneration(name)
		if err != nil {
			continue
		}
		age := n.ages.of(slot, g, entry.ModTime)
		youngest, seen := found.ages[g]
		if found.whole[g] = seen; !seen || age < youngest {
			found.ages[g] = age
		}
	}
	return found, nil
}

// reportUncommitted tells the operator of a whole share above `version` before
// it goes: a push that crashed, or a `version` object that somebody with
// access to the storage has put back.
func (n *Node) reportUncommitted(ctx context.Context, slot Slot, g generation) {
	if _, _, err := n.load(ctx, slot, g); err == nil {
		n.log.Warn("dropping a complete share that was never committed: a crashed push, or a version object that was put back",
			"identity", slot.Short(), "generation", g.String())
	}
}

func (n *Node) dropGeneration(ctx context.Context, slot Slot, g generation) bool {
	err := errors.Join(
		n.store.Delete(ctx, slot.shareKey(g), backend.AnyRevision),
		n.store.Delete(ctx, slot.checksumKey(g), backend.AnyRevision),
	)
	if err != nil {
		n.log.Warn("dropping a generation failed", "identity", slot.Short(), "generation", g.String(), "error", err)
	}
	return err == nil
}

// maxNamed bounds how many damaged slots an error lists.
const maxNamed = 10

// VerifyAll reads and checks every generation that is named by a commit, and
// returns an error that wraps api.ErrIntegrityFailed and names the damaged
// slots, shortened, or one that wraps api.ErrStorageUnavailable or
// api.ErrKeyUnavailable and says nothing about the data.
func (n *Node) VerifyAll(ctx context.Context) error {
	var damaged []string
	count := 0
	for slot, err := range slotsOf(ctx, n.store) {
		if err == nil {
			err = n.verifySlot(ctx, slot)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, api.ErrIntegrityFailed) {
			return err
		}
		if count++; len(damaged) < maxNamed {
			damaged = append(damaged, slot.Short())
		}
	}
	if count > 0 {
		return fmt.Errorf("%w: %d of the stored identities: %s", api.ErrIntegrityFailed, count, strings.Join(damaged, ", "))
	}
	return nil
}

// verifySlot checks everything that the slot's commit names.
func (n *Node) verifySlot(ctx context.Context, slot Slot) error {
	for range maxDecisions {
		if err := n.verifyNamed(ctx, slot); !errors.Is(err, errAgain) {
			return err
		}
	}
	return unavailable("verifying", errAgain)
}

func (n *Node) verifyNamed(ctx context.Context, slot Slot) error {
	from, err := n.readCommit(ctx, slot)
	if err != nil {
		return err
	}
	for _, g := range from.commit.named() {
		if _, _, err := n.verified(ctx, slot, from, g); err != nil {
			return err
		}
	}
	return nil
}
