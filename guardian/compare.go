package guardian

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"

	"github.com/vault-guardian/guardian/record"
)

// recordOf is the record of a share, certified or a draft; nil where it has none.
func (n *Node) recordOf(share Share) *record.Record {
	r, err := n.ParseRecord(share.Record())
	if err != nil && share.Epoch > 0 {
		r, err = n.ParseDraft(share.Chain)
	}
	if err != nil {
		return nil
	}
	return r
}

// compareShares tells what is there, sound, from a share of its version whose
// record is r.
func (n *Node) compareShares(there, share Share, r *record.Record) holding {
	if there.Epoch == 0 && share.Epoch == 0 {
		if there.Split == share.Split && isSameShare(there, share) {
			return holdsSame
		}
		return holdsOther
	}
	at := compareRecords(n.recordOf(there), sha256.Sum256(there.Manifest), r)
	if at != holdsSame || isSameShare(there, share) {
		return at
	}
	// The record that came with it need not have known its hash: ours may.
	if errors.Is(r.Check(there.Data[0], there.Data), record.ErrShare) {
		return holdsNothing
	}
	return holdsOther
}

func isSameShare(a, b Share) bool { return subtle.ConstantTimeCompare(a.Data, b.Data) == 1 }

// compareRecords tells the record of what is there, under a manifest of that
// hash, from ours; either may be nil. One of them is of an epoch above 0.
func compareRecords(there *record.Record, manifest [sha256.Size]byte, ours *record.Record) holding {
	switch {
	case there == nil || ours == nil || !ours.Follows(manifest):
		return holdsOther
	case there.Hash == ours.Hash:
		return holdsSame
	case there.Follows(ours.Hash):
		return holdsLater
	case !ours.Follows(there.Hash):
		return holdsFork
	case !ours.Vouched(there):
		return holdsUnvouched
	}
	return holdsEarlier
}

// compareDamaged tells what is damaged from a share whose record is r. It
// protects nothing, but what its statement says of its record still tells a fork,
// and its name a later epoch.
func (n *Node) compareDamaged(ctx context.Context, slot Slot, g generation, r *record.Record) (holding, error) {
	if r != nil && g.epoch > r.Epoch {
		return holdsLater, nil
	}
	if g.epoch == 0 || r == nil {
		return holdsNothing, nil
	}
	claimed, err := n.claimedStatement(ctx, slot, g)
	if err != nil {
		return holdsNothing, err
	}
	there, err := n.ParseRecord(claimed.Certificate)
	if err != nil || there.Epoch != g.epoch || compareRecords(there, sha256.Sum256(claimed.Manifest), r) != holdsFork {
		return holdsNothing, nil
	}
	return holdsFork, nil
}

// claim is what a statement says, verified or not.
type claim struct {
	Manifest, Certificate []byte
}

// claimedStatement reads what it can of a statement, which need not be there.
// Error: api.ErrStorageUnavailable.
func (n *Node) claimedStatement(ctx context.Context, slot Slot, g generation) (claimed claim, err error) {
	sealed, _, err := n.store.Get(ctx, slot.checksumKey(g))
	if err != nil && !isDamage(err) {
		return claim{}, unavailable("reading statement", err)
	}
	if err != nil || json.Unmarshal(statementText(sealed), &claimed) != nil {
		return claim{}, nil
	}
	return claimed, nil
}

// compare tells what has moved away from a record that may bring it back.
func (d departure) compare(r *record.Record) holding {
	switch {
	case r == nil || r.Epoch <= d.epoch:
		return holdsLater
	case !r.Follows(d.record):
		return holdsFork
	}
	return holdsEarlier
}

// areTwins reports two sound shares of one version, in order of epoch, of which
// the later is not what became of the other.
func (n *Node) areTwins(before, after Share) bool {
	at := n.compareShares(before, after, n.recordOf(after))
	return at != holdsSame && at != holdsEarlier
}
