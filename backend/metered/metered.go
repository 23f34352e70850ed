// Package metered wraps any [backend.Backend] and counts and times its calls
// for Prometheus. It passes arguments, results and errors through unchanged,
// and puts neither a key nor an identity into a label.
package metered

import (
	"context"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/backend"
)

// metered is a backend whose calls end up in metrics. Close and String are
// those of the backend itself.
type metered struct {
	backend.Backend
	metrics *Metrics
}

// Wrap returns b with its calls counted and timed: a [backend.Batcher] if b is
// one. Wrapping several backends adds their calls up.
func (m *Metrics) Wrap(b backend.Backend) backend.Backend {
	if batcher, ok := b.(backend.Batcher); ok {
		return meteredBatcher{metered{b, m}, batcher}
	}
	return metered{b, m}
}

// meteredBatcher counts a batch as one put, and each key of a GetEach as a get
// that took as long as all.
type meteredBatcher struct {
	metered
	batcher backend.Batcher
}

// GetEach implements [backend.Batcher].
func (b meteredBatcher) GetEach(ctx context.Context, keys ...string) []backend.Got {
	began := time.Now()
	all := b.batcher.GetEach(ctx, keys...)
	took := time.Since(began)
	for _, got := range all {
		b.metrics.ended(opGet, took, got.Err)
	}
	return all
}

// Apply implements [backend.Batcher].
func (b meteredBatcher) Apply(ctx context.Context, batch backend.Batch) (backend.Revision, error) {
	began := time.Now()
	now, err := b.batcher.Apply(ctx, batch)
	b.metrics.ended(opPut, time.Since(began), err)
	return now, err
}

// Get implements [backend.Backend].
func (b metered) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	began := time.Now()
	data, rev, err := b.Backend.Get(ctx, key)
	b.metrics.ended(opGet, time.Since(began), err)
	return data, rev, err
}

// Put implements [backend.Backend].
func (b metered) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	began := time.Now()
	now, err := b.Backend.Put(ctx, key, data, rev)
	b.metrics.ended(opPut, time.Since(began), err)
	return now, err
}

// Delete implements [backend.Backend].
func (b metered) Delete(ctx context.Context, key string, rev backend.Revision) error {
	began := time.Now()
	err := b.Backend.Delete(ctx, key, rev)
	b.metrics.ended(opDelete, time.Since(began), err)
	return err
}

// List implements [backend.Backend].
func (b metered) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(opList, b.Backend.List(ctx, prefix, after))
}

// ListSegments implements [backend.Backend].
func (b metered) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(opListSegments, b.Backend.ListSegments(ctx, prefix, after))
}

// Check implements [backend.Backend].
func (b metered) Check(ctx context.Context) error {
	began := time.Now()
	err := b.Backend.Check(ctx)
	b.metrics.ended(opCheck, time.Since(began), err)
	return err
}

// list counts a call for each time the sequence is ranged over, when that
// ends. Its duration leaves out the time that the caller spent on the entries:
// a walk that reads every share between two entries is not one slow read.
func (b metered) list(op op, entries iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		began, callers := time.Now(), time.Duration(0)
		var last error
		defer func() { b.metrics.ended(op, time.Since(began)-callers, last) }()
		for entry, err := range entries {
			last = err
			yielded := time.Now()
			more := yield(entry, err)
			callers += time.Since(yielded)
			if !more {
				return
			}
		}
	}
}

var (
	_ backend.Batcher      = meteredBatcher{}
	_ prometheus.Collector = (*Metrics)(nil)
)
