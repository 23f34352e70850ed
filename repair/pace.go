package repair

import (
	"context"
	"errors"
	"time"
)

// A pacer works for a tenth of the time: a stretch, and then a rest of restTimes
// as long. What it measures is the wall clock, an upper bound of the processor
// time of one goroutine at a time: a request that the storage takes its time over
// counts as work, one that another guardian does not (pacedConn). Debts of more
// than longestStretch are forgiven, so that a process which was stopped for an
// hour does not rest for nine.
const (
	restTimes      = 9
	shortStretch   = 20 * time.Millisecond
	longestStretch = 10 * time.Second
	// restSlice is how often whoever rests may do what cannot wait, as to renew
	// a lease.
	restSlice = 5 * time.Second
)

// pacer lets one of its workers work at a time, and none while one rests. The
// zero pacer is not ready: see newPacer.
type pacer struct {
	turn chan turn // holds the turn while nobody has it
}

// turn is the right to work, with the work that nobody has rested from yet.
type turn struct{ owed time.Duration }

func newPacer() *pacer {
	p := &pacer{make(chan turn, 1)}
	p.turn <- turn{}
	return p
}

// worker is one of those who share a pacer. It is for one goroutine.
type worker struct {
	pacer *pacer
	// between is called in every slice of a rest, or of the wait for the next
	// turn; may be nil.
	between func(context.Context) error

	turn  turn
	has   bool
	since time.Time
	// worked is all that it has worked so far.
	worked time.Duration
}

// begin waits for the turn. Whoever got it calls end.
func (p *pacer) begin(ctx context.Context, between func(context.Context) error) (*worker, error) {
	w := &worker{pacer: p}
	err := w.take(ctx)
	w.between = between // of whoever has had a turn
	return w, err
}

func (w *worker) take(ctx context.Context) error {
	ticker := time.NewTicker(restSlice)
	defer ticker.Stop()
	for {
		select {
		case w.turn = <-w.pacer.turn:
			w.has, w.since = true, time.Now()
			return nil
		case <-ticker.C:
			if err := w.callBetween(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *worker) callBetween(ctx context.Context) error {
	if w.between == nil {
		return nil
	}
	return w.between(ctx)
}

// end hands the turn over. Only the first call counts.
func (w *worker) end() {
	if w.has {
		w.account()
		w.has = false
		w.pacer.turn <- w.turn
	}
}

// account adds what was worked since the last time, if it has the turn.
func (w *worker) account() {
	if !w.has {
		return
	}
	now := time.Now()
	worked := now.Sub(w.since)
	w.since = now
	w.worked += worked
	w.turn.owed = min(w.turn.owed+worked, longestStretch)
}

// breathe is called between two pieces of work. After a stretch it rests, lets
// the other workers have their turn, and waits for its next one.
func (w *worker) breathe(ctx context.Context) error {
	w.account()
	if w.turn.owed < shortStretch {
		return ctx.Err()
	}
	if err := w.rest(ctx); err != nil {
		return err
	}
	w.end()
	return w.take(ctx)
}

func (w *worker) rest(ctx context.Context) error {
	left := restTimes * w.turn.owed
	w.turn.owed = 0
	for left > 0 {
		slice := min(left, restSlice)
		if err := sleep(ctx, slice); err != nil {
			return err
		}
		left -= slice
		w.since = time.Now()
		if err := w.callBetween(ctx); err != nil {
			return err
		}
		w.account() // rested from after the next stretch
	}
	return nil
}

// pacedCallTime bounds one call to another guardian. It is what that one has for
// its part of it: who waits so long for its turn there is told that it is busy.
const pacedCallTime = 30 * time.Second

// errNoAnswer is why a call that took longer was given up.
var errNoAnswer = errors.New("it did not answer in time")

// pacedConn gives the turn back while another guardian has the word: what that
// one takes its time over holds up nobody else who shares the pacer, and is not
// rested from.
type pacedConn struct {
	Conn
	worker *worker
}

// Call is that of a Conn, for pacedCallTime.
func (c pacedConn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	c.worker.end()
	limited, cancel := context.WithTimeoutCause(ctx, pacedCallTime, errNoAnswer)
	defer cancel()
	answer, err := c.Conn.Call(limited, route, body)
	if turnErr := c.worker.take(ctx); turnErr != nil {
		return nil, turnErr
	}
	return answer, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
