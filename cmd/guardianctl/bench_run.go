package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
)

const (
	// prepareTries is how often storing one of the identities that there are from the
	// start is tried, and preparePause the first pause between, which doubles.
	prepareTries = 5
	preparePause = 300 * time.Millisecond
)

// benchRun is one run of a plan.
type benchRun struct {
	plan    benchPlan
	targets []*benchTarget
	// turns are those of each target, in order.
	turns [][]*benchTurn
	left  []benchLeft
	// measured is set once all turns were.
	measured bool

	doing atomic.Value // a text
	done  atomic.Int64 // requests
}

// carryOut measures, and deletes what it stored however that ends.
func (r *benchRun) carryOut(ctx context.Context, progress io.Writer) error {
	r.doing.Store("starting")
	defer showLine(progress, func(seconds int) string {
		return fmt.Sprintf("%d s: %s, %d requests ...", seconds, r.doing.Load(), r.done.Load())
	})()
	err := r.measure(ctx)
	r.measured = err == nil
	r.tidy(ctx)
	switch {
	case ctx.Err() != nil:
		return errors.Join(interrupted(ctx), leftError(r.left, r.plan.keep))
	case err != nil:
		return errors.Join(err, leftError(r.left, r.plan.keep))
	}
	return nil
}

func (r *benchRun) measure(ctx context.Context) error {
	for _, target := range r.targets {
		if err := target.reach(ctx, r.plan); err != nil {
			return err
		}
	}
	for _, target := range r.targets {
		r.doing.Store("storing the identities that there are from the start")
		if err := r.prepare(ctx, target); err != nil {
			return err
		}
	}
	for _, target := range r.targets {
		r.doing.Store("warming up")
		r.drive(ctx, target, r.plan.warmUp)
	}
	r.turns = make([][]*benchTurn, len(r.targets))
	for turn := range r.plan.turns {
		r.doing.Store(fmt.Sprintf("turn %d of %d", turn+1, r.plan.turns))
		for at := range r.targets {
			if turn%2 == 1 { // each comes first as often as the other
				at = len(r.targets) - 1 - at
			}
			measured := r.drive(ctx, r.targets[at], r.plan.duration/time.Duration(r.plan.turns))
			r.turns[at] = append(r.turns[at], measured)
		}
	}
	return ctx.Err()
}

// reach asks each guardian how it is, before anything is stored anywhere.
func (t *benchTarget) reach(ctx context.Context, plan benchPlan) error {
	for _, l := range t.lanes[:len(t.urls)] {
		if err := plan.within(ctx, l.health); err != nil {
			return failure(fmt.Errorf("asking the guardian how it is: %w", err), "bring it up, or correct --guardians and --against: nothing was stored")
		}
	}
	return nil
}

// prepare stores the first versions that the plan's operations need.
func (r *benchRun) prepare(ctx context.Context, target *benchTarget) error {
	if !r.plan.mix.needsKept() {
		return nil
	}
	var lanes errgroup.Group
	var failed atomic.Bool // what is under way then is still waited for, to know what is stored
	for at, l := range target.lanes {
		count := (r.plan.identities + len(target.lanes) - 1 - at) / len(target.lanes)
		lanes.Go(func() error {
			for range max(count, 1) {
				if failed.Load() {
					return nil
				}
				if err := r.prepareOne(ctx, l); err != nil {
					failed.Store(true)
					return err
				}
			}
			return nil
		})
	}
	if err := lanes.Wait(); err != nil {
		return &advisedError{exitFailure, fmt.Errorf("storing the identities that there are from the start: %w", err), benchAdvice(codeOf(err), r.plan)}
	}
	return nil
}

// prepareOne stores a first version. Where a guardian says that it could not just now,
// that is tried with another identity: a storage that was slow once in thousands is
// what there is to measure, and no reason to measure nothing.
func (r *benchRun) prepareOne(ctx context.Context, l *lane) error {
	for tries, pause := 1, preparePause; ; tries, pause = tries+1, 2*pause {
		err := r.plan.within(ctx, func(ctx context.Context) error {
			added, err := l.add(ctx)
			if err == nil {
				l.kept = append(l.kept, added)
			}
			return err
		})
		if err == nil {
			r.done.Add(1)
			return nil
		}
		if tries == prepareTries || !passes(err) {
			return err
		}
		sleepFor(ctx, pause)
	}
}

// passes tells what a guardian asks to be tried again from what it will refuse again.
func passes(err error) bool {
	return errors.Is(err, api.ErrStorageUnavailable) || errors.Is(err, api.ErrKeyUnavailable) || errors.Is(err, api.ErrOverloaded)
}

// drive puts a target under load for so long.
func (r *benchRun) drive(ctx context.Context, target *benchTarget, length time.Duration) *benchTurn {
	turn := newBenchTurn()
	began := time.Now()
	var lanes sync.WaitGroup
	for at, l := range target.lanes {
		pace := pace{began: began, end: began.Add(length), rate: r.plan.rate, lane: at, lanes: len(target.lanes)}
		lanes.Go(func() { r.driveLane(ctx, l, pace, turn) })
	}
	lanes.Wait()
	turn.seconds = max(length, time.Since(began)).Seconds()
	return turn
}

func (r *benchRun) driveLane(ctx context.Context, l *lane, p pace, turn *benchTurn) {
	for sent := 0; ctx.Err() == nil; sent++ {
		since, more := p.wait(ctx, sent)
		if !more {
			turn.addUnsent(p.missed(sent, time.Now()))
			return
		}
		at := r.plan.mix.draw()
		err := r.plan.within(ctx, func(ctx context.Context) error { return benchOperations[at].do(l, ctx) })
		if ctx.Err() == nil {
			turn.add(at, time.Since(since), err)
			r.done.Add(1)
		}
	}
}

// pace is when a lane sends its requests.
type pace struct {
	began, end  time.Time
	rate        float64 // of all lanes, a second; 0 for one after the other
	lane, lanes int
}

// due is the time of a lane's request, counted from 0.
func (p pace) due(number int) time.Time {
	return p.began.Add(time.Duration(float64(number*p.lanes+p.lane) / p.rate * float64(time.Second)))
}

// wait returns when it is time for a request, and since when it counts: a lane that
// was still busy then is late, and the guardian it waited for is charged for that.
// There are no more once the turn is over.
func (p pace) wait(ctx context.Context, number int) (since time.Time, more bool) {
	now := time.Now()
	if p.rate == 0 {
		return now, now.Before(p.end)
	}
	due := p.due(number)
	if !now.Before(p.end) || !due.Before(p.end) {
		return due, false
	}
	if due.Before(now) {
		return due, true
	}
	sleepFor(ctx, due.Sub(now))
	return time.Now(), true
}

// missed counts the requests from number on whose time came before the end, and
// that were never sent.
func (p pace) missed(number int, now time.Time) (count int64) {
	if p.rate == 0 || now.Before(p.end) {
		return 0
	}
	for ; p.due(number).Before(p.end); number++ {
		count++
	}
	return count
}

func sleepFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
