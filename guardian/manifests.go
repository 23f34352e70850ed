package guardian

import (
	"context"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// ParseManifest is [manifest.Parse] with a memory: repair and push meet the same
// ones again and again. What it returns is shared, and not to be changed.
func (n *Node) ParseManifest(data []byte) (*manifest.Manifest, error) { return n.manifests.Parse(data) }

// maxClaimed bounds the statements that ClaimedRecords reads.
const maxClaimed = 8

// ClaimedRecords returns the records in the statements of a slot, those of the
// newest generations first, whether or not these verify: a manifest is signed by
// its owner and a chain by those who voted, so whoever parses them can believe
// them, wherever they were found. They tell who else holds the secret where the
// share itself is damaged. Of what is only prepared it is the record before.
// Error: api.ErrStorageUnavailable.
func (n *Node) ClaimedRecords(ctx context.Context, slot Slot) ([][]byte, error) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	newest := inOrder(found.ages)
	slices.Reverse(newest)
	for _, g := range newest[:min(len(newest), maxClaimed)] {
		claimed, err := n.claimedStatement(ctx, slot, g)
		if err != nil { // the others may tell as much
			continue
		}
		chain := claimed.Certificate
		if _, base, _, _, err := record.ParseDraft(chain); err == nil {
			chain = base
		}
		for _, claim := range [][]byte{chain, claimed.Manifest} {
			if len(claim) > 0 {
				all = append(all, claim)
			}
		}
	}
	return all, nil
}
