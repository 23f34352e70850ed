package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/httpapi"
)

const (
	// drainTime is how long requests may go on after the signal to stop.
	drainTime = 25 * time.Second
	// noticeTime keeps the listener open after the signal, so that a balancer
	// sees /readyz fail instead of refused connections.
	noticeTime = time.Second
)

// serve listens and answers until ctx ends, then drains.
func serve(ctx context.Context, cfg *Config, o *opened, log *slog.Logger) error {
	tokens, err := cfg.tokens()
	if err != nil {
		return &exitError{exitConfig, err, "check GUARDIAN_SERVER_BEARER_TOKEN"}
	}
	if tokens.Empty() {
		log.Warn("UNAUTHENTICATED: everybody who can reach this port can read, replace and delete shares; for local development only")
	}
	listener, err := listen(ctx, cfg.Bind, "GUARDIAN_BIND or --port", log)
	if err != nil {
		return err
	}
	address, port := boundAddress(cfg.Bind, listener)
	keys := &reloader{o.sealer, log}
	stopAdmin, adminAddress, err := serveAdmin(ctx, cfg, o, keys, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopAdmin()
	monitor := httpapi.NewMonitor(o.node.Check, cfg.HealthInterval)
	monitor.Probe(ctx)
	handler := httpapi.New(httpapi.Config{
		Node: o.node, Tokens: tokens, Unauthenticated: bool(cfg.Unauthenticated),
		Health: monitor, Storage: cfg.location.Kind(),
		ClientPort: port, AdvertiseURL: advertised(cfg.AdvertiseURL, address),
		MaxRequests: cfg.MaxRequests, Logger: log,
	})
	server := httpapi.NewServer(handler, cfg.RequestTimeout, log)

	stopTasks := startTasks(ctx, cfg, o, monitor, keys, log)
	defer stopTasks()
	log.Info(fmt.Sprintf("listening on %s (client)", address), "address", address)
	fmt.Println("GUARDIAN_LISTEN_ADDR=" + address)
	if adminAddress != "" {
		fmt.Println("GUARDIAN_ADMIN_LISTEN_ADDR=" + adminAddress)
	}
	log.Info("guardian ready -- starting HTTP server")
	return serveUntil(ctx, server, listener, monitor, log)
}

func listen(ctx context.Context, bind, variable string, log *slog.Logger) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", bind)
	if err == nil {
		return listener, nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	err = fmt.Errorf("failed to bind %s: %w", bind, err)
	log.Error(err.Error(), "address", bind)
	return nil, &exitError{exitBind, err, "stop what listens there, or choose another address with " + variable}
}

// boundAddress is the bind address with the port that was really taken.
func boundAddress(bind string, listener net.Listener) (address string, port int) {
	host, _, err := net.SplitHostPort(bind)
	tcp, ok := listener.Addr().(*net.TCPAddr)
	if err != nil || !ok {
		return listener.Addr().String(), 0
	}
	if host == "" {
		host = net.IPv4zero.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port)), tcp.Port
}

// advertised is the URL that others use: as configured, or the address
// listened on, with the host's name where that is every address.
func advertised(configured, address string) string {
	if configured != "" {
		return configured
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serveUntil serves until ctx ends; then no new requests should come, and
// those running may finish within drainTime.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, monitor *httpapi.Monitor, log *slog.Logger) error {
	var serving sync.WaitGroup
	failed := make(chan error, 1)
	serving.Go(func() { failed <- server.Serve(listener) })
	defer serving.Wait()
	select {
	case err := <-failed:
		return &exitError{exitInternal, fmt.Errorf("serving: %w", err), "start it again, and look into the log"}
	case <-ctx.Done():
	}
	log.Info("stopping: draining requests")
	monitor.Drain()
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	time.Sleep(noticeTime)
	if err := server.Shutdown(draining); err != nil {
		log.Warn("some requests did not finish in time", "error", err)
		return server.Close()
	}
	return nil
}
