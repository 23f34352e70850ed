package cluster

import (
	"maps"
	"slices"
)

// Kept is what a guardian keeps of its cluster, as its operator may look at it
// and change it: the one way in which something that was first seen can be seen
// for the first time again.
type Kept struct {
	// Pins are in order of index.
	Pins []Pin
	// Roster is the encoding of the roster that was last in force, nil without
	// one. Who signed it was verified when it was kept, and not here.
	Roster []byte
}

// ParseKept reads what a [Keeper] was given to save; of nothing it makes a Kept
// without anything. Its error quotes nothing of what was read.
func ParseKept(data []byte) (*Kept, error) {
	k, err := decodeMemory(data, nil)
	if err != nil {
		return nil, err
	}
	return &Kept{slices.SortedFunc(maps.Values(k.pins), byIndex), k.signed}, nil
}

// Encode is the reverse of ParseKept.
func (k *Kept) Encode() []byte {
	pins := map[string]Pin{}
	for _, p := range k.Pins {
		pins[p.NodeID] = p
	}
	return (&memory{pins: pins, signed: k.Roster}).encode()
}

// Forget takes out the pin of a node, and reports whether there was one.
func (k *Kept) Forget(nodeID string) bool {
	before := len(k.Pins)
	k.Pins = slices.DeleteFunc(k.Pins, func(p Pin) bool { return p.NodeID == nodeID })
	return len(k.Pins) < before
}
