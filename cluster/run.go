package cluster

import (
	"context"
	"math/rand/v2"
	"time"
)

// Run registers this guardian, which is tried until it succeeds, fetches the
// list, sends heartbeats and logs what changes, until ctx ends. It is to be
// called once.
func (c *Cluster) Run(ctx context.Context) {
	if c.cfg.Registry == nil {
		<-ctx.Done()
		return
	}
	for _, loop := range []func(context.Context){c.pollLoop, c.beatLoop, c.tickLoop} {
		c.background.Go(func() { loop(ctx) })
	}
	c.background.Wait()
}

// tickLoop lets the detector speak often enough for it to know that this
// process was running all the time.
func (c *Cluster) tickLoop(ctx context.Context) {
	ticker := time.NewTicker(c.cfg.SuspectAfter / 15)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.tick()
		}
	}
}

func (c *Cluster) tick() {
	c.mu.Lock()
	events := c.detector.Tick(c.cfg.Now())
	c.mu.Unlock()
	if len(events) == 0 {
		return
	}
	v := c.View()
	for _, e := range events {
		c.metrics.transitions.WithLabelValues(string(e.To)).Inc()
		log := c.log.Warn
		if e.To == Alive {
			log = c.log.Info
		}
		log("guardian is "+string(e.To), "node_id", e.NodeID, "was", e.From, "silent", e.Silent.Round(time.Millisecond),
			"alive", v.Alive, "threshold", v.Threshold, "write_quorum", v.WriteQuorum)
	}
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jittered is d give or take a tenth, so that guardians that started at one
// moment do not all call at one moment ever after.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // spreads calls, keeps no secret
}
