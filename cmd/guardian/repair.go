package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

// openRepairer makes what keeps the shares of this node whole. Without a plane
// there is nobody to recover a share from: then it scrubs, and that is all.
func openRepairer(cfg *Config, o *opened, known *cluster.Cluster, registry cluster.Registry, client *peer.Client, log *slog.Logger) *repair.Repairer {
	wanted := repair.Config{
		Node: o.node, FailureDomain: cfg.FailureDomain,
		ScrubInterval: cfg.ScrubInterval, Poll: queuePoll(cfg.ScrubInterval),
		BytesPerSecond: cfg.RepairBytesPerSecond, Logger: log,
	}
	if client != nil {
		wanted.Key, wanted.Peers = o.nodeKey, &directory{known, client}
		wanted.Registry, wanted.Admission = registry, cfg.admissionKey
		wanted.RefreshInterval, wanted.ReplaceAfter = cfg.RefreshInterval, cfg.ReplaceAfter
	}
	made := repair.New(wanted)
	o.damaged.Store(made)
	return made
}

// queuePoll is how often the repair queue is looked at: every 10 s, and more
// often where scrubs are that frequent.
func queuePoll(scrubInterval time.Duration) time.Duration {
	const usual, least = 10 * time.Second, 100 * time.Millisecond
	if scrubInterval == 0 {
		return usual
	}
	return min(usual, max(scrubInterval/2, least))
}

// directory finds the guardians that records name among the members of the
// cluster.
type directory struct {
	cluster *cluster.Cluster
	client  *peer.Client
}

// Dial implements [repair.Peers]. The key is the pin, whatever the registry says
// of the node.
func (d *directory) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	for _, m := range d.cluster.View().Members {
		if !m.Self && m.PublicKey.Equal(key) {
			if m.PeerURL == "" {
				return nil, errors.New("it is a member, and not registered: nobody knows where it is")
			}
			return d.client.Dial(m.Member), nil
		}
	}
	return nil, repair.ErrUnknownPeer
}

// Members implements [repair.Peers].
func (d *directory) Members() []repair.Member {
	var members []repair.Member
	for _, m := range d.cluster.View().Members {
		if !m.Self {
			members = append(members, memberOf(m))
		}
	}
	return members
}

// Self implements [repair.Peers].
func (d *directory) Self() repair.Member {
	for _, m := range d.cluster.View().Members {
		if m.Self {
			return memberOf(m)
		}
	}
	return repair.Member{} // a view always has it
}

func memberOf(m cluster.MemberView) repair.Member {
	return repair.Member{
		Key: m.PublicKey, NodeID: m.NodeID, Index: m.Index, FailureDomain: m.FailureDomain,
		Alive: m.State == cluster.Alive, Silent: m.Silent,
	}
}

// peerCalls are what the peer plane answers for the repairer.
func peerCalls(repairer *repair.Repairer) []peer.Call {
	var calls []peer.Call
	for _, route := range repair.Routes() {
		calls = append(calls, peer.Call{
			Route: route.Path, MaxBody: route.MaxBody,
			Answer: func(ctx context.Context, from peer.Caller, body []byte) ([]byte, error) {
				return repairer.Handle(ctx, from.Key, route.Path, body)
			},
		})
	}
	return calls
}
