package peer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
)

// errTooManyHandshakes reports who was pushed out of a queue.
var errTooManyHandshakes = errors.New("too many handshakes at once")

// queue holds those who have not proved to be members yet, in order of arrival
// and never more than most. It is safe for concurrent use.
type queue struct {
	most int

	mu      sync.Mutex
	waiting []*caller
}

type caller struct {
	network netip.Prefix
	push    context.CancelCauseFunc
}

// enter returns a context of ctx that ends with leave, or before that with
// errTooManyHandshakes, when somebody else takes the place.
func (q *queue) enter(ctx context.Context, network netip.Prefix) (_ context.Context, leave func()) {
	ctx, push := context.WithCancelCause(ctx)
	entering := &caller{network, push}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most {
		q.pushOut()
	}
	q.waiting = append(q.waiting, entering)
	return ctx, func() { q.leave(entering) }
}

// pushOut ends the wait of the oldest of those whose network has the most.
func (q *queue) pushOut() {
	of := map[netip.Prefix]int{}
	most := 0
	for _, c := range q.waiting {
		of[c.network]++
		most = max(most, of[c.network])
	}
	oldest := slices.IndexFunc(q.waiting, func(c *caller) bool { return of[c.network] == most })
	q.waiting[oldest].push(errTooManyHandshakes)
	q.waiting = slices.Delete(q.waiting, oldest, oldest+1)
}

func (q *queue) leave(leaving *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	leaving.push(nil)
	q.waiting = slices.DeleteFunc(q.waiting, func(c *caller) bool { return c == leaving })
}
