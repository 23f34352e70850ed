package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/repair"
)

// wantWhole leaves all alone until it is healed, and checks it.
func (c *chaos) wantWhole(ctx context.Context) error {
	began, last := time.Now(), ""
	c.note("nothing is done any more")
	for {
		err := c.whole(ctx, began)
		if err == nil {
			break
		}
		if err.Error() != last {
			last = err.Error()
			c.note("not whole: %s", last)
			c.mu.Lock()
			c.unhealed = last
			c.mu.Unlock()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > c.healing {
			return fmt.Errorf("it did not heal within %v: %w", c.healing, err)
		}
		if err := wait(ctx, 10*demoLook); err != nil {
			return err
		}
	}
	c.report.HealedSeconds = time.Since(began).Seconds()
	for i := range c.guardians {
		if err := c.auditAt(ctx, i); err != nil {
			return err
		}
	}
	for _, s := range c.secrets {
		if err := c.recover(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// whole tells what is not yet as it should be.
func (c *chaos) whole(ctx context.Context, since time.Time) error {
	if err := c.takeOver(ctx); err != nil {
		return err
	}
	for i := range c.guardians {
		if err := c.wholeAt(ctx, i, since); err != nil {
			return fmt.Errorf("%s: %w", nodeID(i), err)
		}
	}
	for _, s := range c.secrets {
		if err := c.agreed(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// wholeAt wants a guardian to have scrubbed, found nothing wrong, and nothing
// open of its rounds.
func (c *chaos) wholeAt(ctx context.Context, i int, since time.Time) error {
	plane := c.plane(i)
	var rounds roundsStatus
	var scrub repair.ScrubProgress
	var queue repair.Status
	err := c.ask(ctx, func(ctx context.Context) error {
		return errors.Join(plane.get(ctx, roundsPath, &rounds), plane.get(ctx, scrubPath, &scrub), plane.get(ctx, repairPath, &queue))
	})
	last := scrub.Last
	switch {
	case err != nil:
		return err
	case rounds.Progress.Running || len(rounds.Open) > 0:
		return fmt.Errorf("rounds are open: %+v", rounds.Open)
	case last.StartedNS < since.UnixNano() || scrub.Exchange.LastNS < since.UnixNano():
		return errors.New("it has not scrubbed yet")
	case last.Corrupt+last.Missing+last.Unreadable+last.Stale+last.Lacking > 0:
		return fmt.Errorf("a scrub finds %d corrupt, %d missing, %d unreadable, %d stale, %d lacking", last.Corrupt, last.Missing, last.Unreadable, last.Stale, last.Lacking)
	case queue.Queued > 0:
		return fmt.Errorf("%d repairs are queued: %+v", queue.Queued, queue.Items[:min(len(queue.Items), 3)])
	}
	return nil
}

// agreed wants all who show the newest version of a secret to show one epoch of
// it, and more than K of them.
func (c *chaos) agreed(ctx context.Context, s *chaosSecret) error {
	who, k, err := c.showing(ctx, s)
	if err != nil {
		return err
	}
	var newest edition
	for of := range who {
		if of.version > newest.version || of.version == newest.version && of.epoch > newest.epoch {
			newest = of
		}
	}
	for of, all := range who {
		if of.version == newest.version && of.epoch != newest.epoch {
			return fmt.Errorf("%v: of version %d there are epochs %d and %d, that at %v", s, of.version, newest.epoch, of.epoch, idsOf(all))
		}
	}
	if _, least := s.settled(); newest.version < least {
		return fmt.Errorf("%w: %v is at version %d, after %d was acknowledged", errLost, s, newest.version, least)
	}
	if n := len(who[newest]); n <= k[newest] {
		return fmt.Errorf("%v: %d guardians have a share of version %d at epoch %d, with K = %d", s, n, newest.version, newest.epoch, k[newest])
	}
	return nil
}

// auditAt has a guardian audit all that it holds with the others.
func (c *chaos) auditAt(ctx context.Context, i int) error {
	plane := c.plane(i)
	var report repair.AuditReport
	if err := plane.post(ctx, auditPath, nil, &report); err != nil {
		return err
	}
	for report.Running {
		if err := wait(ctx, demoLook); err != nil {
			return err
		}
		report = repair.AuditReport{}
		if err := plane.get(ctx, auditPath, &report); err != nil {
			return err
		}
	}
	c.note("%s: the audit found %d generations, %d sound, %d undecided", nodeID(i), report.Generations, report.Sound, report.Undecided)
	if report.Error != "" {
		return fmt.Errorf("the audit of %s was broken off: %s", nodeID(i), report.Error)
	}
	for _, group := range report.Groups {
		for _, holder := range group.Holders {
			if holder.Wrong+holder.Cheated > 0 {
				return fmt.Errorf("the audit of %s found %d shares of %s wrong", nodeID(i), holder.Wrong+holder.Cheated, holder.Node)
			}
		}
	}
	return nil
}
