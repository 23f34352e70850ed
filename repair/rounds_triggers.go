package repair

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// keyRefreshed is where a node keeps when it began its last refresh.
const keyRefreshed = "rounds/refreshed"

// triggerEvery is how often a node looks whether rounds are due by themselves.
const triggerEvery = time.Minute

// triggerRounds begins rounds that nobody asked for, until ctx ends.
func (r *Repairer) triggerRounds(ctx context.Context) {
	if r.order == nil || r.cfg.RefreshInterval == 0 && r.cfg.ReplaceAfter == 0 {
		return
	}
	every := triggerEvery
	for _, interval := range []time.Duration{r.cfg.RefreshInterval, r.cfg.ReplaceAfter} {
		if interval > 0 {
			every = min(every, max(interval/4, time.Second))
		}
	}
	r.replaced = time.Now()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.trigger(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("looking whether shares are to be moved", "error", err)
		}
	}
}

// replaceAgain is how long what could not be replaced is left alone.
const replaceAgain = 10 * time.Minute

func (r *Repairer) trigger(ctx context.Context) error {
	if r.replaceDue() {
		r.replaced = time.Now()
		return ignoreRunning(r.StartRounds(RoundOrder{replace: true}))
	}
	due, err := r.refreshDue(ctx)
	if err != nil || !due {
		return err
	}
	return ignoreRunning(r.StartRounds(RoundOrder{leading: true}))
}

// replaceDue tells whether holders that are gone are to be looked for: because a
// member is, or, now and then, as one may be no member any more, or have come back
// with another key.
func (r *Repairer) replaceDue() bool {
	after := r.cfg.ReplaceAfter
	if r.anybodyGone() {
		after = min(replaceAgain, after)
	}
	return r.cfg.ReplaceAfter > 0 && time.Since(r.replaced) >= after
}

func ignoreRunning(err error) error {
	if errors.Is(err, ErrRoundsRunning) {
		return nil
	}
	return err
}

// anybodyGone tells whether a member is silent for so long that it is replaced.
func (r *Repairer) anybodyGone() bool {
	return slices.ContainsFunc(r.cfg.Peers.Members(), func(m Member) bool { return r.isGone(m, true) })
}

// urgency is by what part of ReplaceAfter a holder is waited for where no more
// than K+1 are left.
const urgency = 24

func (r *Repairer) isGone(m Member, urgent bool) bool {
	after := r.cfg.ReplaceAfter
	if urgent {
		after /= urgency
	}
	return !m.Alive && m.Silent >= after
}

// isUrgent tells whether a record has so few holders left that one more loss
// leaves none to spare.
func (r *Repairer) isUrgent(of *record.Record) bool {
	alive, left := r.aliveKeys(), 0
	for _, h := range of.Holders {
		if alive[string(h.Key)] {
			left++
		}
	}
	return left <= of.Threshold+1
}

// refreshDue takes the turn of a refresh, by the time of day that all replicas
// of the node go by.
func (r *Repairer) refreshDue(ctx context.Context) (bool, error) {
	if r.cfg.RefreshInterval == 0 {
		return false, nil
	}
	store, now := r.cfg.Node.Queue(), r.cfg.Now().UnixNano()
	data, rev, err := store.Get(ctx, keyRefreshed)
	if err != nil && !absent(err) {
		return false, fmt.Errorf("reading when shares were refreshed: %w", err)
	}
	var last struct {
		AtNS int64 `json:"at_ns"`
	}
	_ = json.Unmarshal(data, &last) // what cannot be read is long ago
	if since := now - last.AtNS; since >= 0 && since < int64(r.cfg.RefreshInterval) {
		return false, nil
	}
	last.AtNS = now
	if data, err = json.Marshal(last); err != nil {
		return false, fmt.Errorf("encoding when shares were refreshed: %w", err)
	}
	if _, err := store.Put(ctx, keyRefreshed, data, rev); err != nil && !errors.Is(err, backend.ErrConflict) {
		return false, fmt.Errorf("keeping when shares are refreshed: %w", err)
	} else if err != nil {
		return false, nil // another replica was first
	}
	return true, nil
}

// leads tells whether of all holders that are alive this node is to lead a round
// that nobody asked for: the one with the lowest point.
func (r *Repairer) leads(of *record.Record) bool {
	alive := r.aliveKeys()
	for _, h := range of.Holders {
		if h.Key.Equal(r.ownKey()) {
			return true
		}
		if alive[string(h.Key)] {
			return false
		}
	}
	return false
}

func (r *Repairer) aliveKeys() map[string]bool {
	alive := map[string]bool{string(r.ownKey()): true}
	for _, m := range r.cfg.Peers.Members() {
		if m.Alive {
			alive[string(m.Key)] = true
		}
	}
	return alive
}

var errNotDue = errors.New("nothing is to be done by this node")

// replacement is the order that puts others in the place of holders that are
// gone for good. They come from the roster, from failure domains that have the
// fewest holders.
func (r *Repairer) replacement(of *record.Record) (RoundOrder, error) {
	if !r.leads(of) {
		return RoundOrder{}, errNotDue
	}
	everybody, urgent := r.everybody(), r.isUrgent(of)
	var order RoundOrder
	gone, joining := 0, 0
	domains := map[string]int{}
	for _, h := range of.Holders {
		i := slices.IndexFunc(everybody, func(m Member) bool { return m.Key.Equal(h.Key) })
		if i < 0 || r.isGone(everybody[i], urgent) {
			gone++
			continue
		}
		order.Members = append(order.Members, everybody[i].NodeID)
		domains[everybody[i].FailureDomain]++
	}
	for range gone {
		m, ok := r.candidateFor(of, order.Members, domains)
		if !ok {
			break
		}
		order.Members = append(order.Members, m.NodeID)
		domains[m.FailureDomain]++
		joining++
	}
	if joining == 0 {
		return RoundOrder{}, errNotDue
	}
	return order, nil
}

func (r *Repairer) candidateFor(of *record.Record, taken []string, domains map[string]int) (Member, bool) {
	var free []Member
	for _, m := range r.everybody() {
		if _, holds := of.Of(m.Key); m.Alive && !holds && !slices.Contains(taken, m.NodeID) && m.Index > 0 {
			free = append(free, m)
		}
	}
	if len(free) == 0 {
		return Member{}, false
	}
	return slices.MinFunc(free, func(a, b Member) int {
		return cmp.Or(
			cmp.Compare(hadPlace(of, b.NodeID), hadPlace(of, a.NodeID)),
			cmp.Compare(domains[a.FailureDomain], domains[b.FailureDomain]), bytes.Compare(a.Key, b.Key))
	}), true
}

// hadPlace is 1 for the id of a holder: who has come back with another key takes
// its own place.
func hadPlace(of *record.Record, node string) int {
	if slices.ContainsFunc(of.Holders, func(h manifest.Holder) bool { return h.Node == node }) {
		return 1
	}
	return 0
}

// orderFor is what an order means for one generation.
func (r *Repairer) orderFor(of *record.Record, order RoundOrder) (RoundOrder, error) {
	switch {
	case order.replace:
		return r.replacement(of)
	case order.leading && !r.leads(of):
		return RoundOrder{}, errNotDue
	}
	return order, nil
}

// passedOver tells what is no problem of an order.
func passedOver(held guardian.Held, order RoundOrder, err error) bool {
	return errors.Is(err, errNotDue) || (order.replace || order.leading) && (!held.Sound || errors.Is(err, record.ErrProposal) || errors.Is(err, errBare))
}
