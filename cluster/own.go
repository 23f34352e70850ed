package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// register makes sure that this guardian is in the registry. That it cannot is
// an error where the registry alone says who this guardian is, and else only a
// complaint: a record that is damaged keeps it from no list.
func (c *Cluster) register(ctx context.Context) ([]complaint, error) {
	if c.poller.registered.NodeID != "" {
		return nil, nil
	}
	registered, err := c.cfg.Registry.Register(ctx, c.cfg.Self)
	if err == nil && (registered.NodeID != c.cfg.Self.NodeID || registered.Index < 1 || registered.Index > MaxIndex) {
		err = errors.New("the registry answers with the record of another, or with no index")
	}
	switch {
	case err == nil:
		c.poller.registered = registered
		return nil, nil
	case c.knowsItself():
		return c.complain("cannot register, and goes on as it is known", err), nil
	}
	return nil, fmt.Errorf("registering: %w", err)
}

// knowsItself reports whether roster or pins, not the registry, say who this
// guardian is.
func (c *Cluster) knowsItself() bool {
	return c.cfg.Admission != nil || c.poller.known.pins[c.cfg.Self.NodeID].Key.Equal(c.cfg.Self.PublicKey)
}

// watchOwn looks at the record of this guardian itself, and has it registered
// again where it is gone, or has had other addresses for too long.
func (c *Cluster) watchOwn(records []Member) []complaint {
	self, p := c.cfg.Self, &c.poller
	at := slices.IndexFunc(records, func(m Member) bool { return m.NodeID == self.NodeID })
	switch {
	case at < 0:
		p.registered = Member{}
	case sameAddress(records[at], self) || !records[at].PublicKey.Equal(self.PublicKey):
		p.astray.end()
	default:
		if p.astray.over(c.cfg.Now()) {
			p.registered = Member{}
		}
		return c.complain("the registry has other URLs of this guardian than its own, or another failure domain: if they stay, it registers again", nil)
	}
	return nil
}

func sameAddress(a, b Member) bool {
	return a.ClientURL == b.ClientURL && a.PeerURL == b.PeerURL && a.FailureDomain == b.FailureDomain
}

// How long something wrong is put up with at first, and at most.
const (
	firstPatience = time.Minute
	mostPatience  = time.Hour
)

// patience is how long to put up with something, twice as long each time that
// it is over: two replicas of one node may have different URLs, and must not
// overwrite each other's again and again; and one that is being replaced is to
// end without a word.
type patience struct {
	since  time.Time // zero while all is well
	length time.Duration
}

// over notes that something is wrong, and reports whether it has been for too
// long, after which it begins anew.
func (p *patience) over(now time.Time) bool {
	p.length = max(p.length, firstPatience)
	if p.since.IsZero() {
		p.since = now
	}
	if now.Sub(p.since) < p.length {
		return false
	}
	p.length = min(2*p.length, mostPatience)
	p.end()
	return true
}

// end notes that nothing is wrong.
func (p *patience) end() { p.since = time.Time{} }
