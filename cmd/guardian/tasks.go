package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
)

// startTasks starts what runs beside the server, and returns a function that
// stops it and waits.
func startTasks(ctx context.Context, cfg *Config, o *opened, known *membership, monitor *httpapi.Monitor, reloads *reloader, log *slog.Logger) (stop func()) {
	// Not ended by ctx: while draining, health is still watched, and others hear
	// that this guardian lives.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var tasks sync.WaitGroup
	tasks.Go(func() { monitor.Run(ctx) })
	tasks.Go(func() { known.Run(ctx) })
	tasks.Go(func() { sweepRegularly(ctx, o.node, cfg.ScrubInterval, log) })
	tasks.Go(func() { reloads.reloadOn(ctx, hangups) })
	if cfg.IntegrityKeyAWSSecret != "" {
		tasks.Go(func() { awssecrets.Poll(ctx, awssecrets.PollInterval, reloads.pollKeyring) })
	}
	if cfg.BearerTokensAWSSecret != "" {
		tasks.Go(func() { awssecrets.Poll(ctx, awssecrets.PollInterval, reloads.pollTokens) })
	}
	return func() {
		signal.Stop(hangups)
		cancel()
		tasks.Wait()
	}
}

// sweepRegularly sweeps now, and again at every interval unless that is 0.
func sweepRegularly(ctx context.Context, node *guardian.Node, interval time.Duration, log *slog.Logger) {
	sweep(ctx, node, log)
	if interval == 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			sweep(ctx, node, log)
		}
	}
}

func sweep(ctx context.Context, node *guardian.Node, log *slog.Logger) {
	report, err := node.Sweep(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		log.Warn("sweeping storage failed", "error", err)
		return
	}
	log.Info("storage swept", "live", report.Live, "deleted", report.Deleted, "damaged", report.Damaged, "failed", report.Failed, "dropped", report.Dropped)
}
