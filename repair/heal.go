package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/round"
)

// heal brings this node's shares of a slot to what their records say, and tells
// the others whose shares it found bad. A nil error means that what is here was
// read and is right; errGone, that there is nothing to be right; any other error
// that it is to be tried again, whatever the outcome says.
func (r *Repairer) heal(ctx context.Context, slot guardian.Slot) (Report, error) {
	report := Report{SlotName: SlotName{slot.Identity, slot.Name}, Outcome: OutcomeFailed}
	p, err := r.visit(ctx, slot)
	if err != nil {
		return report, err
	}
	target := p.target()
	report.Before = r.health(p, target)
	needed := p.needed()
	err = r.recoverAll(ctx, p, needed, &report)
	left, leaving := r.leave(ctx, p)
	err = errors.Join(err, leaving)
	if len(needed) > 0 || left {
		err = errors.Join(err, r.examine(ctx, p))
	}
	if err == nil && p.isHopeless() {
		err = r.giveUpOlder(ctx, p)
	}
	report.After = r.health(p, target)
	r.notify(ctx, p, target)
	if err == nil {
		err = p.verdict()
	}
	if errors.Is(err, errGone) && r.cfg.Peers != nil && len(p.answers) == 0 {
		err = errors.New("no other guardian is known yet") // as before the list of members is fetched
	}
	report.Outcome = OutcomeVerified
	if len(needed) > 0 {
		report.Outcome = OutcomeRepaired
	}
	return report, err
}

// recoverAll recovers a share of each version. Where an owner has dealt one
// version twice, one of the two is enough, and the node may accept only one.
func (r *Repairer) recoverAll(ctx context.Context, p *patient, needed []*candidate, report *Report) error {
	failures := map[uint64]error{}
	done := map[uint64]bool{}
	for _, c := range needed {
		if done[c.Version] {
			continue
		}
		if err := r.recoverInto(ctx, p, c, report); err != nil {
			failures[c.Version] = errors.Join(failures[c.Version], err)
			continue
		}
		done[c.Version] = true
		delete(failures, c.Version)
	}
	return errors.Join(slices.Collect(maps.Values(failures))...)
}

func (r *Repairer) recoverInto(ctx context.Context, p *patient, c *candidate, report *Report) error {
	if err := r.mayGoOn(ctx, p, c); err != nil {
		return err
	}
	share, err := r.preparedShare(ctx, p, c)
	if share == nil && err == nil {
		var spent int64
		share, spent, err = r.recoverShare(ctx, c)
		report.Bytes += spent
	}
	if err != nil {
		return fmt.Errorf("recovering the share of version %d: %w", c.Version, err)
	}
	defer clear(share)
	err = r.cfg.Node.Mend(ctx, p.slot, c.share(share))
	noLonger := errors.Is(err, guardian.ErrNotMended) && !errors.Is(err, guardian.ErrForked) && p.isSuperseded(c.Record)
	if err != nil && !noLonger {
		return r.alarmed(p.slot, c, fmt.Errorf("storing the recovered share of version %d: %w", c.Version, err))
	}
	return r.settle(ctx, []*record.Record{c.Record})
}

// mayGoOn refuses a record beside another one that came of the same: which of the
// two stands is for an operator to say.
func (r *Repairer) mayGoOn(ctx context.Context, p *patient, c *candidate) error {
	err := r.mayFollow(ctx, c.Record)
	if errors.Is(err, round.ErrForgotten) {
		r.askHolders(ctx, p, c.Record)
		err = nil
	}
	if other := p.forkOf(c); err == nil && other != nil {
		err = fmt.Errorf("%w: records %x and %x of version %d", guardian.ErrForked, c.Hash[:4], other.Hash[:4], c.Version)
	}
	return r.alarmed(p.slot, c, err)
}

