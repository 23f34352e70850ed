package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/httpapi"
)

// startTasks starts what runs beside the server, and returns a function that
// stops it and waits.
func startTasks(ctx context.Context, cfg *Config, o *opened, known *membership, monitor *httpapi.Monitor, reloads *reloader) (stop func()) {
	// Not ended by ctx: while draining, health is still watched, and others hear
	// that this guardian lives.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var tasks sync.WaitGroup
	tasks.Go(func() { monitor.Run(ctx) })
	tasks.Go(func() { o.writes.Run(ctx) })
	tasks.Go(func() { o.backup.Run(ctx) })
	tasks.Go(func() { known.Run(ctx) })
	tasks.Go(func() { known.repairer.Run(ctx) })
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
