package guardian

import (
	"crypto/sha256"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vault-guardian/guardian/record"
)

// Record is the record that a share goes by: its chain, or the owner's manifest
// at epoch 0. It is empty where there is neither.
func (s Share) Record() []byte {
	if s.Epoch > 0 {
		return s.Chain
	}
	return s.Manifest
}

// ParseRecord is [record.Parse] with a memory, as ParseManifest has one. What it
// returns is shared, and not to be changed.
func (n *Node) ParseRecord(chain []byte) (*record.Record, error) {
	if len(chain) > record.MaxSize {
		return record.Parse(chain)
	}
	return n.records.get(chain, func(chain []byte) (*record.Record, error) {
		return record.ParseWith(n.manifests.Parse, chain)
	})
}

// ParseDraft is the record of [record.ParseDraft] with a memory, as ParseRecord
// has one.
func (n *Node) ParseDraft(draft []byte) (*record.Record, error) {
	parse := func(draft []byte) (*record.Record, error) {
		r, _, _, _, err := record.ParseDraft(draft)
		return r, err
	}
	if len(draft) > record.MaxDraftSize {
		return parse(draft)
	}
	return n.drafts.get(draft, parse)
}

// recordCache remembers records by the hash of all the bytes that they were
// parsed from. It is safe for concurrent use.
type recordCache struct {
	known *lru.Cache[[sha256.Size]byte, *record.Record]
}

func newRecordCache(size int) (*recordCache, error) {
	known, err := lru.New[[sha256.Size]byte, *record.Record](size)
	if err != nil {
		return nil, fmt.Errorf("making a cache of records: %w", err)
	}
	return &recordCache{known}, nil
}

func (c *recordCache) get(data []byte, parse func([]byte) (*record.Record, error)) (*record.Record, error) {
	hash := sha256.Sum256(data)
	if r, ok := c.known.Get(hash); ok {
		return r, nil
	}
	r, err := parse(data)
	if err == nil {
		c.known.Add(hash, r)
	}
	return r, err
}

// errMisplaced is why a share of an epoch above 0 is not what its record gives to
// this node.
var errMisplaced = errors.New("share is not what its record gives to this node")

// admitRecord returns the certified record of a share of an epoch above 0, if it
// is about this very share.
func (n *Node) admitRecord(slot Slot, share Share) (*record.Record, error) {
	r, err := n.ParseRecord(share.Chain)
	if err != nil {
		return nil, err
	}
	return r, n.misplaced(r, slot, share)
}

// admitDraft is admitRecord for one that nobody has voted for yet.
func (n *Node) admitDraft(slot Slot, share Share) (*record.Record, error) {
	r, err := n.ParseDraft(share.Chain)
	if err != nil {
		return nil, err
	}
	return r, n.misplaced(r, slot, share)
}

// misplaced returns nil if a record of an epoch above 0 gives the share to this
// node: for the slot, version and epoch, under the owner's manifest that comes
// with the share, at the share's point, and with its hash where that is known.
func (n *Node) misplaced(r *record.Record, slot Slot, share Share) error {
	if r.Identity != slot.Identity || r.Name != slot.Name {
		return fmt.Errorf("%w: it is of another secret", errMisplaced)
	}
	if r.Version != share.Version || r.Epoch != share.Epoch || r.Epoch == 0 {
		return fmt.Errorf("%w: it is of epoch %d of version %d, the share of epoch %d of version %d",
			errMisplaced, r.Epoch, r.Version, share.Epoch, share.Version)
	}
	// A record's hash could be asked for in the manifest's place.
	if _, err := n.manifests.Parse(share.Manifest); err != nil || !r.Follows(sha256.Sum256(share.Manifest)) {
		return fmt.Errorf("%w: it came of another manifest", errMisplaced)
	}
	if len(share.Data) == 0 {
		return fmt.Errorf("%w: the share is empty", errMisplaced)
	}
	holder, _ := r.At(share.Data[0])
	if err := r.Check(share.Data[0], share.Data); err != nil && !errors.Is(err, record.ErrNoHash) {
		return fmt.Errorf("%w: %w", errMisplaced, err)
	}
	// A holder that is not named is nobody, also to a node without a name.
	if holder.Node == "" || holder.Node != n.NodeID() {
		return fmt.Errorf("%w: point %d is that of node %q, this is %q", errMisplaced, holder.X, holder.Node, n.NodeID())
	}
	return nil
}

// isNamedBy reports whether a record gives any point to this node.
func (n *Node) isNamedBy(r *record.Record) bool {
	for _, holder := range r.Holders {
		if holder.Node == n.NodeID() {
			return true
		}
	}
	return false
}
