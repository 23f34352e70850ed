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
	return slotsBehind(ctx, store, Slot{})
}

// slotsBehind is slotsOf from the first slot behind one, which need not be
// there; the zero Slot is before all.
func slotsBehind(ctx context.Context, store backend.Backend, after Slot) iter.Seq2[Slot, error] {
	behind := "" // the slots above it are left
	if after != (Slot{}) {
		behind = after.prefix()
	}
	return func(yield func(Slot, error) bool) {
		if after.Name == "" && !eachSlot(ctx, store, prefixShares, behind, yield) {
			return
		}
		// Without its slash, a vault comes before its own group: that one may
		// have more.
		firstVault := ""
		if after.Name != "" {
			firstVault = strings.TrimSuffix(vaultOf(after.Identity), "/")
		}
		for vault, err := range store.ListSegments(ctx, prefixVaults, firstVault) {
			if err != nil {
				yield(Slot{}, unavailable("listing vaults", err))
				return
			}
			if strings.HasSuffix(vault.Key, "/") && !eachSlot(ctx, store, vault.Key, behind, yield) {
				return
			}
		}
	}
}

// eachSlot yields the slots whose place is one segment below prefix and behind
// a key, and reports whether to go on.
func eachSlot(ctx context.Context, store backend.Backend, prefix, behind string, yield func(Slot, error) bool) bool {
	for entry, err := range store.ListSegments(ctx, prefix, behind) {
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
