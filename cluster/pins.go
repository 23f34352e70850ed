package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// Keeper keeps one small object for a guardian in storage of its own, sealed, so
// that nobody else can write it. That an older one was put in its place is not
// noticed: whoever can do so takes the guardian back to what it knew then.
type Keeper interface {
	// Load returns what was saved last, nil when nothing ever was.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces what Load has returned last. A nil error: durable.
	// backend.ErrConflict: another process saved meanwhile, and nothing was
	// changed.
	Save(ctx context.Context, data []byte) error
}

// errMemory reports that a guardian's own memory of the cluster cannot be read
// or written.
var errMemory = errors.New("the memory of the cluster in this guardian's own storage")

// Pin is what was first seen of a node. No two pins of a guardian have a node id,
// an index or a key in common.
type Pin struct {
	NodeID string            `json:"node_id"`
	Index  int               `json:"index"`
	Key    ed25519.PublicKey `json:"key"`
}

func pinOf(m Member) Pin { return Pin{m.NodeID, m.Index, m.PublicKey} }

func (p Pin) check() error {
	if !manifest.ValidNode(p.NodeID) || p.Index < 1 || p.Index > MaxIndex || len(p.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: a pin is out of bounds", errMemory)
	}
	return nil
}

// memory is what a guardian keeps of its cluster, so that whoever has the
// registry cannot change it: the first thing seen of every node, and the roster
// with the highest serial. It is never changed, only replaced.
type memory struct {
	pins map[string]Pin // by node id
	// roster is nil when there is none; signed is its encoding.
	roster *Roster
	signed []byte
	// foreign tells that signed is of another admission key, so that there is
	// no roster; its serials are another series.
	foreign bool
}

// learn returns a memory with pins of this guardian, if it has an index, and of
// those records that have neither node id nor index nor key of another pin. The
// second result tells whether there was anything new.
func (k *memory) learn(self Member, records []Member) (*memory, bool) {
	var candidates []Pin
	if self.Index != 0 {
		candidates = append(candidates, pinOf(self))
	}
	for _, m := range records {
		if m.NodeID != self.NodeID && !m.PublicKey.Equal(self.PublicKey) {
			candidates = append(candidates, pinOf(m))
		}
	}
	return k.with(candidates)
}

// with returns a memory with those of the candidates that nothing contradicts,
// and whether there were any.
func (k *memory) with(candidates []Pin) (*memory, bool) {
	pins := maps.Clone(k.pins)
	if pins == nil {
		pins = map[string]Pin{}
	}
	indices, keys := map[int]bool{}, map[string]bool{}
	for _, p := range pins {
		indices[p.Index], keys[string(p.Key)] = true, true
	}
	for _, p := range candidates {
		if _, pinned := pins[p.NodeID]; pinned || indices[p.Index] || keys[string(p.Key)] {
			continue
		}
		pins[p.NodeID] = p
		indices[p.Index], keys[string(p.Key)] = true, true
	}
	return &memory{pins: pins, roster: k.roster, signed: k.signed}, len(pins) > len(k.pins)
}

// withRoster returns a memory with another roster in force.
func (k *memory) withRoster(r *Roster, signed []byte) *memory {
	return &memory{pins: k.pins, roster: r, signed: signed}
}

// serial is that of the roster, 0 without one.
func (k *memory) serial() uint64 {
	if k.roster == nil {
		return 0
	}
	return k.roster.Serial
}

// memoryFormat is the version of the encoding.
const memoryFormat = 1

// encodedMemory is the encoding of a memory, in JSON.
type encodedMemory struct {
	Format int    `json:"format"`
	Pins   []Pin  `json:"pins"`
	Roster []byte `json:"roster,omitempty"`
}

func (k *memory) encode() []byte {
	data, _ := json.Marshal(encodedMemory{ // of what it is made of, all can be marshalled
		Format: memoryFormat,
		Pins:   slices.SortedFunc(maps.Values(k.pins), byIndex),
		Roster: k.signed,
	})
	return data
}

func byIndex(a, b Pin) int { return cmp.Compare(a.Index, b.Index) }

// decodeMemory reads what encode wrote; of nothing it makes an empty memory.
// Error: errMemory.
func decodeMemory(data []byte, admission ed25519.PublicKey) (*memory, error) {
	if len(data) == 0 {
		return &memory{}, nil
	}
	encoded, err := readMemory(data)
	if err != nil {
		return nil, err
	}
	k, _ := (&memory{signed: encoded.Roster}).with(encoded.Pins)
	if len(k.pins) != len(encoded.Pins) {
		return nil, fmt.Errorf("%w: two pins have something in common", errMemory)
	}
	if admission != nil && len(k.signed) > 0 {
		k.roster, err = ParseRoster(k.signed, admission)
		k.foreign = err != nil
	}
	return k, nil
}

func readMemory(data []byte) (*encodedMemory, error) {
	var encoded encodedMemory
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&encoded); err != nil || decoder.More() {
		return nil, fmt.Errorf("%w: it is not the JSON that was written", errMemory)
	}
	if encoded.Format != memoryFormat {
		return nil, fmt.Errorf("%w: its format is %d, not %d", errMemory, encoded.Format, memoryFormat)
	}
	for _, p := range encoded.Pins {
		if err := p.check(); err != nil {
			return nil, err
		}
	}
	return &encoded, nil
}
