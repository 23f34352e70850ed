package record

import (
	"crypto/ed25519"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/quorum"
)

// MaxEpochs is the highest epoch: how many rounds one version of a secret can
// see before its owner has to push it anew.
const MaxEpochs = 1024

const (
	minThreshold = 2
	maxHolders   = 255 // points of GF(2^8) other than 0
)

// Proposal is who is to hold the shares after a round, and how many of these
// rebuild the secret then.
type Proposal struct {
	// Threshold is K', 2 to 254.
	Threshold int
	// Holders are in ascending order of X, K'+1 to 255 of them.
	Holders []Target
}

// Target is one who is to hold a share.
type Target struct {
	// X is the point, 1 to 255.
	X byte
	// Node is the id of a guardian, 1 to 63 of [a-z0-9-], and Key its node key.
	// No two targets have the same of either, and who holds a share before has the
	// id that it has there.
	Node string
	Key  ed25519.PublicKey
}

// Quorum returns q: how many of the holders must have a durable share before the
// round may commit. It is more than K' and two thirds of them.
func Quorum(p Proposal) int {
	return max(quorum.WriteQuorum(len(p.Holders)), p.Threshold+1)
}

// MaxLink bounds by how many bytes a chain grows with a round in which as many old
// holders agree.
func MaxLink(agreeing int, p Proposal) int {
	const body, voter = 512, 1 + 32 + 64
	size := body + voter*(agreeing+len(p.Holders))
	for _, h := range p.Holders {
		size += 8 + len(h.Node) + ed25519.PublicKeySize
	}
	return size
}

// Check returns nil if the owner's manifest permits what is proposed to come
// after base. Who signs that the new holders are members is for the caller to
// see to: the manifest names the key, and the proposal has no signature. Error:
// ErrProposal, which says why.
func (p Proposal) Check(base *Record) error { return pageRules.check(p, base) }

func (rules *rules) check(p Proposal, base *Record) error {
	if base.Epoch >= MaxEpochs {
		return forbidden("epoch %d is the last", base.Epoch)
	}
	if err := rules.permits(p, base.Manifest); err != nil {
		return err
	}
	for _, h := range p.Holders {
		if before, holds := base.Of(h.Key); holds && !rules.sameNode(before, h) {
			return forbidden("the holder at point %d has another node id in the record before", h.X)
		}
	}
	return nil
}

// permits returns nil if holders and threshold are within bounds, and as the
// owner lets them be.
func (rules *rules) permits(p Proposal, m *manifest.Manifest) error {
	if err := p.checkForm(); err != nil {
		return err
	}
	k, n := p.Threshold, len(p.Holders)
	switch {
	case !rules.refresh(m.Policy):
		return forbidden("the owner wants no new shares made")
	case !rules.threshold(k, m.Policy):
		return forbidden("its threshold %d is below the owner's least, %d", k, m.Policy.MinThreshold)
	case !rules.most(n, m.Policy):
		return forbidden("its %d holders are above the owner's most, %d", n, m.Policy.MaxHolders)
	case !rules.spare(n, k):
		return forbidden("its %d holders are not more than its threshold %d", n, k)
	case !rules.admitted(m, p.Holders):
		return forbidden("its holders are not the manifest's, which has nobody admit others")
	}
	return nil
}

func (p Proposal) checkForm() error {
	if p.Threshold < minThreshold || p.Threshold > maxHolders {
		return forbidden("its threshold %d is not %d to %d", p.Threshold, minThreshold, maxHolders)
	}
	if len(p.Holders) < p.Threshold || len(p.Holders) > maxHolders {
		return forbidden("its %d holders are not %d to %d", len(p.Holders), p.Threshold, maxHolders)
	}
	keys, nodes := map[string]bool{}, map[string]bool{}
	before := byte(0)
	for _, h := range p.Holders {
		switch {
		case h.X <= before:
			return forbidden("its points are not from 1 to %d in ascending order, at %d", maxHolders, h.X)
		case !manifest.ValidNode(h.Node):
			return forbidden("the node id at point %d is not 1 to 63 of a-z, 0-9 and -", h.X)
		case len(h.Key) != ed25519.PublicKeySize:
			return forbidden("the key at point %d has %d bytes", h.X, len(h.Key))
		case keys[string(h.Key)]:
			return forbidden("the key at point %d has another point too", h.X)
		case nodes[h.Node]:
			return forbidden("the node id at point %d has another point too", h.X)
		}
		keys[string(h.Key)], nodes[h.Node], before = true, true, h.X
	}
	return nil
}

// proposal is what r was proposed as.
func (r *Record) proposal() Proposal {
	p := Proposal{Threshold: r.Threshold}
	for _, h := range r.Holders {
		p.Holders = append(p.Holders, Target{h.X, h.Node, h.Key})
	}
	return p
}
