package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/integrity"
)

// reloadTimeout bounds one fetch of the keyring.
const reloadTimeout = 10 * time.Second

// reloader fetches the keyring again: at a signal, at the call of an operator,
// and regularly. A failure keeps the last good one.
type reloader struct {
	sealer *integrity.Sealer
	log    *slog.Logger
}

// reloadOn reloads at each signal until ctx ends.
func (r *reloader) reloadOn(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_, _ = r.reload(ctx) // it has logged the error
		}
	}
}

func (r *reloader) reload(ctx context.Context) (admin.Reloaded, error) {
	err := r.fetch(ctx)
	if err == nil {
		r.log.Info("keyring reloaded primary="+r.sealer.PrimaryKeyID(), "primary", r.sealer.PrimaryKeyID())
	}
	return admin.Reloaded{PrimaryKeyID: r.sealer.PrimaryKeyID()}, err
}

// poll is a reload that is worth a line only when something came of it.
func (r *reloader) poll(ctx context.Context) {
	before := r.sealer.PrimaryKeyID()
	if err := r.fetch(ctx); err == nil && r.sealer.PrimaryKeyID() != before {
		r.log.Info("keyring rotated primary="+r.sealer.PrimaryKeyID(), "primary", r.sealer.PrimaryKeyID(), "before", before)
	}
}

func (r *reloader) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	err := r.sealer.Reload(ctx)
	if err != nil && ctx.Err() != context.Canceled {
		r.log.Error("reloading the keyring failed, keeping the last good one", "error", err)
	}
	return err
}
