package guardian

import "sync"

// count is what Counted must know of the pass that is under way. Of several
// walks at once the first began it, which makes no count look better than it
// is.
type count struct {
	mu      sync.Mutex
	begun   bool
	changes int64 // of the census when it began
	missed  bool  // a slot that could not be read
}

func (c *count) begin(n *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun {
		return
	}
	n.highest.begin()
	c.begun, c.missed, c.changes = true, false, n.census.changes.Load()
}

func (c *count) miss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missed = true
}

// end reports whether all of the pass was seen here, and whether besides it
// began here and this process wrote nothing since.
func (c *count) end(n *Node) (whole, exact bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole = !c.missed
	exact = whole && c.begun && c.changes == n.census.changes.Load()
	c.begun, c.missed = false, false
	return whole, exact
}

// Counted corrects ShareCount and HighestThreshold by what the caller has
// counted in one pass of Walk over all slots, in however many parts and
// processes: the slots with a current share, and the largest threshold among
// those. With exact the caller says that none was left out. The count is taken
// for exact if besides this process began the pass, could read every slot, and
// wrote none meanwhile.
func (n *Node) Counted(live int64, highestThreshold int, exact bool) {
	whole, still := n.count.end(n)
	n.highest.note(highestThreshold)
	if whole && exact {
		n.highest.end()
	}
	n.census.count.Store(live)
	n.census.exact.Store(still && exact)
}
