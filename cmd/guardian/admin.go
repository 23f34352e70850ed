package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/httpapi"
)

const defaultAdminBind = "127.0.0.1:9090"

// checkAdmin wants tokens and TLS where others than this machine can connect.
func (c *Config) checkAdmin(bad *problems) {
	if c.AdminBind == "" {
		return
	}
	err := checkBind(c.AdminBind)
	if bad.check("GUARDIAN_ADMIN_BIND", err); err != nil || admin.Loopback(c.AdminBind) {
		return
	}
	const beyond = "needed where GUARDIAN_ADMIN_BIND is not loopback: "
	bad.require("GUARDIAN_ADMIN_TOKENS_FILE", c.AdminTokensFile != "", beyond+`name a file of {"admin":"token"}, an actor each who may use the admin plane`)
	bad.require("GUARDIAN_ADMIN_TLS_CERT_FILE", c.AdminTLSCertFile != "" || c.AdminTLSKeyFile != "", beyond+"name a certificate in PEM, and its key with GUARDIAN_ADMIN_TLS_KEY_FILE")
}

// serveAdmin serves the admin plane until stop is called. Where no address was
// chosen and the usual one is taken, as beside another guardian, there is none:
// then the address is "".
func serveAdmin(ctx context.Context, cfg *Config, o *opened, reloads *reloader, known *membership, monitor *httpapi.Monitor, log *slog.Logger) (stop func(), address string, err error) {
	listener, err := listenAdmin(ctx, cfg, log)
	if listener == nil {
		return func() {}, "", err
	}
	var tokens *auth.TokenSet
	if reloads.operators != nil {
		tokens = reloads.operators.set
	}
	server := admin.NewServer(admin.New(admin.Config{
		Tokens:   tokens,
		Audit:    o.audit,
		Registry: admin.NewRegistry(append(o.collectors(), known.collectors()...)...),
		Reload:   reloads.reload,
		Node:     o.node,
		Members:  known.View,
		Ready:    monitor.Ready,
		Freeze:   o.writes,
		Backup:   o.backup,
		Snapshot: o.snapshot,
		Sealer:   o.sealer,
		Repairer: known.repairer,
		Logger:   log,
	}), log)
	address = listener.Addr().String()
	listener = reloads.adminCertificate.listener(listener)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			log.Error("the admin plane has ended", "error", err)
		}
	})
	log.Info(fmt.Sprintf("listening on %s (admin)", address), "address", address, "tokens", tokens != nil, "tls", reloads.adminCertificate != nil)
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
