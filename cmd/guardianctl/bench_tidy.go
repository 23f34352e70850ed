package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	// benchTidying bounds deleting what was stored once the run is interrupted, and
	// how long a delete waits for a guardian that bounds how often it is asked.
	benchTidying = time.Minute
	// removeTries is how often a delete is tried, and as many in a row that fail end
	// the deletes of a lane.
	removeTries = 3
	removePause = 300 * time.Millisecond
)

// benchLeft is what is still there of what was stored on a guardian.
type benchLeft struct {
	Guardian   string   `json:"guardian"`
	Identities []string `json:"identities"`
}

// tidy deletes what was stored, and remembers what could not be.
func (r *benchRun) tidy(ctx context.Context) {
	r.doing.Store("deleting what was stored")
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if interrupted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, benchTidying)
		defer cancel()
	}
	for _, target := range r.targets {
		rest := make([][]string, len(target.lanes))
		var lanes sync.WaitGroup
		for at, l := range target.lanes {
			lanes.Go(func() { rest[at] = r.tidyLane(ctx, l) })
		}
		lanes.Wait()
		for at, url := range target.urls {
			left := benchLeft{Guardian: url}
			for lane := at; lane < len(rest); lane += len(target.urls) {
				left.Identities = append(left.Identities, rest[lane]...)
			}
			if len(left.Identities) > 0 {
				r.left = append(r.left, left)
			}
		}
	}
}

func (r *benchRun) tidyLane(ctx context.Context, l *lane) (left []string) {
	failed := 0
	for _, i := range l.created {
		if r.plan.keep || failed >= removeTries || !r.remove(ctx, l, i) {
			left = append(left, i.digits)
			failed++
			continue
		}
		failed = 0
		r.done.Add(1)
	}
	return left
}

func (r *benchRun) remove(ctx context.Context, l *lane, i *benchIdentity) bool {
	for tries, began := 0, time.Now(); tries < removeTries && ctx.Err() == nil; {
		err := r.plan.within(ctx, func(ctx context.Context) error { return l.remove(ctx, i) })
		if err == nil {
			return true
		}
		pause := removePause
		if limited, ok := errors.AsType[*api.RateLimitedError](err); ok && time.Since(began) < benchTidying {
			pause = min(max(pause, limited.RetryAfter), benchTidying)
		} else {
			tries++
		}
		sleepFor(ctx, pause)
	}
	return false
}
