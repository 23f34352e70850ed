package repair

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// moving is one generation that is to be moved.
type moving struct {
	*record.Record
	chain    []byte
	proposal record.Proposal
}

func (m moving) slot() guardian.Slot { return guardian.Slot{Identity: m.Identity, Name: m.Name} }

// target is who is to hold a point.
func (m moving) target(x byte) (manifest.Holder, bool) {
	for _, target := range m.proposal.Holders {
		if target.X == x {
			return manifest.Holder{X: x, Node: target.Node, Key: target.Key}, true
		}
	}
	return manifest.Holder{}, false
}

// together tells whether two can be in one round.
func (m moving) together(other moving) bool {
	return check.Together(m.Record, other.Record) && m.proposal.Threshold == other.proposal.Threshold &&
		slices.EqualFunc(m.proposal.Holders, other.proposal.Holders, func(a, b record.Target) bool {
			return a.X == b.X && a.Node == b.Node && a.Key.Equal(b.Key)
		})
}

var (
	errUnsound  = errors.New("this node's share of it is damaged or gone")
	errBare     = errors.New("it was stored without a manifest")
	errNoHolder = errors.New("this node is none of its holders")
)

// movable returns what is to become of a generation, or why it stays as it is.
func (r *Repairer) movable(held guardian.Held, order RoundOrder) (moving, error) {
	switch {
	case !held.Sound:
		return moving{}, errUnsound
	case len(held.Share.Record()) == 0:
		return moving{}, errBare
	}
	of, err := r.cfg.Node.ParseRecord(held.Share.Record())
	if err != nil {
		return moving{}, fmt.Errorf("reading its record: %w", err)
	}
	if _, named := of.Of(r.ownKey()); !named {
		return moving{}, errNoHolder
	}
	if order, err = r.orderFor(of, order); err != nil {
		return moving{}, err
	}
	proposal, err := r.propose(of, order)
	if err == nil {
		err = r.permit(of, proposal)
	}
	return moving{of, held.Share.Record(), proposal}, err
}

// propose says who is to hold what. Where no holder is new all keep their
// points; else the points are the members' indices, as those of the holders may
// be anybody's.
func (r *Repairer) propose(of *record.Record, order RoundOrder) (record.Proposal, error) {
	p := record.Proposal{Threshold: of.Threshold}
	if order.Threshold != 0 {
		p.Threshold = order.Threshold
	}
	if len(order.Members) == 0 {
		for _, h := range of.Holders {
			if h.Key == nil {
				return p, fmt.Errorf("%w: the holder of point %d has no known key", record.ErrProposal, h.X)
			}
			p.Holders = append(p.Holders, record.Target{X: h.X, Node: h.Node, Key: h.Key})
		}
		return p, nil
	}
	everybody := r.everybody()
	anew := false
	for _, node := range order.Members {
		i := slices.IndexFunc(everybody, func(m Member) bool { return m.NodeID == node })
		if i < 0 {
			return p, fmt.Errorf("%w: no member of the cluster has the node id %q", record.ErrProposal, node)
		}
		m := everybody[i]
		holder, holds := of.Of(m.Key)
		anew = anew || !holds
		p.Holders = append(p.Holders, record.Target{X: holder.X, Node: m.NodeID, Key: m.Key})
	}
	if anew {
		for i, target := range p.Holders {
			m := everybody[slices.IndexFunc(everybody, func(m Member) bool { return m.Key.Equal(target.Key) })]
			if m.Index < 1 || m.Index > 255 {
				return p, fmt.Errorf("%w: %s has no share index yet", record.ErrProposal, m.NodeID)
			}
			p.Holders[i].X = byte(m.Index)
		}
	}
	slices.SortFunc(p.Holders, func(a, b record.Target) int { return int(a.X) - int(b.X) })
	return p, nil
}

// permit is what every participant of a round checks for itself: that the owner
// allows it, and that whoever is new was admitted by the key that the owner
// named, whatever the registry says. A holder that had no node id has the one that
// the roster gives it.
func (r *Repairer) permit(of *record.Record, p record.Proposal) error {
	if err := p.Check(of); err != nil {
		return err
	}
	everybody := r.everybody()
	for _, target := range p.Holders {
		holder, holds := of.Of(target.Key)
		if holds && holder.Node == target.Node {
			continue
		}
		if !holds && !r.cfg.Admission.Equal(of.Manifest.Policy.Admission) {
			return fmt.Errorf("%w: %s is new, and this cluster's members are not admitted by the key that the owner trusts", record.ErrProposal, target.Node)
		}
		admitted := func(m Member) bool { return m.NodeID == target.Node && m.Key.Equal(target.Key) }
		if !slices.ContainsFunc(everybody, admitted) {
			return fmt.Errorf("%w: %s is not in the roster with this key", record.ErrProposal, target.Node)
		}
	}
	return nil
}

// everybody is all members, this node included.
func (r *Repairer) everybody() []Member {
	return append(r.cfg.Peers.Members(), r.cfg.Peers.Self())
}

// moves gathers generations that can be in one round.
type moves struct{ all [][]moving }

// add takes one in, and returns a batch that is full.
func (m *moves) add(one moving) (full []moving) {
	i := slices.IndexFunc(m.all, func(batch []moving) bool { return batch[0].together(one) })
	switch {
	case i < 0:
		m.all = append(m.all, []moving{one})
		if len(m.all) <= batchesKept {
			return nil
		}
		return m.takeOut(m.largest())
	case !movable(append(slices.Clip(m.all[i]), one)):
		full = m.all[i]
		m.all[i] = []moving{one}
		return full
	}
	m.all[i] = append(m.all[i], one)
	return nil
}

// movable tells whether all of a batch go into one round.
func movable(batch []moving) bool {
	records, chains := recordsOf(batch)
	return check.Movable(records, chains, batch[0].proposal) == len(batch)
}

func recordsOf(batch []moving) (records []*record.Record, chains [][]byte) {
	for _, one := range batch {
		records, chains = append(records, one.Record), append(chains, one.chain)
	}
	return records, chains
}

func (m *moves) takeOut(i int) []moving {
	batch := m.all[i]
	m.all = slices.Delete(m.all, i, i+1)
	return batch
}

func (m *moves) largest() (largest int) {
	for i := range m.all {
		if len(m.all[i]) > len(m.all[largest]) {
			largest = i
		}
	}
	return largest
}

// groupOf is the group whose rounds move a record.
func groupOf(of *record.Record) round.Group { return round.GroupOf(of.Threshold, keysOf(of)) }

func keysOf(of *record.Record) (keys []ed25519.PublicKey) {
	for _, h := range of.Holders {
		if len(h.Key) == ed25519.PublicKeySize {
			keys = append(keys, h.Key)
		}
	}
	return keys
}
