package repair

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
)

// followers bounds the slots that are moved on at a time.
const followers = 8

// follow goes on to the records of certificates, and reports whether it could
// for all. What it could not is queued. Where the registry does not say that they
// are committed, others are asked whether they have followed any other.
func (r *Repairer) follow(ctx context.Context, chains [][]byte, asking bool) bool {
	var mu sync.Mutex
	var followed []*record.Record
	sideBySide(chains, followers, func(chain []byte) {
		of, err := r.cfg.Node.ParseRecord(chain)
		if err != nil || of.Epoch == 0 {
			return
		}
		if err := r.followOne(ctx, of, chain, asking); err != nil {
			if r.noticed.first(guardian.Slot{Identity: of.Identity, Name: of.Name}, r.ownKey(), r.cfg.Now()) {
				r.log.Warn("a share is not moved on yet", "identity", of.Identity[:8], "version", of.Version, "epoch", of.Epoch, "error", err)
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		followed = append(followed, of)
	})
	if err := r.settle(ctx, followed); err != nil {
		r.log.Warn("ballots are not settled yet", "error", err)
		return false
	}
	return len(followed) == len(chains)
}

var errNotPrepared = errors.New("its new share was not prepared here, and is to be recovered")

// followOne has this node hold the record's share, if it names it, and none from
// before. What is not there at a second look is to be recovered: at the first,
// another call may just have put it in its place.
func (r *Repairer) followOne(ctx context.Context, of *record.Record, chain []byte, asking bool) error {
	err := r.goOnTo(ctx, of, chain, asking)
	if !errors.Is(err, errNotPrepared) {
		return err
	}
	p, err := r.lookFor(ctx, of)
	if err != nil || p.isPast(of) {
		return err
	}
	err = r.queue.add(ctx, Item{Slot: p.slot, Reason: ReasonStale, Good: len(of.Holders) - 1})
	if err == nil && p.hasNothingOf(of) {
		return nil // what is missing is queued
	}
	return errors.Join(errNotPrepared, err)
}

func (r *Repairer) lookFor(ctx context.Context, of *record.Record) (*patient, error) {
	p := newPatient(guardian.Slot{Identity: of.Identity, Name: of.Name}, r.ownKey())
	return p, r.examine(ctx, p)
}

func (r *Repairer) goOnTo(ctx context.Context, of *record.Record, chain []byte, asking bool) error {
	p, err := r.lookFor(ctx, of)
	if err != nil {
		return err
	}
	c := r.take(p, of, chain)
	if asking {
		r.askHolders(ctx, p, of)
	}
	if err := r.findPrepared(ctx, p); err != nil {
		return err
	}
	switch {
	case p.isPast(of), !names(of, r.ownKey()) && p.hasNothingOf(of):
		return nil
	case !names(of, r.ownKey()):
		return r.leaveFor(ctx, p, c)
	case c.prepared:
		return r.recoverInto(ctx, p, c, &Report{})
	case p.isSuperseded(of):
		return nil
	}
	if err := r.mayGoOn(ctx, p, c); err != nil {
		return err
	}
	if p.outdated(c) && of.Version < p.found.Version {
		r.askHolders(ctx, p, of)
		p.countHelpers()
		if p.isHopelessOlder(c) {
			return r.leaveFor(ctx, p, c)
		}
	}
	return errNotPrepared
}

// askHolders learns of other records that came of the same, from holders old and
// new.
func (r *Repairer) askHolders(ctx context.Context, p *patient, of *record.Record) {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	r.askAround(ctx, p, slices.Concat(keysOf(of), keysOf(&record.Record{Holders: of.Manifest.Holders})))
}

// isPast tells whether this node has the share of a record, or of one that came
// of it or of another dealing by the owner, or has deleted it.
func (p *patient) isPast(of *record.Record) bool {
	for _, mine := range p.mine {
		if mine.Version == of.Version {
			return mine.Follows(of.Hash) || mine.Manifest.Split != of.Manifest.Split
		}
	}
	return p.found.Known && !p.found.Damaged && p.found.Deleted && p.found.Version >= of.Version
}

// isSuperseded tells whether this node has a later version and nothing of the
// record's, sound or not.
func (p *patient) isSuperseded(of *record.Record) bool {
	return p.found.Known && !p.found.Damaged && p.found.Version > of.Version && !p.holds(of.Version)
}

func (p *patient) holds(version uint64) bool {
	return slices.ContainsFunc(p.found.Held, func(held guardian.Held) bool { return held.Version == version })
}

// hasNothingOf tells whether nothing of a record's version is left here that is to
// be erased: there never was any, or it has moved to others, at whatever epoch.
// Where `version` is gone, a share from before may be what it named.
func (p *patient) hasNothingOf(of *record.Record) bool {
	lowest, unnamed := p.found.Unnamed[of.Version]
	return !p.found.Damaged && !p.holds(of.Version) && (p.found.Known || !unnamed || lowest >= of.Epoch)
}

// settle takes out of the ballots what has successors here.
func (r *Repairer) settle(ctx context.Context, followed []*record.Record) error {
	if r.ballots == nil || len(followed) == 0 {
		return nil
	}
	return r.ballots.Settle(ctx, func(base [32]byte) bool {
		return slices.ContainsFunc(followed, func(of *record.Record) bool { return of.Hash != base && of.Follows(base) })
	})
}
