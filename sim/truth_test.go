package sim

import (
	"bytes"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/guardian"
)

// placeOf is where a slot lies, see docs/FORMATS.md.
func placeOf(slot guardian.Slot) string {
	if slot.Name == "" {
		return "shares/" + slot.Identity
	}
	return "vaults/" + slot.Identity + "/" + slot.Name
}

// current reads a slot's version object; false when there is none that is
// sound.
func (h *host) current(s *secret) (stored, bool) {
	key := placeOf(s.slot) + "/version"
	data, ok := h.sound(key)
	if !ok {
		return stored{}, false
	}
	return parseStored(data)
}

// sound reads an object that was not changed behind its guardian's back.
func (h *host) sound(key string) ([]byte, bool) {
	data, _, err := h.disk.get(key)
	if err != nil || h.wrecked[key+" "+string(data)] {
		return nil, false
	}
	return data, true
}

// holds tells whether a guardian has its right share of a version, named by its
// version object, whole on its disk.
func (h *host) holds(s *secret, v *version) bool {
	now, ok := h.current(s)
	if !ok {
		return false
	}
	return slices.ContainsFunc(now.named, func(generation string) bool { return h.isOf(s, v, generation) })
}

func (h *host) isOf(s *secret, v *version, generation string) bool {
	if numberOf(generation) != v.number {
		return false
	}
	at := placeOf(s.slot) + "/" + generation
	share, ok := h.sound(at + "/share.bin")
	_, sealed := h.sound(at + "/checksum.bin")
	return ok && sealed && bytes.Equal(share, v.shares[h.index])
}

func numberOf(generation string) uint64 {
	var number uint64
	digits, _, _ := strings.Cut(generation, "-")
	for _, c := range digits {
		number = 10*number + uint64(c-'0')
	}
	return number
}

// holders are the guardians that have their share of a version.
func (s *secret) holders(v *version) []*host {
	var all []*host
	for _, h := range s.world.hosts {
		if h.holds(s, v) {
			all = append(all, h)
		}
	}
	return all
}

// helpers counts the honest guardians that can help another one to its share.
func (s *secret) helpers(v *version, other *host) int {
	count := 0
	for _, h := range s.holders(v) {
		if h != other && !h.lies {
			count++
		}
	}
	return count
}

// recoverable is the newest version at or above the acknowledged one that can be
// rebuilt from the disks, nil when there is none.
func (s *secret) recoverable() *version {
	var best *version
	for _, v := range s.versions {
		better := best == nil || v.number > best.number || v.number == best.number && v.acked
		if v.number >= s.acked.number && better && len(s.holders(v)) >= v.k {
			best = v
		}
	}
	return best
}

// bears tells whether the acknowledged version, and one that is about to be, can
// be rebuilt without the help of a guardian and of those that lie.
func (s *secret) bears(without *host) bool {
	if s.world.moves != nil && !s.bearsMoved(without) {
		return false
	}
	if v := s.acked; v != nil && s.world.moves == nil {
		if s.helpers(v, without) < v.k {
			return false
		}
	}
	for _, v := range s.versions {
		if op := v.op; op != nil && op.going && s.touches(op, without) &&
			op.hits+1 > v.need()-v.k-s.world.liars() {
			return false
		}
	}
	return true
}

// touches tells whether a guardian may have acknowledged what is being pushed, or
// has put some of it: what is lost between its put and its commit is lost to the
// one who is told that all is durable.
func (s *secret) touches(op *pushing, h *host) bool {
	return op.acks[h.index] || slices.ContainsFunc(h.objectsOf(s), func(key string) bool {
		generation, _, is := strings.Cut(strings.TrimPrefix(key, placeOf(s.slot)+"/"), "/")
		return is && numberOf(generation) == op.of.number
	})
}

// hit notes that a guardian loses what it has of a secret.
func (s *secret) hit(h *host) {
	for _, v := range s.versions {
		if op := v.op; op != nil && op.going && s.touches(op, h) {
			op.hits++
		}
	}
}
