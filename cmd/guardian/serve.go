package main

import (
	"cmp"
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
	listener = reloads.certificate.listener(listener)
	known, err := openCluster(ctx, cfg, o, address, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer known.plane.close(log)
	monitor := httpapi.NewMonitor(o.node.Check, cfg.HealthInterval)
	stopAdmin, adminAddress, err := serveAdmin(ctx, cfg, o, reloads, known, monitor, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopAdmin()
	monitor.Probe(ctx)
	handler, err := clientPlane(cfg, o, known, reloads.bearers.set, monitor, address, port, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := httpapi.NewServer(handler, cfg.RequestTimeout, log)
	server.ConnState = o.pace.watch(o.calls.Connection)

	stopTasks := startTasks(ctx, cfg, o, known, monitor, reloads)
	defer stopTasks()
	announce(cfg, address, known.plane, adminAddress, log)
	return serveUntil(ctx, server, listener, known.plane, monitor, log)
}

func announce(cfg *Config, address string, plane *peerPlane, adminAddress string, log *slog.Logger) {
	log.Info(fmt.Sprintf("listening on %s (client)", address), "address", address, "scheme", cfg.scheme())
	fmt.Println("GUARDIAN_LISTEN_ADDR=" + address)
	if plane != nil {
		log.Info(fmt.Sprintf("listening on %s (peer)", plane.address), "address", plane.address)
		fmt.Println("GUARDIAN_PEER_LISTEN_ADDR=" + plane.address)
	}
	if adminAddress != "" {
		fmt.Println("GUARDIAN_ADMIN_LISTEN_ADDR=" + adminAddress)
	}
	log.Info("guardian ready -- starting HTTP server")
}

// clientPlane is the handler of the client plane, which listens on address.
func clientPlane(cfg *Config, o *opened, known *membership, tokens *auth.TokenSet, monitor *httpapi.Monitor, address string, port int, log *slog.Logger) (http.Handler, error) {
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
		Cluster:    known.Cluster,
		ClientPort: port, PeerPort: known.plane.portOrNone(),
		MaxRequests: cfg.MaxRequests, Frozen: o.writes.Frozen, Audit: o.audit, Metrics: o.calls, Logger: log,
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

// advertised is the URL that clients use: as configured, or where the client
// plane listens.
func (c *Config) advertised(address string) string {
	return cmp.Or(c.AdvertiseURL, c.scheme()+"://"+dialled(address))
}

// dialled is an address that is listened on as others dial it: with the host's
// name where it is every address.
func dialled(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = hostName(host)
	}
	return net.JoinHostPort(host, port)
}

// serveUntil serves clients and, where there is a plane for them, peers until
// ctx ends; then no new requests should come, and those running may finish
// within drainTime.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, plane *peerPlane, monitor *httpapi.Monitor, log *slog.Logger) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	failed := make(chan error, 2)
	serving.Go(func() { failed <- server.Serve(listener) })
	if plane != nil {
		serving.Go(func() { failed <- plane.server.Serve(plane.listener) })
	}
	select {
	case err := <-failed:
		ending, cancel := context.WithTimeout(ctx, noticeTime)
		defer cancel()
		_ = server.Close()
		plane.shutdown(ending, log)
		return &exitError{exitInternal, fmt.Errorf("serving: %w", err), "start it again, and look into the log"}
	case <-ctx.Done():
	}
	log.Info("stopping: draining requests")
	monitor.Drain()
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer func() { serving.Wait(); cancel() }() // not before both planes have drained
	time.Sleep(noticeTime)
	serving.Go(func() { plane.shutdown(draining, log) })
	if err := server.Shutdown(draining); err != nil {
		log.Warn("some requests did not finish in time", "error", err)
		return server.Close()
	}
	return nil
}