// forkOf returns a record of the same dealing by the owner as another that neither
// came of it nor led to it.
func (p *patient) forkOf(c *candidate) *candidate {
	for _, other := range slices.Concat(p.candidates, p.leaving) {
		if other.Version == c.Version && other.Manifest.Split == c.Manifest.Split && !other.Follows(c.Hash) && !c.Follows(other.Hash) {
			return other
		}
	}
	return nil
}

// preparedShare is this node's share of a record as it was prepared; nil where
// there is none.
func (r *Repairer) preparedShare(ctx context.Context, p *patient, c *candidate) (share []byte, err error) {
	if !c.prepared {
		return nil, nil
	}
	prepared, err := r.cfg.Node.Prepared(ctx, p.slot)
	for _, held := range prepared {
		of, wrong := r.cfg.Node.ParseDraft(held.Share.Chain)
		if share == nil && wrong == nil && of.Hash == c.Hash {
			share = held.Share.Data
			continue
		}
		clear(held.Share.Data)
	}
	return share, err
}

// leave erases what later records have given to others, and what is left here from
// before them of an older version that too few have to recover this node's share.
func (r *Repairer) leave(ctx context.Context, p *patient) (tried bool, err error) {
	var errs []error
	for _, c := range slices.Concat(p.leaving, p.candidates) {
		gone := !names(c.Record, r.ownKey()) && (p.replaces(c.Record) || p.mayHaveLeft(c.Record, r.ownKey()))
		if gone || p.isHopelessOlder(c) {
			errs = append(errs, r.leaveFor(ctx, p, c))
		}
	}
	return len(errs) > 0, errors.Join(errs...)
}

// isHopelessOlder tells whether what is here is from before the record, of a version
// that is not the current one, and everybody has answered and too few can recover
// the record's share.
func (p *patient) isHopelessOlder(c *candidate) bool {
	return p.silent == 0 && p.outdated(c) && !c.recoverable() && c.Version < p.found.Version
}

// leaveFor erases what one record has given to others.
func (r *Repairer) leaveFor(ctx context.Context, p *patient, c *candidate) error {
	if err := r.mayGoOn(ctx, p, c); err != nil {
		return err
	}
	if err := r.cfg.Node.Release(ctx, p.slot, c.raw); err != nil {
		return r.alarmed(p.slot, c, fmt.Errorf("giving up the share of version %d: %w", c.Version, err))
	}
	return r.settle(ctx, []*record.Record{c.Record})
}

// alarmed passes an error on, and cries where two rounds have committed
// different records in the place of one.
func (r *Repairer) alarmed(slot guardian.Slot, c *candidate, err error) error {
	if errors.Is(err, guardian.ErrForked) {
		r.forks.Add(1)
		if r.alarms.first(slot, r.ownKey(), r.cfg.Now()) {
			r.log.Error("ALARM: two rounds have moved one share to different places; nothing more is erased of it",
				"identity", slot.Short(), "version", c.Version, "epoch", c.Epoch)
		}
	}
	return err
}

// needed are the records whose share is to be recovered: that of the newest
// version that can be, unless this node has it or knows a later one, those of
// retained versions that are damaged here, and those that wait here prepared.
func (p *patient) needed() []*candidate {
	var needed []*candidate
	for _, c := range p.candidates {
		newest := (len(needed) == 0 || needed[0].Version == c.Version) && p.lacks(c)
		inserted := c.prepared && !p.holds(c.Version)
		if c.recoverable() && (newest || inserted || p.damaged(c.Version) || p.outdated(c)) {
			needed = append(needed, c)
		}
	}
	return needed
}

// lacks tells whether the node has nothing to set against the version of c, as it
// never had it, or as it came back at a later epoch than it left.
func (p *patient) lacks(c *candidate) bool {
	cameBack := p.found.Moved && c.Version == p.found.Version && c.Epoch > p.found.MovedAt
	return !p.found.Known || p.found.Damaged || c.Version > p.found.Version || cameBack
}

// outdated tells whether the share here is of a record that c came of.
func (p *patient) outdated(c *candidate) bool {
	return slices.ContainsFunc(p.mine, func(mine *record.Record) bool {
		return mine.Version == c.Version && mine.Hash != c.Hash && c.Follows(mine.Hash)
	})
}

