package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	// waitForAll is the patience while nothing is settled yet.
	waitForAll time.Duration = 0
	// grace is what stragglers get once their answer cannot change the outcome.
	grace = time.Second
	// longGrace is what they get while one more share would let the others be
	// checked.
	longGrace = 3 * time.Second

	firstDelay = 50 * time.Millisecond
	lastDelay  = 2 * time.Second
	// longestWait bounds what is waited because a guardian asks for it.
	longestWait = time.Minute
)

// answer is what the guardian at a position (from 0) gave.
type answer[T any] struct {
	position int
	value    T
	err      error
}

// fanOut runs work once for each position, side by side, hands the answers to
// settled one after the other as they come, and returns when every work has.
// A failure ends nobody else's work; what settled returns is how much longer
// the rest may take before their context ends, the soonest such end counts.
func fanOut[T any](ctx context.Context, positions []int, work func(context.Context, int) (T, error), settled func(answer[T]) time.Duration) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make(chan answer[T], len(positions))
	for _, position := range positions {
		go func() {
			value, err := work(ctx, position)
			answers <- answer[T]{position, value, err}
		}()
	}
	var end time.Time
	for range positions {
		patience := settled(<-answers)
		if soonest := time.Now().Add(patience); patience != waitForAll && (end.IsZero() || soonest.Before(end)) {
			end = soonest
			timer := time.AfterFunc(patience, func() { cancel(errStraggler) })
			defer timer.Stop()
		}
	}
}

// graceOnce is a grace for the rest once a thing is so.
func graceOnce(settled bool) time.Duration {
	if settled {
		return grace
	}
	return waitForAll
}

// firstHalf leaves half of the time that ctx still has to what comes after it.
func firstHalf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// persist repeats a call while its error is retriable, at most so many times
// (0: until ctx ends), with a growing delay that is spread at random so that
// clients do not come back all at once. It returns the last error that a
// guardian gave rather than that of ctx.
func persist(ctx context.Context, attempts int, call func() error) error {
	var last error
	for attempt, delay := 1, firstDelay; ; attempt, delay = attempt+1, min(2*delay, lastDelay) {
		err := call()
		if ctx.Err() != nil && last != nil && err != nil {
			return last
		}
		if err == nil || attempt == attempts || !retriable(err) {
			return err
		}
		if wait, worthIt := pause(ctx, err, delay); !worthIt || !sleep(ctx, wait) {
			return err
		}
		last = err
	}
}

// pause is how long to wait after an error: a delay, and what a guardian asks
// for that limits how often it is called. That is not worth it where ctx ends
// before.
func pause(ctx context.Context, err error, delay time.Duration) (wait time.Duration, worthIt bool) {
	wait = spread(delay)
	limited, ok := errors.AsType[*api.RateLimitedError](err)
	if !ok {
		return wait, true
	}
	wait += limited.RetryAfter
	deadline, bounded := ctx.Deadline()
	return wait, wait <= longestWait && (!bounded || wait < time.Until(deadline))
}

// spread returns half to all of a delay, at random.
func spread(delay time.Duration) time.Duration {
	return delay/2 + rand.N(delay/2) //nolint:gosec // nothing depends on nobody guessing it
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
