package repair

import (
	"context"
	"crypto/ed25519"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// target is the generation that a report is about: the newest that can be
// rebuilt, this node's share counted, else the newest known; nil without any.
func (p *patient) target() *candidate {
	for _, c := range p.candidates {
		good := len(c.helpers)
		if p.ownState(c) == StateGood {
			good++
		}
		if good >= c.Threshold {
			return c
		}
	}
	if len(p.candidates) == 0 {
		return nil
	}
	return p.candidates[0]
}

// health counts the shares of the target over its holders. Without one it is
// about what this node has alone.
func (r *Repairer) health(p *patient, target *candidate) Health {
	if target == nil {
		return p.healthAlone()
	}
	h := Health{K: target.Threshold, N: len(target.Holders), Version: target.Version, Epoch: target.Epoch}
	places := r.places()
	domains := map[string]bool{}
	for _, holder := range target.Holders {
		state := p.stateOf(target, holder, r.ownKey())
		domain := places[string(holder.Key)]
		h.count(state)
		if state == StateGood && domain != "" {
			domains[domain] = true
		}
		h.Holders = append(h.Holders, HolderHealth{X: int(holder.X), Node: holder.Node, FailureDomain: domain, State: state})
	}
	h.FailureDomains = len(domains)
	h.Healthy, h.Recoverable = h.Good == h.N, h.Good >= h.K
	return h
}

func (p *patient) healthAlone() Health {
	h := Health{Version: p.found.Version}
	switch {
	case p.found.Damaged || p.damaged(p.found.Version):
		h.Corrupt = 1
	case p.found.Known && !p.found.Deleted:
		h.Good, h.Healthy = 1, true
	}
	return h
}

func (h *Health) count(state string) {
	switch state {
	case StateGood:
		h.Good++
	case StateCorrupt:
		h.Corrupt++
	case StateMissing:
		h.Missing++
	case StateStale:
		h.Stale++
	default:
		h.Unreachable++
	}
}

// places are the failure domains by key, this node's included where it is
// known.
func (r *Repairer) places() map[string]string {
	places := map[string]string{string(r.ownKey()): r.cfg.FailureDomain}
	if r.cfg.Peers != nil {
		for _, m := range r.cfg.Peers.Members() {
			places[string(m.Key)] = m.FailureDomain
		}
	}
	return places
}

func (p *patient) stateOf(c *candidate, holder manifest.Holder, own ed25519.PublicKey) string {
	if holder.Key.Equal(own) {
		return p.ownState(c)
	}
	answer, answered := p.answers[string(holder.Key)]
	if !answered || holder.Key == nil {
		return StateUnreachable
	}
	state := StateMissing
	for _, g := range answer.Generations {
		switch {
		case g.Sound && string(g.Hash) == string(c.Hash[:]):
			return StateGood
		case g.Version == c.Version && !g.Sound:
			state = StateCorrupt
		case (g.Version < c.Version || g.Version == c.Version && g.Epoch < c.Epoch) && state == StateMissing:
			state = StateStale
		}
	}
	return state
}

func (p *patient) ownState(c *candidate) string {
	if p.found.Damaged {
		return StateCorrupt
	}
	state := StateMissing
	for _, held := range p.found.Held {
		switch {
		case held.Version == c.Version && held.Sound && held.Epoch < c.Epoch:
			state = StateStale
		case held.Version == c.Version && held.Sound:
			return StateGood
		case held.Version == c.Version:
			return StateCorrupt
		case held.Version < c.Version:
			state = StateStale
		}
	}
	return state
}

// notify hints to those whose shares were found bad, or are no longer to be, that
// they may want to look, each once an hour: two that each find fault with the
// other would have no rest. What becomes of it is theirs.
func (r *Repairer) notify(ctx context.Context, p *patient, target *candidate) {
	told := p.leftBehind()
	if target != nil && target.recoverable() {
		for _, holder := range target.Holders {
			switch p.stateOf(target, holder, r.ownKey()) {
			case StateCorrupt, StateMissing, StateStale:
				told = append(told, holder.Key)
			}
		}
	}
	told = slices.DeleteFunc(told, func(key ed25519.PublicKey) bool {
		return key.Equal(r.ownKey()) || !r.noticed.first(p.slot, key, r.cfg.Now())
	})
	request := NoticeRequest{[]SlotName{{p.slot.Identity, p.slot.Name}}}
	sideBySide(told, surveysAtOnce, func(key ed25519.PublicKey) {
		conn, err := r.dial(key)
		if err != nil {
			return
		}
		defer conn.Close()
		_, err = call[NoticeAnswer](ctx, conn, RouteNotice, request)
		r.log.Debug("told a guardian that a share of it may be damaged", "identity", p.slot.Short(), "error", err)
	})
}

// leftBehind are those who have a share of a record that one of this node's came
// of, and none of that: no certificate has reached them.
func (p *patient) leftBehind() (keys []ed25519.PublicKey) {
	for key, answer := range p.answers {
		if slices.ContainsFunc(answer.Generations, func(g Generation) bool { return p.hasMoved(g, key) }) {
			keys = append(keys, ed25519.PublicKey(key))
		}
	}
	return keys
}

func (p *patient) hasMoved(g Generation, holder string) bool {
	return g.Sound && slices.ContainsFunc(p.mine, func(mine *record.Record) bool {
		return !names(mine, ed25519.PublicKey(holder)) && string(g.Hash) != string(mine.Hash[:]) && followsAny(mine, [][]byte{g.Hash})
	})
}
