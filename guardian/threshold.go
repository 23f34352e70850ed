package guardian

import "sync"

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
// latest whole pass found them (see Counted), or of what this process has stored
// or read since that began; 0 while it knows none. What is deleted counts until
// the next.
func (n *Node) HighestThreshold() int {
	n.highest.mu.Lock()
	defer n.highest.mu.Unlock()
	return n.highest.known
}
