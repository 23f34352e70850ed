package repair

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/vault-guardian/guardian/record"
)

// Slots are sorted into buckets by the first byte of their identity.
const (
	buckets    = 256
	digestSize = 16
	// maxInventoried bounds how many other guardians an inventory is about, and
	// with it its memory: 4 KiB each.
	maxInventoried = 255
)

// digest is the sum modulo 2^128 of the marks of a set of slots. So it does not
// depend on their order, and a slot can be added at any time.
//
// It tells honest guardians apart, no more: sums of many hashes can be made to
// collide on purpose (Wagner 2002, generalized birthday), by whoever can store
// shares with one of two guardians only. That hides a difference between them
// from the exchange, not from a scrub or a pull.
type digest [digestSize]byte

// markOf stands for one record in a digest.
func markOf(of *record.Record) digest {
	h := sha256.New()
	h.Write([]byte("guardian-inventory-v1\n"))
	identity, _ := hex.DecodeString(of.Identity) // of 32 bytes, as manifests have it
	h.Write(identity)
	h.Write([]byte{byte(len(of.Name))})
	h.Write([]byte(of.Name))
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:8], of.Version)
	binary.BigEndian.PutUint64(numbers[8:], of.Epoch)
	h.Write(numbers[:])
	h.Write(of.Hash[:])
	return digest(h.Sum(nil)[:digestSize])
}

func (d *digest) add(mark digest) {
	low, carry := bits.Add64(binary.BigEndian.Uint64(d[8:]), binary.BigEndian.Uint64(mark[8:]), 0)
	high, _ := bits.Add64(binary.BigEndian.Uint64(d[:8]), binary.BigEndian.Uint64(mark[:8]), carry)
	binary.BigEndian.PutUint64(d[8:], low)
	binary.BigEndian.PutUint64(d[:8], high)
}

// digests are those of all buckets, about one other guardian.
type digests [buckets]digest

// MarshalJSON makes digests one base64 string.
func (d *digests) MarshalJSON() ([]byte, error) {
	flat := make([]byte, 0, buckets*digestSize)
	for _, bucket := range d {
		flat = append(flat, bucket[:]...)
	}
	return json.Marshal(flat)
}

var errDigests = errors.New("digests have another size")

// UnmarshalJSON is the reverse.
func (d *digests) UnmarshalJSON(data []byte) error {
	var flat []byte
	if err := json.Unmarshal(data, &flat); err != nil {
		return fmt.Errorf("decoding digests: %w", err)
	}
	if len(flat) != buckets*digestSize {
		return errDigests
	}
	for i := range d {
		copy(d[i][:], flat[i*digestSize:])
	}
	return nil
}

// tallies are the digests about other guardians, by the hex of their keys.
type tallies map[string]*digests

// add counts a record in for everybody but own whom it names, if it names own.
// It returns how many keys were left out because there are too many. Owners put
// into a manifest what they like: members of the cluster are never left out for
// the sake of others.
func (t tallies) add(of *record.Record, own ed25519.PublicKey, isMember func(ed25519.PublicKey) bool) (leftOut int) {
	if !names(of, own) {
		return 0
	}
	mark, bucket := markOf(of), bucketOf(of.Identity)
	for _, holder := range of.Holders {
		if holder.Key == nil || holder.Key.Equal(own) {
			continue
		}
		about := t.about(holder.Key, isMember)
		if about == nil {
			leftOut++
			continue
		}
		about[bucket].add(mark)
	}
	return leftOut
}

// about returns the digests about a key, made when there is room; else nil.
func (t tallies) about(key ed25519.PublicKey, isMember func(ed25519.PublicKey) bool) *digests {
	name := hex.EncodeToString(key)
	if t[name] != nil {
		return t[name]
	}
	if len(t) == maxInventoried && (!isMember(key) || !t.makeRoom(isMember)) {
		return nil
	}
	t[name] = &digests{}
	return t[name]
}

// makeRoom drops what is about somebody who is no member.
func (t tallies) makeRoom(isMember func(ed25519.PublicKey) bool) bool {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if key, err := hex.DecodeString(name); err != nil || !isMember(key) {
			delete(t, name)
			return true
		}
	}
	return false
}

// valid reports whether what was read from a storage can be tallies.
func (t tallies) valid() bool {
	for name, about := range t {
		if key, err := hex.DecodeString(name); err != nil || len(key) != ed25519.PublicKeySize || about == nil {
			return false
		}
	}
	return len(t) <= maxInventoried
}

// bucketOf is the first byte of an identity, which is hex.
func bucketOf(identity string) byte {
	var b [1]byte
	_, _ = hex.Decode(b[:], []byte(identity[:2]))
	return b[0]
}

// answerInventory tells a caller the digests of what it should hold too, as of
// the last whole scrub: they say how much there is in common, and nothing of
// which.
func (s *scrubber) answerInventory(_ context.Context, caller ed25519.PublicKey, _ InventoryRequest) (InventoryAnswer, error) {
	last := s.lastInventory()
	if last == nil {
		return InventoryAnswer{Digests: [][]byte{}}, nil
	}
	answer := InventoryAnswer{TakenNS: last.TakenNS}
	for _, d := range last.about(caller) {
		answer.Digests = append(answer.Digests, d[:])
	}
	return answer, nil
}
