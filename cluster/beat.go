package cluster

import (
	"context"
	"sync"
	"time"
)

// beatLoop sends a heartbeat to every peer, again and again. A round is over
// before the next begins.
func (c *Cluster) beatLoop(ctx context.Context) {
	for {
		next := time.NewTimer(jittered(c.cfg.Heartbeat))
		c.beatAll(ctx, c.peers())
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
	}
}

// peers are the other members whose address is known.
func (c *Cluster) peers() []Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var peers []Member
	for _, m := range c.members {
		if m.PeerURL != "" {
			peers = append(peers, m)
		}
	}
	return peers
}

// beatAll sends heartbeats side by side, so that one who does not answer delays
// no other, and gives up in time for the next round.
func (c *Cluster) beatAll(ctx context.Context, peers []Member) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Heartbeat*4/5)
	defer cancel()
	beat := c.beat()
	var round sync.WaitGroup
	for _, peer := range peers {
		round.Go(func() { c.beatOne(ctx, peer, beat) })
	}
	round.Wait()
}

// beatOne sends one heartbeat. The answer is a heartbeat too: of two guardians
// of which only one can call the other, each hears of the other. What fails is
// counted and not logged: the detector says what comes of it.
func (c *Cluster) beatOne(ctx context.Context, peer Member, beat Heartbeat) {
	c.metrics.sent.Inc()
	answer, err := c.cfg.Caller.Heartbeat(ctx, peer, beat)
	if err == nil {
		err = c.heard(peer.NodeID, answer)
	}
	if err != nil && ctx.Err() != context.Canceled {
		c.metrics.failed.Inc()
		c.log.Debug("heartbeat failed", "node_id", peer.NodeID, "error", err)
	}
}
