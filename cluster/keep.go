package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

const (
	// recallEvery is how soon it is noticed what an operator, or another replica
	// of this node, has changed of what is kept.
	recallEvery = time.Minute
	// maxSaves bounds how often something is kept that others keep changing.
	maxSaves = 5
)

// errNoAdmission: whoever once decided to be told by an admission key alone does
// not come to be told by the registry because a variable was left out.
var errNoAdmission = fmt.Errorf("%w: it has a signed roster, and no admission key is configured: "+
	"configure it, or give the roster up with guardianctl cluster pins forget --roster", errMemory)

// recall reads what was kept. Until that has succeeded once nobody is believed:
// what was first seen is not known. Later it is only a complaint when it fails.
func (c *Cluster) recall(ctx context.Context) ([]complaint, error) {
	p, now := &c.poller, c.cfg.Now()
	if age := now.Sub(p.recalled); c.cfg.Pins == nil || age >= 0 && age < recallEvery {
		return nil, nil
	}
	first := p.recalled.IsZero()
	stored, err := c.stored(ctx)
	switch {
	case err != nil && first:
		return nil, err
	case err != nil:
		return c.complain("cannot read again what was kept of the cluster", err), nil
	}
	p.known, p.recalled = stored, now
	if first {
		c.enterKnown()
	}
	return nil, nil
}

// stored is what is kept, with a roster that is not older than the one in
// force.
func (c *Cluster) stored(ctx context.Context) (*memory, error) {
	if c.cfg.Pins == nil {
		return c.poller.known, nil
	}
	data, err := c.cfg.Pins.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: reading it: %w", errMemory, err)
	}
	k, err := decodeMemory(data, c.cfg.Admission)
	switch known := c.poller.known; {
	case err != nil:
		return nil, err
	case c.cfg.Admission == nil && len(k.signed) > 0:
		return nil, errNoAdmission
	case known.serial() > k.serial():
		k = k.withRoster(known.roster, known.signed)
	}
	return k, nil
}

// keep changes what is kept, and makes that durable, after which it may be acted
// upon. What is there counts, and not what this process remembers of it: another
// replica of this node may have added to it, and an operator taken away.
func (c *Cluster) keep(ctx context.Context, change func(*memory) (changed *memory, isNew bool)) (err error) {
	for range maxSaves {
		stored, errRead := c.stored(ctx)
		if errRead != nil {
			return errRead
		}
		changed, isNew := change(stored)
		if err = c.save(ctx, changed, isNew); err == nil {
			c.poller.known = changed
			return nil
		}
		if !errors.Is(err, backend.ErrConflict) {
			break
		}
	}
	return fmt.Errorf("%w: writing it: %w", errMemory, err)
}

func (c *Cluster) save(ctx context.Context, k *memory, isNew bool) error {
	if !isNew || c.cfg.Pins == nil {
		return nil
	}
	return c.cfg.Pins.Save(ctx, k.encode())
}

// enterKnown makes members of those that were kept, before anybody says where
// they are: they may call, and cannot be called. So a guardian that starts while
// the registry is down hears those who have a list.
func (c *Cluster) enterKnown() {
	k, j := c.poller.known, &judgement{self: c.cfg.Self}
	switch {
	case k.roster != nil:
		j = byRoster(k.roster, c.cfg.Self, nil, present{})
	case k.foreign:
		c.log.Warn("the roster that was kept is not signed by the admission key that is configured: it does not count")
	case c.cfg.Admission == nil:
		j = remembered(k, c.cfg.Self)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.install(j)
}
