// Package freeze keeps whether an operator has frozen what users write. That is
// an object in the storage, so it holds for all replicas that work on it, and
// over restarts: the object is there, or not. Each process looks again and again;
// while the storage cannot say, what it said last holds.
package freeze

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// Key is where the marker lies.
const Key = "frozen"

const (
	// interval is the time from the end of one look to the next.
	interval = 3 * time.Second
	// Within is how soon every replica whose storage answers knows of a change.
	Within = 10 * time.Second
	// callTime bounds one look or change.
	callTime = 4 * time.Second
)

// State says whether writes are frozen.
type State struct {
	Frozen bool `json:"frozen"`
	// By is the actor who froze them, "" where none is known, and SinceNS when
	// that was, in nanoseconds since 1970. Both are what the marker says, which is
	// not sealed: for people.
	By      string `json:"by,omitempty"`
	SinceNS int64  `json:"since_ns,omitempty"`
}

// Switch is the marker of one storage, as this process knows it. It is safe for
// concurrent use.
type Switch struct {
	store backend.Backend
	log   *slog.Logger

	changing sync.Mutex // held while the storage is asked, so that answers do not overtake

	mu    sync.Mutex // guards state
	state State
}

// Open looks for the first time. An error says that the storage cannot tell.
func Open(ctx context.Context, store backend.Backend, log *slog.Logger) (*Switch, error) {
	s := &Switch{store: store, log: log}
	return s, s.look(ctx)
}

// State returns what is known now. It never waits for the storage.
func (s *Switch) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Frozen reports whether writes are to be refused, as State does.
func (s *Switch) Frozen() bool { return s.State().Frozen }

// Run looks until ctx ends.
func (s *Switch) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("whether writes are frozen cannot be read: it stays as it was", "frozen", s.Frozen(), "error", err)
		}
		failing = err != nil
	}
}

// Freeze has writes refused from now on, here at once. Where they are frozen
// already, who did so and when stays. After an error they may be frozen all the
// same.
func (s *Switch) Freeze(ctx context.Context, by string) (State, error) {
	marker, err := json.Marshal(State{Frozen: true, By: by, SinceNS: time.Now().UnixNano()})
	if err != nil {
		return State{}, fmt.Errorf("encoding the marker: %w", err)
	}
	return s.change(ctx, func(ctx context.Context) error {
		_, err := s.store.Put(ctx, Key, marker, backend.Revision{})
		if errors.Is(err, backend.ErrConflict) {
			return nil
		}
		return err
	})
}

// Thaw takes it back. After an error writes may be thawed all the same.
func (s *Switch) Thaw(ctx context.Context) (State, error) {
	return s.change(ctx, func(ctx context.Context) error {
		return s.store.Delete(ctx, Key, backend.AnyRevision)
	})
}

// change is followed by a look, whatever came of it.
func (s *Switch) change(ctx context.Context, do func(context.Context) error) (State, error) {
	err := s.ask(ctx, do)
	if errLooking := s.look(ctx); err == nil {
		err = errLooking
	}
	return s.State(), err
}

func (s *Switch) look(ctx context.Context) error {
	return s.ask(ctx, func(ctx context.Context) error {
		marker, _, err := s.store.Get(ctx, Key)
		if errors.Is(err, backend.ErrNotFound) {
			s.set(State{})
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading whether writes are frozen: %w", err)
		}
		var state State
		if json.Unmarshal(marker, &state) != nil {
			state = State{}
		}
		state.Frozen = true // it is there: that is what counts
		s.set(state)
		return nil
	})
}

func (s *Switch) ask(ctx context.Context, do func(context.Context) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return do(ctx)
}

func (s *Switch) set(now State) {
	s.mu.Lock()
	before := s.state
	s.state = now
	s.mu.Unlock()
	switch {
	case now.Frozen && !before.Frozen:
		s.log.Warn("writes are frozen: pushes and deletes are refused until they are thawed", "by", now.By, "since", time.Unix(0, now.SinceNS).UTC())
	case before.Frozen && !now.Frozen:
		s.log.Info("writes are thawed")
	}
}
