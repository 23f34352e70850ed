package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// membership is what this guardian knows of its cluster, the plane on which it
// talks to it, and what the two are for.
type membership struct {
	*cluster.Cluster
	plane    *peerPlane // nil without a registry
	repairer *repair.Repairer
	clocks   *clocks
}

// collectors are the metrics of all of it.
func (m *membership) collectors() []prometheus.Collector {
	all := []prometheus.Collector{m, m.Collector(), m.repairer.Collector()}
	if m.plane != nil {
		all = append(all, m.plane.server.Collector())
	}
	return all
}

// openCluster makes the cluster of a guardian whose client plane listens on
// clientAddress; without a registry one that it is alone in. With one, the peer
// plane listens when it returns.
func openCluster(ctx context.Context, cfg *Config, o *opened, clientAddress string, log *slog.Logger) (*membership, error) {
	known := cluster.Config{
		Self: cluster.Member{
			NodeID: cfg.nodeID(), ClientURL: cfg.advertised(clientAddress), FailureDomain: cfg.FailureDomain,
		},
		Admission: cfg.admissionKey,
		Pins:      &keeper{node: o.node},
		Shares: func() int64 {
			count, _ := o.node.ShareCount()
			return count
		},
		Poll:         pollInterval(cfg.HeartbeatSuspectAfter),
		Heartbeat:    cfg.HeartbeatInterval,
		SuspectAfter: cfg.HeartbeatSuspectAfter, DeadAfter: cfg.HeartbeatDeadAfter,
		Logger: log,
	}
	if cfg.Registry == "" {
		alone, err := cluster.New(known)
		return &membership{alone, nil, openRepairer(cfg, o, alone, nil, nil, log), &clocks{}}, err
	}
	log.Info("registry: "+cfg.registry.String(), "registry", cfg.registry.String())
	return openPeerPlane(ctx, cfg, o, known, openRegistry(cfg, log), log)
}

// pollInterval is how often the registry is asked for the list: every 5 s, and
// more often where silence is suspect sooner than by default. Who has just
// joined is not heard before its peers have polled, and is not to be suspect for
// that.
func pollInterval(suspectAfter time.Duration) time.Duration {
	return min(5*time.Second, suspectAfter/3)
}

// keeper has the node keep what its cluster learns. It is for one goroutine.
type keeper struct {
	node *guardian.Node
	rev  backend.Revision // of what was loaded last
}

// Load implements [cluster.Keeper].
func (k *keeper) Load(ctx context.Context) ([]byte, error) {
	data, rev, err := k.node.Membership(ctx)
	if err != nil {
		return nil, err
	}
	k.rev = rev
	return data, nil
}

// Save implements [cluster.Keeper]. Where another replica of the node has saved
// since the last Load it is an error, and changes nothing.
func (k *keeper) Save(ctx context.Context, data []byte) error {
	rev, err := k.node.KeepMembership(ctx, data, k.rev)
	if err != nil {
		return err
	}
	k.rev = rev
	return nil
}
