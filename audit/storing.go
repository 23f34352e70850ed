package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// run stores batches until the closing line is stored or closing gives up.
func (k *keeper) run() {
	defer close(k.ended)
	defer k.stop()
	k.log.Info("audit chain started", "chain", k.chain.name)
	for {
		closed, err := k.flush()
		if closed && (err == nil || k.ctx.Err() != nil) {
			k.err = k.ending(err)
			return
		}
		if err != nil {
			k.retry = min(max(2*k.retry, firstRetry), lastRetry)
		}
		k.pause(cmp.Or(k.retry, storeInterval))
	}
}

func (k *keeper) pause(most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.wake:
	case <-k.ctx.Done():
	}
}

// flush makes one attempt at storing all lines there are, and tells those who
// waited for it as it began. Closed is true when the closing line is one of
// them.
func (k *keeper) flush() (closed bool, err error) {
	b, closed := k.take()
	k.waiting = append(k.waiting, b.bodies...)
	b.err = k.storeWaiting()
	k.report(b.err)
	close(b.done)
	return closed, b.err
}

func (k *keeper) take() (b *batch, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, k.open = k.open, newBatch()
	return b, k.closed
}

func (k *keeper) storeWaiting() error {
	for k.sealed != nil || len(k.waiting) > 0 {
		if k.sealed == nil {
			s, err := k.chain.seal(k.waiting)
			if err != nil {
				return err
			}
			k.sealed, k.waiting = &s, k.waiting[s.lines:]
		}
		if err := k.put(*k.sealed); err != nil {
			return err
		}
		k.stored(*k.sealed)
		k.sealed, k.retry = nil, 0
	}
	k.waiting = nil
	return nil
}

func (k *keeper) put(s segment) error {
	ctx, cancel := context.WithTimeout(k.ctx, putTimeout)
	defer cancel()
	if err := k.store.PutSegment(ctx, s.name, s.data); err != nil {
		return fmt.Errorf("storing segment %s: %w", s.name, err)
	}
	return nil
}

// stored makes room, and tells the chain of lost lines as soon as there is some.
func (k *keeper) stored(s segment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.backlog -= s.counted
	k.tellLost()
}

// report counts, and logs when storing begins to fail and when all is well
// again, which after a loss needs some room for lines.
func (k *keeper) report(err error) {
	k.mu.Lock()
	before, stats, roomy := k.failing, Stats{BacklogBytes: k.backlog, Lost: k.lost}, k.backlog < k.maxBacklog/2
	k.failing = err
	if err != nil {
		k.failures++
	}
	k.mu.Unlock()
	switch {
	case err != nil && before == nil:
		k.log.Error("audit lines cannot be stored: they wait and are tried again",
			"error", err, "backlog_bytes", stats.BacklogBytes, "required", k.required)
	case err == nil && before != nil:
		k.log.Info("audit lines are stored again", "lost", stats.Lost)
	}
	if err == nil && roomy && k.losing.CompareAndSwap(true, false) {
		k.log.Info("audit lines are no longer lost", "lost", stats.Lost)
	}
}

// ending is the answer of close after an attempt that ended with err.
func (k *keeper) ending(err error) error {
	if err == nil {
		k.log.Info("audit chain closed", "chain", k.chain.name, "lines", k.chain.seq)
		return nil
	}
	left := len(k.waiting)
	if k.sealed != nil {
		left += k.sealed.lines
	}
	return fmt.Errorf("%w: %d lines are left: %w", ErrNotKept, left, err)
}
