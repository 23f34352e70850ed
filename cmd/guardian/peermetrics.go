package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/cluster"
)

// slowAnswer is how long a heartbeat may take to say something about a clock: it
// was read at some time in between.
const slowAnswer = time.Second

// clocks sends heartbeats and notes by how much the clocks of those who answer
// are ahead. The zero value has noted nothing, and sends none.
type clocks struct {
	cluster.Caller

	mu    sync.Mutex
	ahead map[string]time.Duration // by node id
}

// Heartbeat implements [cluster.Caller].
func (c *clocks) Heartbeat(ctx context.Context, to cluster.Member, beat cluster.Heartbeat) (cluster.Heartbeat, error) {
	began := time.Now()
	answer, err := c.Caller.Heartbeat(ctx, to, beat)
	if took := time.Since(began); err == nil && took < slowAnswer {
		c.note(to.NodeID, time.Unix(0, answer.TimeNS).Sub(began.Add(took/2)))
	}
	return answer, err
}

func (c *clocks) note(nodeID string, ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ahead == nil {
		c.ahead = map[string]time.Duration{}
	}
	c.ahead[nodeID] = ahead
}

// of returns what was noted last of a guardian.
func (c *clocks) of(nodeID string) (ahead time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead, known = c.ahead[nodeID]
	return ahead, known
}

var (
	peersDesc = prometheus.NewDesc("guardian_peers",
		"Other guardians of the cluster by state.", []string{"state"}, nil)
	skewDesc = prometheus.NewDesc("guardian_clock_skew_seconds",
		"By how much the clock of another guardian is ahead of this one's, as its latest answer to a heartbeat tells, for those that are alive.", []string{"node"}, nil)
)

// Describe implements [prometheus.Collector].
func (m *membership) Describe(descs chan<- *prometheus.Desc) {
	descs <- peersDesc
	descs <- skewDesc
}

// Collect implements [prometheus.Collector].
func (m *membership) Collect(into chan<- prometheus.Metric) {
	peers := map[cluster.State]int{}
	for _, member := range m.View().Members {
		if member.Self {
			continue
		}
		peers[member.State]++
		if ahead, known := m.clocks.of(member.NodeID); known && member.State == cluster.Alive {
			into <- prometheus.MustNewConstMetric(skewDesc, prometheus.GaugeValue, ahead.Seconds(), member.NodeID)
		}
	}
	for _, state := range cluster.States {
		into <- prometheus.MustNewConstMetric(peersDesc, prometheus.GaugeValue, float64(peers[state]), string(state))
	}
}
