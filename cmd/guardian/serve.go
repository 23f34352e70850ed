package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
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
	reloads, err := openReloader(ctx, cfg, o.sealer, log)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, cfg.Bind, "GUARDIAN_BIND or --port", log)
	if err != nil {
		return err
	}
	address, port := boundAddress(cfg.Bind, listener)
	if reloads.certificate != nil {
		listener = reloads.certificate.listener(listener)
	}
	stopAdmin, adminAddress, err := serveAdmin(ctx, cfg, o, reloads, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopAdmin()
	monitor := httpapi.NewMonitor(o.node.Check, cfg.HealthInterval)
	monitor.Probe(ctx)
	handler, err := clientPlane(cfg, o, reloads.bearers.set, monitor, address, port, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := httpapi.NewServer(handler, cfg.RequestTimeout, log)

	stopTasks := startTasks(ctx, cfg, o, monitor, reloads, log)
	defer stopTasks()
	announce(cfg, address, adminAddress, log)
	return serveUntil(ctx, server, listener, monitor, log)
}

func announce(cfg *Config, address, adminAddress string, log *slog.Logger) {
	log.Info(fmt.Sprintf("listening on %s (client)", address), "address", address, "scheme", cfg.scheme())
	fmt.Println("GUARDIAN_LISTEN_ADDR=" + address)
	if adminAddress != "" {
		fmt.Println("GUARDIAN_ADMIN_LISTEN_ADDR=" + adminAddress)
	}
	log.Info("guardian ready -- starting HTTP server")
}

// clientPlane is the handler of the client plane, which listens on address.
func clientPlane(cfg *Config, o *opened, tokens *auth.TokenSet, monitor *httpapi.Monitor, address string, port int, log *slog.Logger) (http.Handler, error) {
	audiences := cfg.allAudiences(address)
	verifier, err := auth.NewVerifier(audiences, time.Now)
	if err != nil {
		return nil, err
	}
	sayWhoIsLetIn(cfg, tokens, audiences, log)
	return httpapi.New(httpapi.Config{
		Node: o.node, Tokens: tokens, Unauthenticated: bool(cfg.Unauthenticated),
		Ownership: cfg.ownership(), OldestProof: cfg.OldestProof, Verifier: verifier,
		Sessions: auth.NewSessions(o.sealer, time.Now),
		Limits:   cfg.limits(o.countRefusal), TrustedProxies: cfg.trustedProxies,
		Health: monitor, Storage: cfg.location.Kind(),
		ClientPort: port, AdvertiseURL: cfg.advertised(address),
		MaxRequests: cfg.MaxRequests, Audit: o.audit, Logger: log,
	}), nil
}

func sayWhoIsLetIn(cfg *Config, tokens *auth.TokenSet, audiences []string, log *slog.Logger) {
	log.Info("ownership is "+cfg.ownershipMode(), "ownership", cfg.ownershipMode(), "oldest_proof", cfg.OldestProof, "audiences", strings.Join(audiences, ","))
	switch {
	case !tokens.Empty():
	case cfg.ownership() == guardian.OwnershipRequired:
		log.Warn("no bearer token is configured: everybody who can reach this port can store shares of identities of their own; those of others are out of reach")
	default:
		log.Warn("UNAUTHENTICATED: everybody who can reach this port can read, replace and delete shares; for local development only")
	}
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
func (c *Config) advertised(address string) string {
	if c.AdvertiseURL != "" {
		return c.AdvertiseURL
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return c.scheme() + "://" + address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = hostName(host)
	}
	return c.scheme() + "://" + net.JoinHostPort(host, port)
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
