package repair

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// Reason says why a slot was queued for repair.
type Reason string

// The reasons.
const (
	// ReasonDamaged: a read or a scrub found a share that is not what was sealed.
	ReasonDamaged Reason = "damaged"
	// ReasonMissing: a share that should be here is not.
	ReasonMissing Reason = "missing"
	// ReasonStale: a peer holds a later version.
	ReasonStale Reason = "stale"
	// ReasonOperator: an operator asked, by command or by a file in the inbox.
	ReasonOperator Reason = "operator"
	// ReasonNotice: a peer gave a hint.
	ReasonNotice Reason = "notice"
)

// isHint reports whether such items rest on what other guardians say, who can say
// it of as many slots as they like.
func (r Reason) isHint() bool {
	return r == ReasonMissing || r == ReasonStale || r == ReasonNotice
}

// Item is a wish to have one slot repaired.
type Item struct {
	Slot   guardian.Slot
	Reason Reason
	// Good is how many good shares there are at most, -1 when nobody counted.
	Good int
	// File names the file of the inbox that asked for it, if one did.
	File string
}

// errGone reports a slot that neither this node nor any peer knows: there is
// nothing to repair.
var errGone = errors.New("nobody knows this slot")

var errInvalidSlot = errors.New("not a slot")

// healFunc repairs one slot. A nil error says that the share was verified, and
// one that wraps errGone that there is none: the item leaves the queue. With any
// other error it stays, to be tried again.
type healFunc func(ctx context.Context, slot guardian.Slot) (Report, error)

// namesFunc returns the names of the secrets that this node knows of an
// identity.
type namesFunc func(ctx context.Context, identity string) ([]string, error)

// queue is the repair queue of one node: an object per slot, which several
// replicas of the node work on side by side and which outlives them all. Who
// works on an item holds a lease on it, by the clocks of the replicas: where
// those are further apart than a lease, two may repair one slot at once, which
// does no harm. It is safe for concurrent use.
type queue struct {
	store backend.Backend
	heal  healFunc
	names namesFunc
	log   *slog.Logger
	now   func() time.Time

	poll    time.Duration
	workers int
	id      string // of this process, in leases

	index   *queueIndex
	inbox   *inbox
	summary *summary

	damaged chan guardian.Slot // that nobody queued yet
	dropped atomic.Int64       // hints that found the queue full of them
	changed chan struct{}      // something may have become due
	looking chan struct{}      // look at storage now

	passing  sync.Mutex // held during a pass over the items
	foreign  int        // objects that are no items, seen by the last pass
	failing  bool       // the last look failed; the loop's own
	mu       sync.Mutex // guards nextPass
	nextPass time.Time
}

const (
	// maxDamaged bounds the slots that noteDamaged keeps.
	maxDamaged = 1000
	// maxHinted bounds the items that are hints of others.
	maxHinted = 10_000
)

// newQueue returns the queue kept in store, which is confined to it. Nothing is
// worked on before run.
func newQueue(cfg Config, store backend.Backend, heal healFunc, names namesFunc) *queue {
	cfg.fill()
	q := &queue{
		store: store, heal: heal, names: names, log: cfg.Logger, now: cfg.Now,
		poll: cfg.Poll, workers: cfg.Workers, id: rand.Text(),
		damaged: make(chan guardian.Slot, maxDamaged),
		changed: make(chan struct{}, 1), looking: make(chan struct{}, 1),
	}
	q.index = newQueueIndex(q.id, indexLimit)
	q.inbox = newInbox(q)
	q.summary = &summary{store: store, log: q.log}
	return q
}

// addAttempts bounds the lost races of one add.
const addAttempts = 20

// add queues an item, or merges it into that of the same slot: the earliest time
// of adding and the lowest count of good shares stay, a wish of an operator ends
// the backoff, and one that comes while the slot is being repaired has it
// repaired once more. Nil: the item is durable, or is a hint of which there are
// too many, for a scrub or a comparison to find again. With an error it may be
// durable, and adding it again does no harm.
func (q *queue) add(ctx context.Context, item Item) error {
	if !item.Slot.Valid() {
		return fmt.Errorf("queueing %.8q: %w", item.Slot.Identity, errInvalidSlot)
	}
	if item.Reason.isHint() && q.index.isFullFor(item.Slot) {
		q.drop()
		return nil
	}
	fresh := newQueued(item, q.now())
	rev, err := q.write(ctx, fresh, backend.Revision{})
	for range addAttempts {
		if !errors.Is(err, backend.ErrConflict) {
			break
		}
		if rev, err = q.merge(ctx, item); errors.Is(err, backend.ErrNotFound) {
			rev, err = q.write(ctx, fresh, backend.Revision{})
		}
	}
	if err != nil {
		return fmt.Errorf("queueing %s for repair: %w", item.Slot.Short(), err)
	}
	if !rev.IsZero() {
		signal(q.changed)
	}
	return nil
}

// drop counts a hint that is not taken in, and says so when they begin.
func (q *queue) drop() {
	if q.dropped.Add(1) == 1 {
		q.log.Warn("the repair queue is full of what other guardians say is missing or stale: more of it is dropped", "limit", maxHinted)
	}
}

// tellDropped says how many hints were dropped, when there is much room again.
func (q *queue) tellDropped() {
	if q.index.hinted() > maxHinted/2 {
		return
	}
	if n := q.dropped.Swap(0); n > 0 {
		q.log.Info("the repair queue has room for hints of other guardians again", "dropped", n)
	}
}

// merge adds to an item that is there. The zero revision tells that it asked for
// all this already.
func (q *queue) merge(ctx context.Context, item Item) (backend.Revision, error) {
	stored, rev, err := q.read(ctx, item.Slot)
	if err != nil {
		return rev, err
	}
	merged, differs := stored.merged(item, q.now())
	if !differs {
		q.index.observe(stored, q.now())
		return backend.Revision{}, nil
	}
	return q.write(ctx, merged, rev)
}

// noteDamaged has a slot queued by run. It does not wait: what is too much is
// dropped, for the next read or scrub to find again. So is what is under repair
// here: it is the repair that finds it damaged, and once is enough.
func (q *queue) noteDamaged(slot guardian.Slot) {
	if q.index.isWorking(slot) {
		return
	}
	select {
	case q.damaged <- slot:
	default:
	}
}

// addDamaged queues what was noted, until ctx ends.
func (q *queue) addDamaged(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case slot := <-q.damaged:
			if err := q.add(ctx, Item{Slot: slot, Reason: ReasonDamaged, Good: -1}); err != nil {
				q.log.Warn("a damaged share is left to the next scrub", "error", err)
			}
		}
	}
}

// figures returns how many items there are, as this process knows, and what it
// has done since it began. It reads nothing.
func (q *queue) figures() (queued int, done Totals) {
	sum, _ := q.index.counts(q.now())
	return sum.queued, q.summary.mine()
}

// wake has all that is queued tried now, whatever its backoff, and storage
// looked at.
func (q *queue) wake() {
	q.index.wake(q.now())
	q.mu.Lock()
	q.nextPass = time.Time{}
	q.mu.Unlock()
	signal(q.looking)
	signal(q.changed)
}

// run works on the queue and its inbox until ctx ends and all work on items has
// ended with it.
func (q *queue) run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { q.lookOn(ctx) })
	group.Go(func() { q.dispatch(ctx) })
	group.Go(func() { q.addDamaged(ctx) })
	group.Wait()
	q.summary.flush(ctx)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
