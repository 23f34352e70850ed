package repair

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"golang.org/x/sync/errgroup"
)

const (
	// queueReaders bounds the objects of the queue that are read or written at a time.
	queueReaders = 16
	// queueBatch bounds the listed items that wait to be read.
	queueBatch = 256
	// restFactor is how many times as long as a pass took nothing looks at all
	// items again.
	restFactor = 9
)

// lookOn looks at storage until ctx ends, every poll and when told to.
func (q *queue) lookOn(ctx context.Context) {
	ticker := time.NewTicker(q.poll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		q.look(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-q.looking:
		}
	}
}

// look takes in the inbox and sees what others did. Its errors are logged when
// they begin and when they end.
func (q *queue) look(ctx context.Context) {
	err := q.inbox.take(ctx)
	if q.passDue() {
		began := time.Now() // not q.now: a change of the time of day is no time that passes
		for _, each := range []func(context.Context) error{q.pass, q.inbox.count} {
			if problem := each(ctx); err == nil {
				err = problem
			}
		}
		q.setNextPass(time.Now().Add(restFactor * time.Since(began)))
	}
	q.tellDropped()
	q.summary.flush(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && !q.failing:
		q.log.Warn("looking at the repair queue", "error", err)
	case err == nil && q.failing:
		q.log.Info("the repair queue can be read again")
	}
	q.failing = err != nil
}

func (q *queue) passDue() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !time.Now().Before(q.nextPass)
}

func (q *queue) setNextPass(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.nextPass = at
}

// pass reads what is new or changed of all items. Those that a pass before read
// twice and that are listed as they were are not read again.
func (q *queue) pass(ctx context.Context) error {
	q.passing.Lock()
	defer q.passing.Unlock()
	return q.passLocked(ctx)
}

func (q *queue) passLocked(ctx context.Context) error {
	q.index.beginPass()
	p := queuePass{queue: q}
	var batch []listedItem
	foreign := 0
	for entry, err := range q.store.List(ctx, prefixItems, "") {
		if err != nil {
			return fmt.Errorf("listing the repair queue: %w", err)
		}
		slot, ok := itemSlot(entry.Key)
		if !ok {
			foreign++
		}
		if !ok || q.index.known(slot, entry, q.now(), &p.sum) {
			continue
		}
		if batch = append(batch, listedItem{slot, entry}); len(batch) == queueBatch {
			if err := p.read(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := p.read(ctx, batch); err != nil {
		return err
	}
	if foreign > 0 && foreign != q.foreign {
		q.log.Warn("objects in the repair queue that are no items are passed over", "count", foreign)
	}
	q.foreign = foreign
	q.index.endPass(p.sum)
	return nil
}

type listedItem struct {
	slot  guardian.Slot
	entry backend.Entry
}

// queuePass is one pass over all items.
type queuePass struct {
	*queue
	mu  sync.Mutex // guards sum where items are read side by side
	sum itemCounts
}

func (p *queuePass) read(ctx context.Context, batch []listedItem) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(queueReaders)
	for _, listed := range batch {
		group.Go(func() error { return p.readOne(ctx, listed) })
	}
	err := group.Wait()
	signal(p.changed)
	return err
}

func (p *queuePass) readOne(ctx context.Context, listed listedItem) error {
	item, _, err := p.queue.read(ctx, listed.slot)
	if absent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the repair queue: %w", err)
	}
	now := p.now()
	p.index.found(item, listed.entry, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.add(item.Reason, item.dueAt(p.id, now, 0), false, now)
	return nil
}
