package repair

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// pass is one process at work on a pass.
type pass struct {
	*scrubber
	state *scrubState
	rev   backend.Revision
	// saved, atSave and accounted are when and after how many slots the state
	// was last saved, and what of the worker's time is in the report.
	saved     time.Time
	atSave    int64
	accounted time.Duration
	worker    *worker
	leftOut   int
}

// pass takes the lease and walks on from where the state says, from the start if
// nothing was begun, to the end. When ctx ends, what was done is saved and the
// lease given back.
func (s *scrubber) pass(ctx context.Context, state *scrubState, rev backend.Revision) error {
	p := &pass{scrubber: s, state: state, rev: rev}
	if state.Pass == nil {
		state.Pass = s.newPass()
	}
	var err error
	if p.worker, err = s.pace.begin(ctx, p.saveIfDue); err != nil {
		return err
	}
	defer p.worker.end()
	p.saved = s.cfg.Now()
	if err := p.save(ctx); err != nil {
		return err
	}
	s.show(true, state.Pass.Report)
	defer s.show(false, ScrubReport{})
	err = s.cfg.Node.Walk(ctx, guardian.Slot(state.Pass.After), func(e guardian.Examined) error { return p.visit(ctx, e) })
	if err != nil {
		p.stop(ctx)
		return err
	}
	return p.finish(ctx)
}

func (s *scrubber) newPass() *passState {
	state := &passState{Key: hex.EncodeToString(s.own), Digests: tallies{}}
	state.Report.StartedNS = s.nowNS()
	if last := s.lastInventory(); last != nil {
		state.Report.Estimated = last.Report.Slots
	}
	return state
}

func (s *scrubber) show(here bool, report ScrubReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here, s.running, s.now = here, here, report
}

// visit takes one slot in. Its shares are wiped. What can fail comes first, so
// that what is counted is behind the cursor, once.
func (p *pass) visit(ctx context.Context, e guardian.Examined) error {
	defer wipeHeld(e.Held)
	if err := p.queueBroken(ctx, e); err != nil {
		return err
	}
	if e.Lingering > 0 {
		p.linger(ctx, e.Slot)
	}
	p.take(e)
	p.scrubbed.Add(1)
	if err := p.saveIfDue(ctx); err != nil {
		return err
	}
	return p.worker.breathe(ctx)
}

func (p *pass) queueBroken(ctx context.Context, e guardian.Examined) error {
	switch judge(e) {
	case foundCorrupt:
		return p.enqueue(ctx, Item{Slot: e.Slot, Reason: ReasonDamaged, Good: -1})
	case foundMissing:
		return p.enqueue(ctx, Item{Slot: e.Slot, Reason: ReasonMissing, Good: -1})
	default:
		return nil
	}
}

func (p *pass) take(e guardian.Examined) {
	state := p.state.Pass
	state.Report.count(e)
	state.Hashes.add(e.Slot.Identity)
	if live := liveOf(e); live != nil && p.own != nil {
		p.inventory(live.Share.Record())
	}
	state.After = SlotName(e.Slot)
}

// inventory adds what a share's manifest says to the digests; without one that
// is sound there is nothing to compare.
func (p *pass) inventory(chain []byte) {
	of, err := p.cfg.Node.ParseRecord(chain)
	if err != nil {
		return
	}
	before := p.leftOut
	p.leftOut += p.state.Pass.Digests.add(of, p.own, p.isMember)
	if before == 0 && p.leftOut > 0 {
		p.log.Warn("shares name more guardians than an inventory can be about", "most", maxInventoried)
	}
}

// saveIfDue also renews the lease.
func (p *pass) saveIfDue(ctx context.Context) error {
	if p.cfg.Now().Sub(p.saved) < saveInterval && p.state.Pass.Report.Slots-p.atSave < saveSlots {
		return nil
	}
	return p.save(ctx)
}

func (p *pass) save(ctx context.Context) error {
	now := p.cfg.Now()
	p.account(now)
	p.state.Holder, p.state.UntilNS = p.replica, now.Add(scrubLease).UnixNano()
	rev, err := p.saveState(ctx, p.state, p.rev)
	if err != nil {
		return err
	}
	p.rev, p.saved, p.atSave = rev, now, p.state.Pass.Report.Slots
	p.show(true, p.state.Pass.Report)
	return nil
}

// account brings the times of the report up to date.
func (p *pass) account(now time.Time) {
	report := &p.state.Pass.Report
	p.worker.account()
	report.worked(p.worker.worked-p.accounted, now.Sub(p.saved))
	p.accounted = p.worker.worked
	report.perIdentity(p.state.Pass.Hashes)
}

// stop saves what was done and gives the lease back, also when ctx has ended.
// What it cannot save is done again.
func (p *pass) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
	defer cancel()
	stored, rev, err := p.loadState(ctx)
	if err != nil || stored.Holder != p.replica {
		return
	}
	p.account(p.cfg.Now())
	p.state.Holder, p.state.UntilNS = "", 0
	if _, err := p.saveState(ctx, p.state, rev); err != nil {
		p.log.Warn("an interrupted scrub could not be saved", "error", err)
	}
}

// finish makes the inventory of what was found. The progress is reset last: who
// is killed in between finishes the same pass once more.
func (p *pass) finish(ctx context.Context) error {
	p.state.Pass.Report.FinishedNS = p.nowNS()
	if err := p.save(ctx); err != nil {
		return err
	}
	done := &inventory{
		TakenNS: p.state.Pass.Report.FinishedNS, Report: p.state.Pass.Report,
		Key: p.state.Pass.Key, Digests: p.state.Pass.Digests,
	}
	if err := p.saveInventory(ctx, done); err != nil {
		return err
	}
	if _, err := p.saveState(ctx, &scrubState{FinishedNS: done.TakenNS}, p.rev); err != nil {
		return err
	}
	r := done.Report
	p.cfg.Node.Counted(r.Live, r.HighestThreshold, r.Unreadable == 0)
	p.mu.Lock()
	p.last, p.followedNS = done, r.FinishedNS
	p.mu.Unlock()
	signal(p.passed)
	p.log.Info("storage scrubbed", "slots", r.Slots, "good", r.Good, "corrupt", r.Corrupt, "missing", r.Missing,
		"deleted", r.Deleted, "moved", r.Moved, "unreadable", r.Unreadable, "orphaned", r.Orphaned, "without_manifest", r.WithoutManifest, "bytes", r.Bytes)
	return nil
}
