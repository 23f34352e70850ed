package guardian

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// ParseManifest is [manifest.Parse] with a memory: repair and push meet the same
// ones again and again. What it returns is shared, and not to be changed.
func (n *Node) ParseManifest(data []byte) (*manifest.Manifest, error) { return n.manifests.Parse(data) }

// maxClaimed bounds the statements that ClaimedManifests reads.
const maxClaimed = 8

// ClaimedManifests returns the manifests in the statements of a slot, those of
// the newest generations first, whether or not these verify: a manifest is
// signed by its owner, so whoever parses it can believe it, wherever it was
// found. It tells who else holds the secret where the share itself is damaged.
// Error: api.ErrStorageUnavailable.
func (n *Node) ClaimedManifests(ctx context.Context, slot Slot) ([][]byte, error) {
	found, err := n.generations(ctx, slot)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	newest := inOrder(found.ages)
	slices.Reverse(newest)
	for _, g := range newest[:min(len(newest), maxClaimed)] {
		var st struct{ Manifest []byte }
		sealed, _, err := n.store.Get(ctx, slot.checksumKey(g))
		if err == nil && json.Unmarshal(statementText(sealed), &st) == nil && len(st.Manifest) > 0 {
			all = append(all, st.Manifest)
		}
	}
	return all, nil
}
