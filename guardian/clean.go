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

// SweepReport says what a Sweep found.
type SweepReport struct {
	Live    int64 // slots with a current share
	Deleted int64 // slots with a tombstone
	Damaged int64 // slots whose version object does not verify; left alone
	Failed  int64 // slots that the storage would not read
	Dropped int64 // generations removed
}

// maxFailures in a row end a Sweep: then it is the storage, not a slot.
const maxFailures = 16

// Sweep walks all slots, drops the generations that no commit names and that
// none can name any more, and corrects the share count and HighestThreshold. A
// slot that cannot be read is left out; a storage that cannot ends it. Starting
// again is always safe.
func (n *Node) Sweep(ctx context.Context) (SweepReport, error) {
	var report SweepReport
	changes := n.census.changes.Load()
	n.highest.begin()
	inARow := 0
	for slot, err := range slotsOf(ctx, n.store) {
		if err != nil {
			return report, err
		}
		err = n.sweepSlot(ctx, slot, &report)
		if err == nil {
			inARow = 0
			continue
		}
		if inARow++; ctx.Err() != nil || inARow == maxFailures {
			return report, err
		}
		report.Failed++
		n.log.Warn("sweeping an identity failed", "identity", slot.Short(), "error", err)
	}
	n.census.count.Store(report.Live)
	if report.Failed == 0 {
		n.highest.end()
	}
	n.census.exact.Store(n.census.changes.Load() == changes && report.Failed == 0)
	return report, n.reloadMarks(ctx)
}

// sweepSlot lists before it reads `version`: what was old enough when listed
// has no writer left, so what `version` does not name after that it never
// will. The other way round, a sweeper that slept in between would drop what
// was committed meanwhile.
func (n *Node) sweepSlot(ctx context.Context, slot Slot, report *SweepReport) error {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return err
	}
	from, err := n.readCommit(ctx, slot)
	switch {
	case errors.Is(err, api.ErrIntegrityFailed), errors.Is(err, api.ErrKeyUnavailable):
		report.Damaged++
		return nil
	case err != nil:
		return err
	case from.commit != nil && from.commit.live == nil:
		report.Deleted++
	case from.commit != nil:
		if err := n.noteThreshold(ctx, slot, *from.commit.live); err != nil {
			return err
		}
		report.Live++
	}
	for _, g := range inOrder(found) {
		if n.rules.obsolete(from.commit, g, found[g]) && n.drop(ctx, slot, from.commit, g) {
			report.Dropped++
		}
	}
	return nil
}

// dropReplaced removes what a commit has put an end to: the generations at or
// below it that it does not name. It is best effort: what fails is tried again
// by the next Sweep.
func (n *Node) dropReplaced(ctx context.Context, slot Slot, c *commit) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		n.log.Warn("listing generations failed", "identity", slot.Short(), "error", err)
	}
	for _, g := range inOrder(found) {
		const unknownAge = 0 // c may be old news by now
		if n.rules.obsolete(c, g, unknownAge) {
			n.drop(ctx, slot, c, g)
		}
	}
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

// generations finds every generation of a slot that has an object, with its
// age: the time since its latest write.
func (n *Node) generations(ctx context.Context, slot Slot) (map[generation]time.Duration, error) {
	ages := map[generation]time.Duration{}
	for entry, err := range n.store.List(ctx, slot.prefix(), "") {
		if err != nil {
			return nil, unavailable("listing generations", err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(entry.Key, slot.prefix()), "/")
		g, err := parseGeneration(name)
		if err != nil {
			continue
		}
		age := time.Since(entry.ModTime)
		if youngest, seen := ages[g]; !seen || age < youngest {
			ages[g] = age
		}
	}
	return ages, nil
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
	from, err := n.readCommit(ctx, slot)
	if err != nil {
		return err
	}
	for _, g := range from.commit.named() {
		version := g.version
		if _, _, err := n.read(ctx, slot, &version, operator); err != nil && !errors.Is(err, api.ErrNotFound) {
			return err
		}
	}
	return nil
}
