package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/admin"
)

// serveAdmin serves the admin plane until stop is called. Where no address was
// chosen and the usual one is taken, as beside another guardian, there is none:
// then the address is "".
func serveAdmin(ctx context.Context, cfg *Config, o *opened, reloads *reloader, known *membership, log *slog.Logger) (stop func(), address string, err error) {
	listener, err := listenAdmin(ctx, cfg, log)
	if listener == nil {
		return func() {}, "", err
	}
	server := admin.NewServer(admin.New(admin.Config{
		Registry: admin.NewRegistry(slices.Concat(auditMetrics(o.audit), known.collectors(), []prometheus.Collector{o.metrics, o.refusals})...),
		Reload:   reloads.reload,
		Repairer: known.repairer,
		Logger:   log,
	}), log)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Error("the admin plane has ended", "error", err)
		}
	})
	address = listener.Addr().String()
	log.Info(fmt.Sprintf("listening on %s (admin)", address), "address", address)
	return func() { _ = server.Close(); serving.Wait() }, address, nil
}

func listenAdmin(ctx context.Context, cfg *Config, log *slog.Logger) (net.Listener, error) {
	if cfg.AdminBind != "" {
		return listen(ctx, cfg.AdminBind, "GUARDIAN_ADMIN_BIND", log)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", defaultAdminBind)
	if err != nil {
		log.Warn(fmt.Sprintf("no admin plane: %s is taken; choose another address with GUARDIAN_ADMIN_BIND", defaultAdminBind), "error", err)
		return nil, nil
	}
	return listener, nil
}