// damaged tells whether the node keeps a share of that version that is not
// sound.
func (p *patient) damaged(version uint64) bool {
	for _, held := range p.found.Held {
		if held.Version == version && !held.Sound {
			return true
		}
	}
	return false
}

// verdict judges what is here after all that could be done.
func (p *patient) verdict() error {
	switch {
	case p.found.Damaged:
		return p.stuck("the version object is damaged")
	case !p.found.Known:
		return p.absent()
	}
	for _, held := range p.found.Held {
		if !held.Sound {
			return p.stuck(fmt.Sprintf("the share of version %d is damaged", held.Version))
		}
	}
	// A version that others have and this node lacks can be had once more of its
	// holders answer; where all have answered it was never pushed to enough.
	for _, c := range p.candidates {
		switch {
		case p.silent > 0 && p.lacks(c) && !p.isDeleted(c):
			return p.stuck(fmt.Sprintf("version %d is missing here", c.Version))
		case p.outdated(c):
			return p.stuck(fmt.Sprintf("the share of version %d was moved on, and that of epoch %d is missing here", c.Version, c.Epoch))
		}
	}
	return nil
}

// isHopeless tells whether all that is wrong here are shares of retained older
// versions that nobody can recover, although everybody has answered.
func (p *patient) isHopeless() bool {
	if p.silent > 0 || p.found.Damaged || len(p.found.Held) == 0 || !p.found.Held[0].Sound {
		return false
	}
	return slices.ContainsFunc(p.found.Held, func(held guardian.Held) bool { return !held.Sound })
}

// giveUpOlder takes them out of what is retained: they are damaged, and the
// current share is sound.
func (r *Repairer) giveUpOlder(ctx context.Context, p *patient) error {
	if err := r.cfg.Node.DropOlder(ctx, p.slot); err != nil && !errors.Is(err, guardian.ErrNotDamaged) {
		return fmt.Errorf("giving up damaged shares of older versions: %w", err)
	}
	r.log.Warn("a damaged share of an older version was given up: too few guardians retain that version", "identity", p.slot.Short())
	return r.examine(ctx, p)
}

// absent judges what is not here at all. Where all have answered and fewer than
// K hold it, there is nothing to wait for: should that change, a comparison tells.
func (p *patient) absent() error {
	for _, c := range p.candidates {
		if !p.isDeleted(c) && (p.silent > 0 || c.recoverable()) {
			return p.stuck(fmt.Sprintf("version %d is missing here", c.Version))
		}
	}
	// Of two holders, the least that any secret has, one would have answered.
	if p.silent > 1 && len(p.candidates) == 0 {
		return fmt.Errorf("no guardian that answers knows it, and %d do not answer", p.silent)
	}
	return errGone
}

// isDeleted tells whether the version cannot be rebuilt and was deleted: so many
// holders say that they have deleted it, or one does and all have answered. A
// deletion reaches those who are there; who lacked the share knows nothing of it.
func (p *patient) isDeleted(c *candidate) bool {
	deleted := 0
	for _, h := range c.Holders {
		if answer := p.answers[string(h.Key)]; answer.Deleted && answer.Version >= c.Version {
			deleted++
		}
	}
	return deleted > len(c.Holders)-c.Threshold || deleted > 0 && p.silent == 0 && !c.recoverable()
}

// stuck says what is wrong and why it stays so for now.
func (p *patient) stuck(what string) error {
	if len(p.candidates) == 0 {
		return fmt.Errorf("%s, and no guardian that answers has a manifest that gives this node a share of it", what)
	}
	best := p.candidates[0]
	for _, c := range p.candidates {
		if len(c.helpers) > len(best.helpers) {
			best = c
		}
	}
	return fmt.Errorf("%s: %d of %d needed holders have a sound share of version %d, %d guardians do not answer",
		what, len(best.helpers), best.Threshold, best.Version, p.silent)
}
