package manifest

import (
	"crypto/ed25519"
	"fmt"
	"regexp"
)

var (
	names   = regexp.MustCompile(`^[A-Za-z0-9_-]{0,128}$`)
	nodeIDs = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	splits  = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

const (
	minThreshold = 2
	maxHolders   = 255 // points of GF(2^8) other than 0
)

// ValidNode reports whether an id could be that of a guardian.
func ValidNode(id string) bool { return nodeIDs.MatchString(id) }

// check wants every field within bounds, but for identity and owner.
func (m *Manifest) check() error {
	switch {
	case !names.MatchString(m.Name):
		return invalid("its name is not 0 to 128 of letters, digits, - and _")
	case !splits.MatchString(m.Split):
		return invalid("its split is not 32 lower-case hex digits")
	case m.Threshold < minThreshold || m.Threshold > maxHolders:
		return invalid("its threshold %d is not %d to %d", m.Threshold, minThreshold, maxHolders)
	case m.PayloadSize < 1 || m.PayloadSize > MaxPayloadSize:
		return invalid("its payload is not 1 to %d bytes", MaxPayloadSize)
	}
	if err := m.Policy.check(); err != nil {
		return err
	}
	return m.checkHolders()
}

func (p *Policy) check() error {
	switch {
	case p.MinThreshold < minThreshold || p.MinThreshold > maxHolders:
		return invalid("its policy's least threshold %d is not %d to %d", p.MinThreshold, minThreshold, maxHolders)
	case p.MaxHolders < p.MinThreshold || p.MaxHolders > maxHolders:
		return invalid("its policy's most holders %d are not %d to %d", p.MaxHolders, p.MinThreshold, maxHolders)
	case p.Admission != nil && len(p.Admission) != ed25519.PublicKeySize:
		return invalid("its admission key has %d bytes", len(p.Admission))
	}
	return nil
}

// checkHolders wants no key at two points: who has it would have two shares, and
// fewer than Threshold guardians could rebuild. Ids may come twice: a guardian
// that claims another's must not keep the owner from storing with that one.
func (m *Manifest) checkHolders() error {
	if len(m.Holders) < m.Threshold {
		return invalid("its %d holders are fewer than its threshold %d", len(m.Holders), m.Threshold)
	}
	keys := map[string]bool{}
	before := byte(0)
	for _, h := range m.Holders {
		if h.X <= before {
			return invalid("its points are not from 1 to %d in ascending order, at %d", maxHolders, h.X)
		}
		if err := h.check(); err != nil {
			return err
		}
		if keys[string(h.Key)] {
			return invalid("the key at point %d has another point too", h.X)
		}
		keys[string(h.Key)] = len(h.Key) != 0
		before = h.X
	}
	return nil
}

func (h *Holder) check() error {
	if h.Node != "" && !ValidNode(h.Node) {
		return invalid("the node id at point %d is not 1 to 63 of a-z, 0-9 and -", h.X)
	}
	if h.Key != nil && len(h.Key) != ed25519.PublicKeySize {
		return invalid("the node key at point %d has %d bytes", h.X, len(h.Key))
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
