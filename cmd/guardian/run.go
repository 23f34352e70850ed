package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/vault-guardian/guardian/api"
)

// closeTime is how long the node's background work may go on at the end; what
// is left undone the next scrub does.
const closeTime = 5 * time.Second

// run is the life of the process: open, serve until ctx ends or a signal
// comes, close. A second signal ends the process at once.
func run(ctx context.Context, cfg *Config) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	// What a reload would read, the boot is reading: SIGHUP must not end it.
	signal.Ignore(syscall.SIGHUP)

	log := newLogger(os.Stderr, cfg)
	log.Info("vault-guardian v"+api.Version+" starting", "version", api.Version)
	log.Info("config: "+cfg.source, "source", cfg.source)
	setMemoryLimit(log)
	pace := newPace()

	o, err := open(ctx, cfg, log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	o.pace = pace
	err = verifyAndServe(ctx, cfg, o, log)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if errClose := o.close(closing); errClose != nil {
		log.Warn("closing failed", "error", errClose)
	}
	return unlessStopped(ctx, err)
}

// setMemoryLimit lets the garbage collector work harder before the cgroup's
// limit has the process killed.
func setMemoryLimit(log *slog.Logger) {
	limit, err := memlimit.Set()
	log.Debug("memory limit", "bytes", limit, "error", err)
}

func verifyAndServe(ctx context.Context, cfg *Config, o *opened, log *slog.Logger) error {
	if cfg.RequireAllShares {
		if err := o.node.VerifyAll(ctx); err != nil {
			return bootError(err)
		}
	}
	return serve(ctx, cfg, o, log)
}

// unlessStopped drops an error that only says that we were told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
