package guardian

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// highest is the largest threshold of what is stored, as far as is known.
type highest struct {
	mu    sync.Mutex
	known int
	since int // of what was noted since the walk began
}

func (h *highest) note(threshold int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known, h.since = max(h.known, threshold), max(h.since, threshold)
}

// begin is called before a walk over everything that is stored.
func (h *highest) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = 0
}

// end forgets what was known before the walk, which must have noted all that it
// found.
func (h *highest) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = h.since
}

// HighestThreshold returns the largest threshold of the current shares as the
// latest whole Sweep or Counted found them, or of what this process has stored
// or read since that began; 0 while it knows none. What is deleted counts until
// the next.
func (n *Node) HighestThreshold() int {
	n.highest.mu.Lock()
	defer n.highest.mu.Unlock()
	return n.highest.known
}

// noteThreshold notes what the statement of a generation says. It is not
// verified, which takes the share as well: only the word about health hangs on
// it. One that is damaged or gone says nothing.
func (n *Node) noteThreshold(ctx context.Context, slot Slot, g generation) error {
	sealed, _, err := n.store.Get(ctx, slot.checksumKey(g))
	switch {
	case errors.Is(err, backend.ErrNotFound), errors.Is(err, backend.ErrTooLarge):
		return nil
	case err != nil:
		return unavailable("reading checksum", err)
	}
	var stated struct{ Threshold int }
	if len(sealed) > sha256.Size && json.Unmarshal(sealed[sha256.Size:], &stated) == nil && stated.Threshold <= api.MaxThreshold {
		n.highest.note(stated.Threshold)
	}
	return nil
}
