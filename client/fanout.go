package client

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// grace is what stragglers get once their answer cannot change the outcome.
	grace = time.Second

	firstDelay = 50 * time.Millisecond
	lastDelay  = 2 * time.Second
)

// answer is what the guardian at a position (from 0) gave.
type answer[T any] struct {
	position int
	value    T
	err      error
}

// fanOut runs work once for each position, side by side, hands the answers to
// settled one after the other as they come, and returns when every work has.
// A failure ends nobody else's work; after the first settled call that
// returns true the rest have a grace before their context ends.
func fanOut[T any](ctx context.Context, positions []int, work func(context.Context, int) (T, error), settled func(answer[T]) bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make(chan answer[T], len(positions))
	for _, position := range positions {
		go func() {
			value, err := work(ctx, position)
			answers <- answer[T]{position, value, err}
		}()
	}
	var deadline *time.Timer
	for range positions {
		if settled(<-answers) && deadline == nil {
			deadline = time.AfterFunc(grace, func() { cancel(errStraggler) })
			defer deadline.Stop()
		}
	}
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
		spread := rand.N(delay / 2) //nolint:gosec // nothing depends on nobody guessing it
		if err == nil || attempt == attempts || !retriable(err) || !sleep(ctx, delay/2+spread) {
			return err
		}
		last = err
	}
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
