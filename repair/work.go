package repair

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/guardian"
)

// tryTime bounds one attempt to repair one slot: guardians that take their time
// over each answer keep a worker no longer.
const tryTime = 2 * time.Minute

var (
	errLeaseLost = errors.New("another process works on this item")
	errTryTime   = fmt.Errorf("the repair took longer than %v", tryTime)
)

// dispatch has workers repair what is due, until ctx ends.
func (q *queue) dispatch(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	free := make(chan struct{}, q.workers)
	for {
		select {
		case <-ctx.Done():
			return
		case free <- struct{}{}:
		}
		slot, ok := q.await(ctx)
		if !ok {
			return
		}
		group.Go(func() {
			defer func() { <-free }()
			q.work(ctx, slot)
		})
	}
}

// await returns the next item that is due. Not ok: ctx ended.
func (q *queue) await(ctx context.Context) (guardian.Slot, bool) {
	for ctx.Err() == nil {
		slot, wait, ok := q.index.next(q.now())
		if ok {
			return slot, true
		}
		if q.index.drained() {
			q.setNextPass(time.Time{}) // by the next look
		}
		timer := time.NewTimer(min(wait, q.poll))
		select {
		case <-ctx.Done():
		case <-q.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	return guardian.Slot{}, false
}

// work makes one attempt at one item.
func (q *queue) work(ctx context.Context, slot guardian.Slot) {
	h, ok := q.lease(ctx, slot)
	if !ok {
		return
	}
	report, err := q.attempt(ctx, &h)
	report.SlotName = SlotName(slot)
	v := resultStays
	switch {
	case err == nil, errors.Is(err, errGone):
		v = resultLeaves
	case ctx.Err() != nil, errors.Is(err, errLeaseLost):
		v = resultUntried
	}
	report.Outcome = outcomeOf(report, err)
	now := q.now()
	until := now
	if !q.settle(ctx, h, report, err, v) {
		until = now.Add(storageRest)
	}
	q.index.rest(slot, until, now)
	if v != resultUntried {
		q.note(h.item, report, err)
	}
	signal(q.changed)
}

func outcomeOf(report Report, err error) string {
	switch {
	case errors.Is(err, errGone):
		return OutcomeUnknown
	case err != nil:
		return OutcomeFailed
	case report.Outcome == OutcomeRepaired:
		return OutcomeRepaired
	default:
		return OutcomeVerified
	}
}

// attempt heals while it keeps the lease.
func (q *queue) attempt(ctx context.Context, h *held) (Report, error) {
	ctx, stop := context.WithTimeoutCause(ctx, tryTime, errTryTime)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var report Report
	var err error
	slot, done := h.item.slot(), make(chan struct{})
	go func() {
		defer close(done)
		report, err = q.heal(ctx, slot)
	}()
	q.keep(ctx, h, done, cancel)
	<-done
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, errGone) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return report, err
}

// keep renews the lease until the work is done, and breaks the work off when the
// lease is lost.
func (q *queue) keep(ctx context.Context, h *held, done <-chan struct{}, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(renewTime)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
			if q.renew(ctx, h) {
				cancel(errLeaseLost)
				return
			}
		}
	}
}

// note counts and logs an attempt. Only the first failure of an item is worth a
// warning.
func (q *queue) note(item queued, report Report, err error) {
	q.summary.note(report, q.now())
	log := q.log.With("identity", item.slot().Short(), "outcome", report.Outcome, "reason", item.Reason)
	switch {
	case report.Outcome == OutcomeFailed && item.Attempts == 0:
		log.Warn("repair failed, to be tried again", "error", problemText(err))
	case report.Outcome == OutcomeFailed:
		log.Debug("repair failed again", "attempts", item.Attempts+1, "error", problemText(err))
	case report.Outcome == OutcomeRepaired:
		log.Info("share repaired", "version", report.After.Version, "good", report.After.Good, "n", report.After.N)
	default:
		log.Debug("nothing to repair")
	}
}
