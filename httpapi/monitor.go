package httpapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// probeTimeout bounds one probe, as it bounds the storage work of a call.
const probeTimeout = storageDeadline

var (
	errDraining = errors.New("draining: this process is about to stop")
	errSilent   = errors.New("storage has not answered lately")
)

// Monitor asks the storage again and again whether it answers, so that health
// endpoints answer at once whatever the storage does. Safe for concurrent use.
type Monitor struct {
	check    func(context.Context) error
	interval time.Duration

	mu       sync.Mutex // guards what follows
	answered time.Time
	failure  error
	draining bool
}

// NewMonitor makes a monitor over a check of the storage. Until a Probe
// succeeds it reports a failure.
func NewMonitor(check func(context.Context) error, interval time.Duration) *Monitor {
	return &Monitor{check: check, interval: interval, failure: errSilent}
}

// period lets two probes fall into every interval.
func (m *Monitor) period() time.Duration { return m.interval / 2 }

// Run probes until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	ticker := time.NewTicker(m.period())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.Probe(ctx)
		}
	}
}

// Probe checks the storage once and remembers the outcome.
func (m *Monitor) Probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := m.check(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure = err; err == nil {
		m.answered = time.Now()
	}
}

// Drain makes Ready fail from now on: no further requests should be sent here.
func (m *Monitor) Drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draining = true
}

// Ready returns nil if requests should be sent here, and otherwise why not.
func (m *Monitor) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.draining:
		return errDraining
	case m.fresh():
		return nil
	case m.failure != nil:
		return fmt.Errorf("storage failed: %w", m.failure)
	}
	return errSilent
}

// StorageOK reports whether the last probe succeeded, lately.
func (m *Monitor) StorageOK() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure == nil && m.fresh()
}

// fresh allows the probe's own period on top of the interval.
func (m *Monitor) fresh() bool {
	return !m.answered.IsZero() && time.Since(m.answered) <= m.interval+m.period()
}
