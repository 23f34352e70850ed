package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	// slotsAtOnce keeps a bucket busy although each request takes its time.
	slotsAtOnce = 16
	defaultRate = 100
	// maxFailures in a row end a walk: then it is the storage, not a slot.
	maxFailures = 4 * slotsAtOnce
	// maxNamed bounds how many slots a message lists.
	maxNamed = 10
)

// walkFlags are those of a command that goes through all that a guardian
// keeps.
type walkFlags struct{ rate int }

func (f *walkFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.rate, "rate", defaultRate, "identities a second at most, so that the guardian is not held up; 0 for no limit")
}

func (f *walkFlags) check() error {
	if f.rate < 0 {
		return usageError("pass for example --rate 100, or 0 for no limit", "--rate must not be negative")
	}
	return nil
}

// walk calls do for every slot of n, several side by side, and took with what
// came of each, one at a time. It ends with the last slot, with an error of
// took, or with ctx.
func walk[T any](ctx context.Context, f walkFlags, n *guardian.Node,
	do func(context.Context, guardian.Slot) (T, error), took func(guardian.Slot, T, error) error,
) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	limiter := rate.NewLimiter(rate.Inf, 1)
	if f.rate > 0 {
		limiter.SetLimit(rate.Limit(f.rate))
	}
	var workers sync.WaitGroup
	var turn sync.Mutex
	places := make(chan struct{}, slotsAtOnce)
	for slot, err := range n.Slots(ctx) {
		if err == nil {
			err = limiter.Wait(ctx)
		}
		if err != nil {
			end(err)
			break
		}
		places <- struct{}{}
		workers.Go(func() {
			defer func() { <-places }()
			result, err := do(ctx, slot)
			turn.Lock()
			defer turn.Unlock()
			if err != nil && ctx.Err() != nil { // it was stopped, nothing is wrong with it
				return
			}
			if err := took(slot, result, err); err != nil {
				end(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// walkProgress shows on a terminal how many slots are done, of how many.
// Elsewhere nobody counts them first.
func walkProgress(ctx context.Context, w io.Writer, n *guardian.Node) (*counter, error) {
	total := int64(0)
	if !isTerminal(w) {
		return countUpTo(w, total), nil
	}
	for _, err := range n.Slots(ctx) {
		if err != nil {
			return nil, err
		}
		total++
	}
	return countUpTo(w, total), nil
}

// countUpTo shows on a terminal how many identities are done, of how many.
func countUpTo(w io.Writer, total int64) *counter {
	var c counter
	c.end = showLine(w, func(seconds int) string { return progressLine(c.done.Load(), total, seconds) })
	return &c
}

// progressLine says how fast it goes, and how long it will still take.
func progressLine(done, total int64, seconds int) string {
	line := fmt.Sprintf("looked at %d of %d identities ... %d/s", done, total, done/int64(seconds))
	if done == 0 {
		return line
	}
	left := time.Duration(float64(max(total-done, 0))/float64(done)*float64(seconds)) * time.Second
	return fmt.Sprintf("%s, %s left", line, left)
}

// stopped says that a walk was ended before its end, which is never a loss.
func stopped(ctx context.Context, err error, done int64) error {
	err = fmt.Errorf("stopped after %d identities: %w", done, err)
	if ctx.Err() != nil {
		return failure(err, adviceAgain)
	}
	return failure(storageError(err), "see what is wrong with the storage, then "+adviceAgain)
}

const adviceAgain = "run it again: what is done stays done"

// slotList counts slots and names the first, shortened.
type slotList struct {
	Count int      `json:"count"`
	First []string `json:"identities,omitempty"`
}

func (l *slotList) add(slot guardian.Slot) {
	if l.Count++; len(l.First) < maxNamed {
		l.First = append(l.First, slot.Short())
	}
}

func (l *slotList) String() string {
	names := strings.Join(l.First, ", ")
	if more := l.Count - len(l.First); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return names
}

// failures counts the slots that could not be read or written.
type failures struct {
	Count  int `json:"count"`
	inARow int
	last   error
}

// add returns err when there is no use in going on.
func (f *failures) add(err error) error {
	if err == nil {
		f.inARow = 0
		return nil
	}
	f.Count++
	f.last = err
	if f.inARow++; f.inARow == maxFailures {
		return err
	}
	return nil
}

func (f *failures) err() error {
	err := fmt.Errorf("%d identities could not be read or written, the last one because of: %w", f.Count, f.last)
	if errors.Is(f.last, api.ErrKeyUnavailable) {
		return failure(err, "put the key that is named back into the keyring, and run it again")
	}
	return failure(storageError(err), adviceAgain)
}
