package guardian

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
)

// preparedAge is how long what is prepared is kept for a certificate that may be
// shown after its round was aborted.
const preparedAge = 7 * 24 * time.Hour

// lingering are those that have waited for a certificate for very long, and may
// still be named, in order.
func (n *Node) lingering(there looked) []generation {
	return slices.DeleteFunc(there.prepared(), func(g generation) bool {
		age := there.ages[g]
		return age < preparedAge || n.rules.obsolete(there.commit, g, age, n.cfg.Retain) || there.isScrap(g)
	})
}

// DropLingering gives up what was prepared seven days ago or longer, and is not
// needed, and returns how many generations that were. Needed is asked about the
// record of each, also of one that is damaged, once it was found to be that old, and
// must say yes where this node may have voted in the session which made the record
// and does not know that to be aborted: its Seed names the session. What does not
// tell its record stays, and is not asked about.
//
// Errors: those of needed as they are, api.ErrIntegrityFailed (`version` does not
// verify), api.ErrKeyUnavailable, api.ErrStorageUnavailable. What was dropped before
// one is gone.
func (n *Node) DropLingering(ctx context.Context, slot Slot, needed func(*record.Record) (bool, error)) (dropped int, err error) {
	there, err := n.look(ctx, slot)
	if err != nil {
		return 0, err
	}
	for _, g := range n.lingering(there) {
		// Who could change what it claims could remove it.
		claimed, err := n.claimedStatement(ctx, slot, g)
		if err != nil {
			return dropped, err
		}
		of, err := n.ParseDraft(claimed.Certificate)
		if err != nil {
			continue
		}
		if keep, err := needed(of); keep || err != nil {
			if err != nil {
				return dropped, err
			}
			continue
		}
		if !n.dropGeneration(ctx, slot, g) {
			return dropped, unavailable("dropping what is prepared", fmt.Errorf("generation %s is still there", g))
		}
		dropped++
	}
	return dropped, nil
}
