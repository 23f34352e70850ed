package round

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"sort"
)

// MaxBases bounds the generations of one session.
const MaxBases = 1024

// Hashes are those of the records that a session makes successors of: ascending,
// each once. As text they are base64 of all, one behind the other.
type Hashes [][sha256.Size]byte

var errHashes = errors.New("not hashes in ascending order")

// sorted returns bases as Hashes, or ErrBases.
func sorted(bases [][sha256.Size]byte) (Hashes, error) {
	all := slices.Clone(bases)
	slices.SortFunc(all, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	if len(all) == 0 || len(all) > MaxBases || len(slices.Compact(slices.Clone(all))) != len(all) {
		return nil, ErrBases
	}
	return all, nil
}

// MarshalText implements [encoding.TextMarshaler].
func (h Hashes) MarshalText() ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString(slices.Concat(slices.Collect(h.bytes)...))), nil
}

func (h Hashes) bytes(yield func([]byte) bool) {
	for i := range h {
		if !yield(h[i][:]) {
			return
		}
	}
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hashes) UnmarshalText(text []byte) error {
	data, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(data)%sha256.Size != 0 || !ascending(data, sha256.Size) {
		return errHashes
	}
	*h = nil
	for part := range slices.Chunk(data, sha256.Size) {
		*h = append(*h, [sha256.Size]byte(part))
	}
	return nil
}

// overlaps tells whether a hash is in both.
func (h Hashes) overlaps(other Hashes) bool {
	return slices.ContainsFunc(h, func(hash [sha256.Size]byte) bool {
		_, found := slices.BinarySearchFunc(other, hash, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
		return found
	})
}

// tagSize is how much of a base's hash the registry keeps. Two that begin alike
// cost a refusal, no more.
const tagSize = 16

// Tags are the first 16 bytes of each of some hashes, ascending, one behind the
// other.
type Tags []byte

func (h Hashes) tags() Tags {
	var t Tags
	for i := range h {
		t = append(t, h[i][:tagSize]...)
	}
	return t
}

// Count returns how many there are.
func (t Tags) Count() int { return len(t) / tagSize }

func (t Tags) has(tag []byte) bool {
	_, found := sort.Find(t.Count(), func(i int) int { return bytes.Compare(tag, t[i*tagSize:][:tagSize]) })
	return found
}

// hasAny tells whether one of the other tags is among these, hasAll whether all
// are.
func (t Tags) hasAny(other Tags) bool {
	return slices.ContainsFunc(slices.Collect(slices.Chunk(other, tagSize)), func(tag Tags) bool { return t.has(tag) })
}

func (t Tags) hasAll(other Tags) bool {
	return !slices.ContainsFunc(slices.Collect(slices.Chunk(other, tagSize)), func(tag Tags) bool { return !t.has(tag) })
}

func (t Tags) valid() bool { return len(t)%tagSize == 0 && ascending(t, tagSize) }

// ascending tells whether parts of one size are, each once.
func ascending(data []byte, size int) bool {
	for i := size; i < len(data); i += size {
		if bytes.Compare(data[i-size:i], data[i:i+size]) >= 0 {
			return false
		}
	}
	return true
}
