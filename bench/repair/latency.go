package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/bench/internal/stats"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// served is a guardian on a directory, under load.
type served struct {
	node *guardian.Node
	key  *integrity.NodeKey
	load *load
	rate int
}

// meanwhile is what a guardian does beside serving in one kind of window. It
// returns how many slots it has looked at when ctx ends.
type meanwhile struct {
	name string
	work func(ctx context.Context, s *served) (slots int64, err error)
}

var kinds = []meanwhile{
	{"nothing", func(ctx context.Context, _ *served) (int64, error) { <-ctx.Done(); return 0, nil }},
	{"scrub", scrubMeanwhile},
	{"walk without rests", walkMeanwhile},
}

// scrubMeanwhile scrubs, and begins anew when it is through.
func scrubMeanwhile(ctx context.Context, s *served) (int64, error) {
	work := startScrubbing(ctx, s.node, s.key, time.Nanosecond, nil)
	<-ctx.Done()
	work.end()
	return work.ScrubProgress().Scrubbed, nil
}

// walkMeanwhile examines every slot as a scrub does, and never rests.
func walkMeanwhile(ctx context.Context, s *served) (slots int64, err error) {
	for ctx.Err() == nil {
		err = s.node.Walk(ctx, guardian.Slot{}, func(guardian.Examined) error { slots++; return ctx.Err() })
	}
	if errors.Is(err, ctx.Err()) {
		err = nil
	}
	return slots, err
}

// timeRequests lets windows of each kind take turns under the same load.
func timeRequests(ctx context.Context, out io.Writer, p latencyPlan) (err error) {
	if p.windows == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "bench-repair-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := fs.Open(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := fill(ctx, store, p.slots); err != nil {
		return err
	}
	s := &served{rate: p.rate}
	if s.node, s.key, err = openNode(ctx, store, 0); err != nil {
		return err
	}
	server, err := s.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close(), s.node.Close(ctx)) }()
	if err := s.load.prepare(ctx, s.node); err != nil {
		return err
	}
	return s.takeTurns(ctx, out, p)
}

func (s *served) serve(ctx context.Context) (*http.Server, error) {
	server, err := newClientPlane(ctx, s.node)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	go func() { _ = server.Serve(listener) }()
	s.load, err = newLoad("http://" + listener.Addr().String())
	return server, err
}

// takeTurns prints, for each kind of window, the median over its windows, and
// the median of its ratios to the window of the same round in which nothing else
// was done. Every other round goes backwards.
func (s *served) takeTurns(ctx context.Context, out io.Writer, p latencyPlan) error {
	fmt.Fprintf(out, "\nRequests during a scrub: %d pushes and as many pulls of %d bytes a second, %d shares in a directory, %d windows of %v each\n",
		p.rate/2, loadShareSize, p.slots, p.windows, p.window)
	seen := make([]windows, len(kinds))
	for round := range p.windows {
		say("round %d of %d", round+1, p.windows)
		for turn := range kinds {
			if round%2 == 1 {
				turn = len(kinds) - 1 - turn
			}
			if err := s.window(ctx, p.window, kinds[turn], &seen[turn]); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "  %-20s %9s %10s %10s %10s %10s %9s %9s %9s %9s %8s\n", "meanwhile", "slots/s",
		"push p50", "push p99", "pull p50", "pull p99", "x push50", "x push99", "x pull50", "x pull99", "refused")
	for i, kind := range kinds {
		seen[i].print(out, kind.name, seen[0], p)
	}
	return nil
}

func (s *served) window(ctx context.Context, d time.Duration, kind meanwhile, into *windows) error {
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	var slots int64
	go func() {
		var err error
		slots, err = kind.work(working, s)
		done <- err
	}()
	pushes, pulls, refused, err := s.load.run(ctx, s.rate, d)
	stop()
	if err = errors.Join(err, <-done); err != nil {
		return fmt.Errorf("a window with %s: %w", kind.name, err)
	}
	into.slots += slots
	into.refused += refused
	for i, took := range [][]float64{pushes, pushes, pulls, pulls} {
		into.figures[i] = append(into.figures[i], stats.Quantile(took, quantiles[i%2]))
	}
	return nil
}

var quantiles = [2]float64{0.5, 0.99}

// windows is what those of one kind came to, in the order in which they were.
type windows struct {
	slots   int64
	refused int
	// figures are p50 and p99 of pushes and of pulls, in seconds.
	figures [4][]float64
}

func (w windows) print(out io.Writer, name string, quiet windows, p latencyPlan) {
	fmt.Fprintf(out, "  %-20s %9.0f", name, float64(w.slots)/(float64(p.windows)*p.window.Seconds()))
	for _, figure := range w.figures {
		fmt.Fprintf(out, " %7.2f ms", 1e3*stats.Median(figure))
	}
	for i, figure := range w.figures {
		ratios := make([]float64, len(figure))
		for round := range figure {
			ratios[round] = figure[round] / quiet.figures[i][round]
		}
		fmt.Fprintf(out, " %9.2f", stats.Median(ratios))
	}
	fmt.Fprintf(out, " %8d\n", w.refused)
}
