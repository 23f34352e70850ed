package guardian

import (
	"context"
	"iter"
	"strings"
)

// Others walks the keys of what the storage holds beside its slots, in order:
// canary, membership, queue, quarantine, audit log. Errors wrap
// api.ErrStorageUnavailable.
func (n *Node) Others(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for segment, err := range n.store.ListSegments(ctx, "", "") {
			if err != nil {
				yield("", unavailable("listing storage", err))
				return
			}
			if segment.Key == prefixShares || segment.Key == prefixVaults {
				continue
			}
			if !strings.HasSuffix(segment.Key, "/") {
				if !yield(segment.Key, nil) {
					return
				}
				continue
			}
			for entry, err := range n.store.List(ctx, segment.Key, "") {
				if err != nil {
					err = unavailable("listing storage", err)
				}
				if !yield(entry.Key, err) || err != nil {
					return
				}
			}
		}
	}
}
