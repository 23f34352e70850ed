package repair

import (
	"context"
	"errors"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	// leaseTime is how long an item stays with a process that is not heard of.
	leaseTime = 60 * time.Second
	// renewTime is how often one that works on it renews its lease.
	renewTime = leaseTime / 3
	// settleTime bounds the writing down of what came of an attempt, which goes
	// on when the process is told to stop.
	settleTime = 5 * time.Second
	// settleTries and settlePause are how often, and how far apart at first.
	settleTries = 5
	settlePause = 50 * time.Millisecond
	// storageRest is how long an item rests that storage did not hand out.
	storageRest = time.Second

	firstBackoff = time.Second
	maxBackoff   = time.Hour
)

// held is an item under a lease of this process.
type held struct {
	item queued // as it was last written
	rev  backend.Revision
	adds uint64 // the wishes there were when the lease was taken
}

// lease takes an item that the index has for due. Not ok: not now, and the index
// knows when.
func (q *queue) lease(ctx context.Context, slot guardian.Slot) (held, bool) {
	item, rev, err := q.read(ctx, slot)
	now := q.now()
	if err == nil && item.dueAt(q.id, now, q.index.lastWoken()) > now.UnixNano() {
		q.index.observe(item, now)
		q.index.rest(slot, now, now)
		return held{}, false
	}
	if err == nil {
		item.Holder, item.LeaseNS = q.id, now.Add(leaseTime).UnixNano()
		rev, err = q.write(ctx, item, rev)
	}
	switch {
	case err == nil:
		return held{item, rev, item.Adds}, true
	case absent(err):
		q.index.drop(slot)
	case errors.Is(err, backend.ErrConflict):
		q.index.rest(slot, now, now)
	default:
		q.index.rest(slot, now.Add(storageRest), now)
	}
	return held{}, false
}

// renew extends the lease, and reports whether it is lost. Where storage does not
// say, it is not: who takes the item meanwhile repairs what is whole.
func (q *queue) renew(ctx context.Context, h *held) (lost bool) {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	item, rev, err := q.read(ctx, h.item.slot())
	if absent(err) || err == nil && item.Holder != q.id {
		return true
	}
	if err != nil {
		return false
	}
	item.LeaseNS = q.now().Add(leaseTime).UnixNano()
	if rev, err = q.write(ctx, item, rev); err == nil {
		h.item, h.rev = item, rev
	}
	return false
}

// result is what an attempt came to.
type result int

const (
	resultLeaves result = iota
	resultStays
	resultUntried // it was broken off from outside
)

// settle writes down what an attempt came to, gives up the lease, and reports
// whether that was possible. Otherwise the item will be tried again.
func (q *queue) settle(ctx context.Context, h held, report Report, failure error, v result) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	item, rev := h.item, h.rev
	var err error
	for try := range settleTries {
		if try > 0 {
			pause(ctx, settlePause<<try)
			if item, rev, err = q.read(ctx, h.item.slot()); absent(err) || err == nil && item.Holder != q.id {
				return true // as was written, or as the next holder did
			}
		}
		if err == nil {
			if err = q.settleAt(ctx, item, rev, h.adds, report, failure, v); err == nil {
				return true
			}
		}
	}
	q.log.Warn("the outcome of a repair could not be written down", "identity", h.item.slot().Short(), "error", err)
	return false
}

// settleAt writes the outcome over the item as it is now.
func (q *queue) settleAt(ctx context.Context, item queued, rev backend.Revision, adds uint64, report Report, failure error, v result) error {
	if v == resultLeaves && item.Adds == adds {
		err := q.store.Delete(ctx, itemKey(item.slot()), rev)
		if err == nil {
			q.index.drop(item.slot())
		}
		return err
	}
	_, err := q.write(ctx, item.after(report, failure, v, q.now(), q.poll), rev)
	return err
}

// after returns an item that stays, as it is put back.
func (i queued) after(report Report, failure error, v result, now time.Time, poll time.Duration) queued {
	i.Holder, i.LeaseNS = "", 0
	if v == resultUntried {
		return i
	}
	i.Report, i.TriedNS = &report, now.UnixNano()
	if report.After.N > 0 {
		i.Good = report.After.Good
	}
	if v == resultLeaves { // a wish came meanwhile
		i.Attempts, i.LastError, i.NextNS = 0, "", now.UnixNano()
		return i
	}
	i.Attempts++
	i.LastError = problemText(failure)
	i.NextNS = now.Add(backoff(i.Attempts, min(poll, firstBackoff))).UnixNano()
	return i
}

// backoff returns the time to the next attempt: first after one, then doubling
// up to an hour, less up to half of it, so that what failed together is not
// tried together.
func backoff(attempts int, first time.Duration) time.Duration {
	d := first
	for range attempts - 1 {
		if d *= 2; d >= maxBackoff {
			d = maxBackoff
			break
		}
	}
	return d/2 + time.Duration(newRandom().Int64N(int64(d/2)+1))
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func absent(err error) bool { return errors.Is(err, backend.ErrNotFound) }
