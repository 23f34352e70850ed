package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/repair/round"
)

// chaosOrder bounds how long an order is waited for.
const chaosOrder = 30 * time.Second

// operate is the operator: orders refreshes and redistributions of whatever
// guardian comes to hand, scrubs, and sees to rounds whose coordinator was killed.
func (c *chaos) operate(ctx context.Context, until time.Time) error {
	choices := c.choices(3)
	for time.Now().Before(until) {
		i, order := choices.IntN(len(c.guardians)), roundsOrder{}
		switch choices.IntN(5) {
		case 0:
			c.scrub(ctx, i)
		case 1, 2:
			order = c.anotherOrder(choices)
			fallthrough
		default:
			if c.moveShares(ctx, i, order) {
				break
			}
			if err := c.takeOver(ctx); err != nil {
				c.note("taking rounds over: %v", err)
			}
		}
		if err := wait(ctx, time.Duration(100+choices.IntN(1000))*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// anotherOrder leaves every secret at least two holders more than K.
func (c *chaos) anotherOrder(choices *rand.Rand) roundsOrder {
	n := chaosHolders + choices.IntN(2)
	members := choices.Perm(len(c.guardians))[:n]
	slices.Sort(members)
	return roundsOrder{Members: idsOf(members), Threshold: n - 3}
}

func (c *chaos) plane(i int) adminFlags {
	c.mu.Lock()
	defer c.mu.Unlock()
	return adminFlags{url: "http://" + c.guardians[i].adminAddress}
}

// asking bounds one request to an admin plane: a guardian that is stopped never
// answers.
func asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, demoReply)
}

func (c *chaos) scrub(ctx context.Context, i int) {
	ctx, cancel := asking(ctx)
	defer cancel()
	plane := c.plane(i)
	var ignored any
	if plane.post(ctx, scrubPath, nil, &ignored) == nil {
		c.count(func(r *chaosReport) { r.Scrubs++ })
	}
}

// moveShares gives an order, and waits for its end; whatever it comes to is
// right, as long as nothing is lost. It tells whether all was moved.
func (c *chaos) moveShares(ctx context.Context, i int, order roundsOrder) bool {
	var begun roundsStatus
	plane := c.plane(i)
	if err := c.ask(ctx, func(ctx context.Context) error { return plane.post(ctx, roundsPath, order, &begun) }); err != nil {
		return true
	}
	c.note("%s is ordered to move all shares: %+v", nodeID(i), order)
	for gaveUp := time.Now().Add(chaosOrder); time.Now().Before(gaveUp); {
		if wait(ctx, 4*demoLook) != nil {
			return true
		}
		var now roundsStatus
		plane = c.plane(i)
		if err := c.ask(ctx, func(ctx context.Context) error { return plane.get(ctx, roundsPath, &now) }); err != nil {
			continue // killed, or stopped: it may be back
		}
		if p := now.Progress; p.StartedNS == begun.Progress.StartedNS && p.Running {
			continue
		}
		p := now.Progress
		c.note("%s: %d rounds, %d shares moved, %d refused, %d failed %s %+v", nodeID(i), p.Rounds, p.Moved, p.Refused, p.Failed, p.Error, p.Problems)
		c.count(func(r *chaosReport) {
			r.Rounds += p.Rounds
			r.Moved += p.Moved
			if p.Moved == 0 {
				r.InVain++
			}
		})
		return p.Moved > 0 && p.Failed == 0
	}
	return false
}

func (c *chaos) ask(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	return do(ctx)
}

// takeOver ends rounds whose coordinator does not lead them any more, as a
// guardian does whose clock is ahead of their lease.
func (c *chaos) takeOver(ctx context.Context) error {
	registry, err := c.openRegistry(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	rounds := round.New(registry, "chaos", func() time.Time { return time.Now().Add(round.Lease + time.Minute) })
	listed, err := rounds.List(ctx)
	if err != nil {
		return err
	}
	for _, l := range listed {
		if l.Err != nil || l.State.Phase != round.Open && l.State.Phase != round.Voting || c.leads(ctx, l.State.Coordinator) {
			continue
		}
		opened, err := rounds.Open(ctx, l.Group, l.State.Proposal)
		if err == nil {
			err = opened.Abort(ctx)
		}
		if err != nil {
			return err
		}
		c.note("round %d of %.8s was taken over from %s", l.State.Serial, l.Group, l.State.Coordinator)
		c.count(func(r *chaosReport) { r.Taken++ })
	}
	return nil
}

// leads tells whether a guardian says that it carries an order out.
func (c *chaos) leads(ctx context.Context, node string) bool {
	for i := range c.guardians {
		if nodeID(i) != node {
			continue
		}
		var now roundsStatus
		plane := c.plane(i)
		err := c.ask(ctx, func(ctx context.Context) error { return plane.get(ctx, roundsPath, &now) })
		return err == nil && now.Progress.Running
	}
	return false
}
