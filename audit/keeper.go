package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// storeInterval is the longest that a line waits before the first attempt
	// at storing it.
	storeInterval = 10 * time.Second
	// putTimeout bounds storing one segment.
	putTimeout = 10 * time.Second
	// firstRetry and lastRetry bound the pauses after attempts that failed.
	firstRetry = time.Second
	lastRetry  = 32 * time.Second
	// maxBacklog bounds the lines that wait, in bytes.
	maxBacklog = 32 << 20
)

var errBacklogFull = errors.New("too many lines wait to be stored")

// keeper brings lines into the store. Callers add encoded entries to the open
// batch; one goroutine takes the batch, seals its lines into segments and
// stores them in order, one at a time. What comes meanwhile is the next batch.
//
// A segment that was sealed is stored as it is, under its name, however often
// that takes, before anything else is: an attempt that failed may have been
// carried out, and then only the same bytes are no second history.
type keeper struct {
	store      Store
	required   bool
	log        *slog.Logger
	maxBacklog int

	ctx   context.Context // of storing; ends when closing has to give up
	stop  context.CancelFunc
	wake  chan struct{} // holds one token when storing should not wait
	ended chan struct{} // closed when run has returned
	err   error         // what close returns, set before ended is closed

	losing atomic.Bool // lines were lost since the backlog was last in order

	mu       sync.Mutex // guards what follows
	open     *batch
	backlog  int    // bytes of all lines that are not stored
	untold   uint64 // lines lost that the chain has no line about
	lost     uint64
	failures uint64
	failing  error // of the last attempt
	closed   bool

	// The rest belongs to run.
	chain   chain
	waiting [][]byte      // taken from batches, not sealed
	sealed  *segment      // not known to be stored
	retry   time.Duration // pause after the attempt that failed, 0 when none did
}

// batch is lines that are told of together whether they are stored.
type batch struct {
	bodies [][]byte
	done   chan struct{}
	err    error // set before done is closed
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// newKeeper returns a keeper with the first line of a new chain in its batch.
func newKeeper(cfg Config) *keeper {
	c, start := newChain(cfg.Sealer, cfg.NodeID, cfg.Program)
	k := &keeper{
		store: cfg.Store, required: cfg.Required, log: cfg.Logger, maxBacklog: maxBacklog,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		open: newBatch(), chain: c,
	}
	k.ctx, k.stop = context.WithCancel(context.Background())
	k.push(start)
	return k
}

// keep is Log.Record.
func (k *keeper) keep(ctx context.Context, entry Entry) error {
	b, err := k.add(encode(entry))
	switch {
	case errors.Is(err, ErrClosed):
		return err
	case err != nil:
		return k.dropped(err)
	case !k.required:
		return nil
	}
	return b.wait(ctx)
}

// add puts a line into the open batch and returns that, or drops the line. Once
// one is dropped all are, until the chain has been told.
func (k *keeper) add(body []byte) (*batch, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, ErrClosed)
	}
	if k.required || k.failing == nil && len(k.open.bodies)+1 >= segmentLines {
		k.hurry()
	}
	if k.untold > 0 || k.backlog+lineSize(body) > k.maxBacklog {
		k.drop()
		return nil, k.full()
	}
	k.pushEncoded(body)
	return k.open, nil
}

func (k *keeper) full() error {
	if k.failing == nil {
		return errBacklogFull
	}
	return fmt.Errorf("%w: %w", errBacklogFull, k.failing)
}

// lose drops a line that could not be made.
func (k *keeper) lose(reason error) error {
	k.mu.Lock()
	k.drop()
	if !k.closed && k.backlog < k.maxBacklog {
		k.tellLost()
	}
	k.mu.Unlock()
	return k.dropped(reason)
}

func (k *keeper) drop() {
	k.untold++
	k.lost++
}

// dropped answers for a line that was dropped, and logs the first of many.
func (k *keeper) dropped(reason error) error {
	if k.losing.CompareAndSwap(false, true) {
		k.log.Error("audit lines are lost", "error", reason)
	}
	if !k.required {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNotKept, reason)
}

// wait returns when the batch was stored or not, or ctx ends.
func (b *batch) wait(ctx context.Context) error {
	select {
	case <-b.done:
		if b.err != nil {
			return fmt.Errorf("%w: %w", ErrNotKept, b.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for it to be stored: %w", ErrNotKept, context.Cause(ctx))
	}
}

func (k *keeper) push(entry Entry) { k.pushEncoded(encode(entry)) }

func (k *keeper) pushEncoded(body []byte) {
	k.open.bodies = append(k.open.bodies, body)
	k.backlog += lineSize(body)
}

// tellLost adds the line about lines that were dropped. All those that were not
// came before.
func (k *keeper) tellLost() {
	if k.untold == 0 {
		return
	}
	k.push(Entry{Time: time.Now().UTC(), Kind: Lost, Lost: k.untold})
	k.untold = 0
	k.hurry()
}

func (k *keeper) hurry() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// close is Log.Close.
func (k *keeper) close(ctx context.Context) error {
	k.finish()
	giveUp := context.AfterFunc(ctx, k.stop)
	defer giveUp()
	<-k.ended
	return k.err
}

func (k *keeper) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.tellLost()
	k.push(Entry{Time: time.Now().UTC(), Kind: End})
	k.closed = true
	k.hurry()
}

func (k *keeper) stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Stats{BacklogBytes: k.backlog, Lost: k.lost, Failures: k.failures}
}
