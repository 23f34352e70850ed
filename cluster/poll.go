package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// registryTimeout bounds one poll, registering included.
const registryTimeout = 10 * time.Second

// poller is what the goroutine that polls knows beside the members.
type poller struct {
	// recalled is when known was last read, zero while it never was.
	recalled time.Time
	known    *memory
	// registered is what Register returned, the zero Member when it must be
	// called.
	registered Member
	astray     patience // with the addresses in its own record
	trouble    trouble
	complaints complaints
}

func (c *Cluster) pollLoop(ctx context.Context) {
	failures := 0
	for {
		err := c.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		c.metrics.polls.Inc()
		failures++
		if err == nil {
			failures = 0
		} else {
			c.metrics.pollsFailed.Inc()
		}
		c.report(err)
		if !sleep(ctx, pauseBetween(c.cfg.Poll, failures)) {
			return
		}
	}
}

// pauseBetween polls is shorter than usual after a first failure, and up to six
// times as long after many.
func pauseBetween(poll time.Duration, failures int) time.Duration {
	if failures == 0 {
		return jittered(poll)
	}
	return jittered(min(poll/4<<min(failures-1, 5), 6*poll))
}

// poll fetches list and roster, and decides anew who the members are.
func (c *Cluster) poll(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	complaints, err := c.prepare(limited)
	if err != nil {
		return err
	}
	judged, err := c.fetch(limited)
	if judged == nil {
		return err
	}
	c.poller.complaints.report(c.log, append(complaints, judged.complaints...))
	if joined := c.apply(judged); len(joined) > 0 {
		c.background.Go(func() { c.beatAll(ctx, joined) }) // without waiting for the next round
	}
	return err
}

// prepare does what must be done before others are asked for.
func (c *Cluster) prepare(ctx context.Context) ([]complaint, error) {
	unread, err := c.recall(ctx)
	if err != nil {
		return nil, err
	}
	unregistered, err := c.register(ctx)
	return append(unread, unregistered...), err
}

// fetch asks for list and roster, and judges them as judge does.
func (c *Cluster) fetch(ctx context.Context) (*judgement, error) {
	list, err := c.cfg.Registry.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing guardians: %w", err)
	}
	records, ignored := sound(list)
	judged, err := c.judge(ctx, records)
	if judged != nil {
		judged.complaints = slices.Concat(ignored, c.watchOwn(records), judged.complaints)
	}
	return judged, err
}

func refused(err error) bool {
	return errors.Is(err, ErrImpostor) || errors.Is(err, ErrFull) || errors.Is(err, ErrInvalidMember)
}

// trouble is why there is no list.
type trouble string

const (
	noTrouble       trouble = ""
	troubleRefused  trouble = "refused"
	troubleMemory   trouble = "memory"
	troubleRegistry trouble = "registry"
)

func troubleOf(err error) trouble {
	switch {
	case err == nil:
		return noTrouble
	case refused(err):
		return troubleRefused
	case errors.Is(err, errMemory):
		return troubleMemory
	}
	return troubleRegistry
}

// report logs what came of a poll, where it is not as before.
func (c *Cluster) report(err error) {
	before, now := c.poller.trouble, troubleOf(err)
	c.poller.trouble = now
	if now == before {
		return
	}
	alone := !c.View().Reached
	switch {
	case now == noTrouble:
		c.log.Info("the registry answers again")
	case now == troubleRefused:
		c.log.Error("the registry refuses this guardian, running in single-node mode: "+
			"give it a node id that no other has, and the node key that it had before", "error", err)
	case now == troubleMemory:
		c.log.Error("cannot tell who the other guardians are", "error", err)
	case alone:
		c.log.Warn("failed to fetch node list from RQLite, running in single-node mode", "error", err)
	default:
		c.log.Warn("the registry is out of reach, going on with the last list", "error", err)
	}
}
