package check

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/record"
)

// Bounds of one redistribution, beside those of a batch.
const (
	// MaxMoved bounds the bytes of the shares that one holder has of a batch, and
	// so of each dealing, and MaxDealt those times K or N', whichever is more. A
	// generation alone may have any size.
	MaxMoved = 1 << 20
	MaxDealt = 32 << 20
	// MaxChains bounds the bytes of the chains of a batch, and of what these grow
	// to by a round: certificates of a batch are kept as one object.
	MaxChains = 2 << 20
)

// Movable returns how many of the generations given, from the first on, one
// redistribution can take; of a generation alone it is never 0. There is a chain
// for each record.
func Movable(records []*record.Record, chains [][]byte, p record.Proposal) int {
	size, shown := 0, 0
	for n, r := range records {
		size, shown = size+r.ShareSize, shown+len(chains[n])+record.MaxLink(len(r.Holders), p)
		fits := n < MaxRecords && Together(records[0], r) && size <= MaxBytes && movable(records[:n+1], size, p) && shown <= MaxChains
		if n > 0 && !fits {
			return n
		}
	}
	return len(records)
}

func movable(records []*record.Record, size int, p record.Proposal) bool {
	return len(records) == 1 || size <= MaxMoved && size*max(records[0].Threshold, len(p.Holders)) <= MaxDealt
}

// moving returns the batch as what a redistribution moves. Errors: [ErrBatch],
// and that of the proposal for a generation whose owner does not permit it.
func (r *rules) moving(b *Batch, p record.Proposal) (*Batch, error) {
	size := 0
	for i, of := range b.records {
		if err := p.Check(of); err != nil {
			return nil, fmt.Errorf("record %d of the batch: %w", i, err)
		}
		size += of.ShareSize
	}
	if !movable(b.records, size, p) {
		return nil, fmt.Errorf("%w: %d bytes are too many to move", ErrBatch, size)
	}
	return &Batch{records: b.records, hash: r.moved(b.hash, p), proposal: &p}, nil
}

// movedOf is what a session of a redistribution is about, in place of the hash
// of the batch: nothing said in another is of use in it.
func movedOf(batch digest, p record.Proposal) digest {
	targets := []byte{byte(p.Threshold), byte(len(p.Holders))}
	for _, h := range p.Holders {
		targets = slices.Concat(targets, []byte{h.X, byte(len(h.Node))}, []byte(h.Node), h.Key)
	}
	return hashOf("guardian-check-move-v1", batch[:], targets)
}

// payload is how many bytes of a batch are checked.
func (b *Batch) payload() int {
	size := 0
	for _, r := range b.records {
		size += r.ShareSize - 1
	}
	return size
}

// keyFor returns the node key of a party.
func (b *Batch) keyFor(p Party) (ed25519.PublicKey, bool) {
	if !p.New {
		return b.keyAt(p.X)
	}
	if b.proposal == nil {
		return nil, false
	}
	i := slices.IndexFunc(b.proposal.Holders, func(h record.Target) bool { return h.X == p.X })
	if i < 0 {
		return nil, false
	}
	return b.proposal.Holders[i].Key, true
}

// targets are the points of the proposal, ascending.
func (b *Batch) targets() (xs []byte) {
	for _, h := range b.proposal.Holders {
		xs = append(xs, h.X)
	}
	return xs
}

// ProposalMessage is a [record.Proposal] in a request.
type ProposalMessage struct {
	Threshold int             `json:"threshold"`
	Holders   []TargetMessage `json:"holders"`
}

// TargetMessage is one of its holders.
type TargetMessage struct {
	X    byte   `json:"x"`
	Node string `json:"node"`
	Key  []byte `json:"key"`
}

func messageOf(p record.Proposal) *ProposalMessage {
	m := &ProposalMessage{Threshold: p.Threshold}
	for _, h := range p.Holders {
		m.Holders = append(m.Holders, TargetMessage{h.X, h.Node, h.Key})
	}
	return m
}

// proposal is for [record.Proposal.Check] to check.
func (m *ProposalMessage) proposal() record.Proposal {
	p := record.Proposal{Threshold: m.Threshold}
	for _, h := range m.Holders {
		p.Holders = append(p.Holders, record.Target{X: h.X, Node: h.Node, Key: h.Key})
	}
	return p
}

// nextOf are the records that a session with this seed makes of its batch, and
// their bodies.
func nextOf(b *Batch, seed digest) (records []*record.Record, bodies [][]byte, err error) {
	for i, base := range b.records {
		next, body, err := record.Next(base, *b.proposal, seed)
		if err != nil {
			return nil, nil, fmt.Errorf("making the record after record %d of the batch: %w", i, err)
		}
		records, bodies = append(records, next), append(bodies, body)
	}
	return records, bodies, nil
}
