package manifest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
)

// CheckShare returns the holder of the point share[0] if the share is the one
// that the manifest gives it. Whether that holder is who showed the share is
// for the caller to compare. Error: ErrShare.
func (m *Manifest) CheckShare(share []byte) (Holder, error) {
	if len(share) != 1+m.PayloadSize {
		return Holder{}, fmt.Errorf("%w: it has %d bytes in place of %d", ErrShare, len(share), 1+m.PayloadSize)
	}
	i := slices.IndexFunc(m.Holders, func(h Holder) bool { return h.X == share[0] })
	if i < 0 {
		return Holder{}, fmt.Errorf("%w: it names no holder of point %d", ErrShare, share[0])
	}
	if !hashesTo(share, m.Holders[i].SHA256) {
		return Holder{}, fmt.Errorf("%w: the hash at point %d is another", ErrShare, share[0])
	}
	return m.Holders[i], nil
}

// CheckPayload tells whether shares were rebuilt to what was split. Error:
// ErrPayload.
func (m *Manifest) CheckPayload(payload []byte) error {
	if len(payload) != m.PayloadSize {
		return fmt.Errorf("%w: it has %d bytes in place of %d", ErrPayload, len(payload), m.PayloadSize)
	}
	if !hashesTo(payload, m.PayloadSHA256) {
		return fmt.Errorf("%w: the hash is another", ErrPayload)
	}
	return nil
}

func hashesTo(data []byte, want [sha256.Size]byte) bool {
	sum := sha256.Sum256(data)
	return subtle.ConstantTimeCompare(sum[:], want[:]) == 1
}
