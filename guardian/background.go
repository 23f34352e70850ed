package guardian

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	backgroundWorkers = 4
	backgroundQueue   = 1024
)

// background runs best-effort work that no answer waits for. What finds the
// queue full is left undone: a Walk does the same work.
type background struct {
	jobs    chan func(context.Context)
	timeout time.Duration
	log     *slog.Logger
	closing chan struct{}
	stop    context.CancelFunc
	workers sync.WaitGroup
}

func newBackground(timeout time.Duration, log *slog.Logger) *background {
	ctx, stop := context.WithCancel(context.Background())
	b := &background{
		jobs:    make(chan func(context.Context), backgroundQueue),
		timeout: timeout, log: log, closing: make(chan struct{}), stop: stop,
	}
	for range backgroundWorkers {
		b.workers.Go(func() { b.work(ctx) })
	}
	return b
}

func (b *background) do(job func(context.Context)) {
	select {
	case b.jobs <- job:
	default:
	}
}

func (b *background) work(ctx context.Context) {
	for {
		select {
		case job := <-b.jobs:
			b.run(ctx, job)
			continue
		default:
		}
		select {
		case job := <-b.jobs:
			b.run(ctx, job)
		case <-b.closing:
			return
		}
	}
}

func (b *background) run(ctx context.Context, job func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("cleaning panicked", "panic", fmt.Sprintf("%T", p)) // its text may quote data
		}
	}()
	job(ctx)
}

// close lets the workers empty the queue, at most until ctx ends.
func (b *background) close(ctx context.Context) error {
	defer b.stop()
	close(b.closing)
	done := make(chan struct{})
	go func() { b.workers.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		b.stop()
		<-done
		return ctx.Err()
	}
}
