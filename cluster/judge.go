package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// judge learns what is new, keeps it, and says who the members are. What cannot
// be kept is not believed yet: then it returns both who the members are without
// it, and the error.
func (c *Cluster) judge(ctx context.Context, records []Member) (*judgement, error) {
	if c.cfg.Admission != nil {
		return c.judgeByRoster(ctx, records)
	}
	self := c.cfg.Self
	self.Index = c.poller.registered.Index
	learn := func(k *memory) (*memory, bool) { return k.learn(self, records) }
	var err error
	if _, isNew := learn(c.poller.known); isNew {
		err = c.keep(ctx, learn)
	}
	j := byPins(c.poller.known, c.cfg.Self, records, c.present())
	if err != nil {
		j.complaints = nil // they are of those that could not be kept
	}
	return j, err
}

func (c *Cluster) judgeByRoster(ctx context.Context, records []Member) (*judgement, error) {
	ignored, err := c.fetchRoster(ctx)
	if err != nil && !errors.Is(err, errMemory) {
		return nil, err
	}
	j := &judgement{self: c.cfg.Self}
	if roster := c.poller.known.roster; roster != nil {
		j = byRoster(roster, c.cfg.Self, records, c.present())
	}
	j.complaints = append(j.complaints, ignored...)
	return j, err
}

// fetchRoster puts the roster in force that the registry has, if its serial is
// above that of the one in force. Errors are the registry's, or errMemory.
func (c *Cluster) fetchRoster(ctx context.Context) ([]complaint, error) {
	known := c.poller.known
	signed, _, err := c.cfg.Registry.Load(ctx, RosterKey)
	if err != nil {
		return c.withoutRoster(ctx, err)
	}
	if known.roster != nil && bytes.Equal(signed, known.signed) {
		return nil, nil
	}
	roster, err := ParseRoster(signed, c.cfg.Admission)
	switch {
	case err != nil:
		return c.complain("ignored the registry's roster: "+err.Error(), nil), nil
	case roster.Serial <= known.serial():
		return c.complain(fmt.Sprintf("ignored the registry's roster with serial %d: that in force has %d", roster.Serial, known.serial()), nil), nil
	}
	return nil, c.putInForce(ctx, roster, signed)
}

// withoutRoster is what to do when err came instead of one. The list was to be
// had, so while there is a roster in force the trouble is with the record alone.
func (c *Cluster) withoutRoster(ctx context.Context, err error) ([]complaint, error) {
	inForce := c.poller.known.roster != nil
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, ErrNoRecord) && !inForce:
		return c.complain("there is no roster yet: no other guardian is a member", nil), nil
	case errors.Is(err, ErrNoRecord):
		return c.complain("the registry has lost the roster: the one in force stays", nil), nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, errNotRecord):
		return c.complain("ignored the registry's roster: "+err.Error(), nil), nil
	case inForce:
		return c.complain("cannot fetch the registry's roster: the one in force stays", err), nil
	}
	return nil, fmt.Errorf("fetching the roster: %w", err)
}

// putInForce keeps a roster, unless what is kept has a later one already.
func (c *Cluster) putInForce(ctx context.Context, roster *Roster, signed []byte) error {
	before := c.poller.known.serial()
	err := c.keep(ctx, func(k *memory) (*memory, bool) {
		if roster.Serial <= k.serial() {
			return k, false
		}
		return k.withRoster(roster, signed), true
	})
	if now := c.poller.known; now.serial() > before {
		c.log.Info("a roster is in force", "serial", now.serial(), "members", len(now.roster.Entries))
	}
	return err
}

func (c *Cluster) complain(text string, cause error) []complaint {
	return []complaint{{c.cfg.Self.NodeID, text, cause}}
}
