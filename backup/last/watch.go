package last

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	// interval is the time from one look to the next.
	interval = time.Minute
	// callTime bounds one look.
	callTime = 4 * time.Second
)

// State is what is known of the last backup.
type State struct {
	Backup
	// Problem is why what the storage says is not believed, "" where it is.
	Problem string `json:"problem,omitempty"`
}

// Watch is what one process knows of the last backup. It is safe for concurrent
// use.
type Watch struct {
	store  backend.Backend
	sealer *integrity.Sealer
	log    *slog.Logger

	looking sync.Mutex // held while the storage is asked, so that answers do not overtake

	mu    sync.Mutex // guards state
	state State
}

// NewWatch returns a Watch that has not looked yet.
func NewWatch(store backend.Backend, sealer *integrity.Sealer, log *slog.Logger) *Watch {
	return &Watch{store: store, sealer: sealer, log: log}
}

// State returns what is known now. It never waits for the storage.
func (w *Watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// Look asks the storage. An error says that it cannot tell: then what it said last
// holds.
func (w *Watch) Look(ctx context.Context) (State, error) {
	w.looking.Lock()
	defer w.looking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	b, err := Get(ctx, w.store, w.sealer)
	switch {
	case errors.Is(err, ErrNotBelieved):
		w.set(State{Problem: err.Error()})
	case err != nil:
		return w.State(), err
	default:
		w.set(State{Backup: b})
	}
	return w.State(), nil
}

// Keep writes an object that Seal has made. Errors: ErrNotBelieved, and those of the
// storage.
func (w *Watch) Keep(ctx context.Context, object []byte) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := parse(ctx, w.sealer, object); err != nil {
		return State{}, err
	}
	if err := put(ctx, w.store, object, backend.AnyRevision); err != nil {
		return State{}, err
	}
	return w.Look(ctx)
}

func (w *Watch) set(now State) {
	w.mu.Lock()
	before := w.state
	w.state = now
	w.mu.Unlock()
	if now.Problem != "" && before.Problem == "" {
		w.log.Warn(now.Problem, "object", Key)
	}
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for failing := false; ; {
		_, err := w.Look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.Warn("when the last backup was made cannot be read: it stays as it was", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
