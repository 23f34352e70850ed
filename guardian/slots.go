package guardian

import (
	"context"
	"iter"
	"strings"

	"github.com/vault-guardian/guardian/backend"
)

// slotsOf walks the slots that a storage holds anything for: the shares in
// order of identity, then the named secrets in order of identity and name.
func slotsOf(ctx context.Context, store backend.Backend) iter.Seq2[Slot, error] {
	return func(yield func(Slot, error) bool) {
		if !eachSlot(ctx, store, prefixShares, yield) {
			return
		}
		for vault, err := range store.ListSegments(ctx, prefixVaults, "") {
			if err != nil {
				yield(Slot{}, unavailable("listing vaults", err))
				return
			}
			if strings.HasSuffix(vault.Key, "/") && !eachSlot(ctx, store, vault.Key, yield) {
				return
			}
		}
	}
}

// eachSlot yields the slots whose place is one segment below prefix, and
// reports whether to go on.
func eachSlot(ctx context.Context, store backend.Backend, prefix string, yield func(Slot, error) bool) bool {
	for entry, err := range store.ListSegments(ctx, prefix, "") {
		if err != nil {
			yield(Slot{}, unavailable("listing shares", err))
			return false
		}
		place, isGroup := strings.CutSuffix(entry.Key, "/")
		if slot, ok := parseSlot(place); isGroup && ok && !yield(slot, nil) {
			return false
		}
	}
	return true
}
