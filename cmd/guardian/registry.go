package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/registry"
)

// openRegistry returns the registry that is configured. It calls nobody yet, so
// that a guardian starts while its registry is down.
func openRegistry(cfg *Config, log *slog.Logger) cluster.Registry {
	return newLateRegistry(func(ctx context.Context) (cluster.Registry, error) {
		opened, err := cfg.registry.Open(ctx, registry.Options{SkipProbe: bool(cfg.SkipStoreProbe), Logger: log})
		if err != nil {
			return nil, registryError(cfg, err)
		}
		return opened, nil
	})
}

func registryError(cfg *Config, err error) error {
	err = fmt.Errorf("opening the registry %s: %w", cfg.registry, err)
	if problem, ok := errors.AsType[*awsconfig.Problem](err); ok && problem.Advice != "" {
		err = fmt.Errorf("%w: %s", err, problem.Advice)
	}
	return err
}

// lateRegistry is a registry that is opened when it is first needed; by every
// call anew while that fails. Calls are made one after another, and give up when
// their context ends, even where what they do heeds none: a directory on a file
// server that is gone holds up further calls, not the end of the process.
type lateRegistry struct {
	open func(context.Context) (cluster.Registry, error)

	turn   chan struct{} // holds one while a call is made
	opened cluster.Registry
}

var _ cluster.Registry = (*lateRegistry)(nil)

func newLateRegistry(open func(context.Context) (cluster.Registry, error)) *lateRegistry {
	return &lateRegistry{open: open, turn: make(chan struct{}, 1)}
}

// inTurn returns what do does, or when ctx ends. Then do may go on, and has the
// turn until it ends.
func inTurn[T any](ctx context.Context, l *lateRegistry, do func() (T, error)) (T, error) {
	var none T
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		<-l.turn
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// called is inTurn for a call of the registry.
func called[T any](ctx context.Context, l *lateRegistry, do func(cluster.Registry) (T, error)) (T, error) {
	return inTurn(ctx, l, func() (T, error) {
		if l.opened == nil {
			opened, err := l.open(ctx)
			if err != nil {
				var none T
				return none, err
			}
			l.opened = opened
		}
		return do(l.opened)
	})
}

// Register implements [cluster.Registry].
func (l *lateRegistry) Register(ctx context.Context, m cluster.Member) (cluster.Member, error) {
	return called(ctx, l, func(r cluster.Registry) (cluster.Member, error) { return r.Register(ctx, m) })
}

// List implements [cluster.Registry].
func (l *lateRegistry) List(ctx context.Context) ([]cluster.Member, error) {
	return called(ctx, l, func(r cluster.Registry) ([]cluster.Member, error) { return r.List(ctx) })
}

// Load implements [cluster.Registry].
func (l *lateRegistry) Load(ctx context.Context, key string) ([]byte, cluster.Revision, error) {
	type record struct {
		data []byte
		rev  cluster.Revision
	}
	loaded, err := called(ctx, l, func(r cluster.Registry) (record, error) {
		data, rev, err := r.Load(ctx, key)
		return record{data, rev}, err
	})
	return loaded.data, loaded.rev, err
}

// Swap implements [cluster.Registry].
func (l *lateRegistry) Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
	return called(ctx, l, func(r cluster.Registry) (cluster.Revision, error) { return r.Swap(ctx, key, data, rev) })
}

// Close implements [cluster.Registry]. It waits for a call that was given up,
// but not for long.
func (l *lateRegistry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_, err := inTurn(ctx, l, func() (struct{}, error) {
		if l.opened == nil {
			return struct{}{}, nil
		}
		return struct{}{}, l.opened.Close()
	})
	return err
}
