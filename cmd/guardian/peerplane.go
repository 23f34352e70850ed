package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
)

// peerPlane is where other guardians talk to this one, and how it talks to
// them. The nil plane is that of a guardian without a registry.
type peerPlane struct {
	registry cluster.Registry
	client   *peer.Client
	server   *peer.Server
	listener net.Listener
	address  string
	port     int
}

// openPeerPlane listens, as others are told the port, and makes the cluster of
// known and registry.
func openPeerPlane(ctx context.Context, cfg *Config, o *opened, known cluster.Config, registry cluster.Registry, log *slog.Logger) (*membership, error) {
	listener, err := listen(ctx, cfg.PeerBind, "GUARDIAN_PEER_BIND", log)
	if err != nil {
		return nil, err
	}
	p := &peerPlane{
		registry: registry, listener: listener,
		client: peer.NewClient(peer.ClientConfig{Key: o.nodeKey, NodeID: cfg.nodeID()}),
	}
	p.address, p.port = boundAddress(cfg.PeerBind, listener)
	known.Self.PeerURL, known.Self.PublicKey = cfg.peerAdvertised(p.address), o.nodeKey.PublicKey()
	watched := &clocks{Caller: p.client}
	known.Registry, known.Caller = registry, watched
	joined, err := cluster.New(known)
	if err != nil {
		p.close(log)
		return nil, &exitError{exitConfig, err, "set GUARDIAN_ADVERTISE_URL and GUARDIAN_PEER_ADVERTISE_URL to what this guardian is reached by"}
	}
	repairer := openRepairer(cfg, o, joined, registry, p.client, log)
	p.server = peer.NewServer(peer.ServerConfig{
		Key: o.nodeKey, NodeID: cfg.nodeID(), Members: joined, Heartbeat: joined.Receive,
		Calls: peerCalls(repairer), Logger: log,
	})
	return &membership{joined, p, repairer, watched}, nil
}

// shutdown lets the calls that run finish until ctx ends.
func (p *peerPlane) shutdown(ctx context.Context, log *slog.Logger) {
	if p == nil {
		return
	}
	if err := p.server.Shutdown(ctx); err != nil {
		log.Warn("some calls of other guardians did not finish in time", "error", err)
	}
}

// close releases what opening took. The cluster must not run any more.
func (p *peerPlane) close(log *slog.Logger) {
	if p == nil {
		return
	}
	p.client.Close()
	_ = p.listener.Close() // fails where the server has closed it
	if err := p.registry.Close(); err != nil {
		log.Warn("closing the registry failed", "error", err)
	}
}

// portOrNone is 0 without a plane.
func (p *peerPlane) portOrNone() int {
	if p == nil {
		return 0
	}
	return p.port
}
