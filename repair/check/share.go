package check

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

const tagSize = 16 // of AES-GCM

// Share gives a dealer's part of one new share, sealed to its holder. Asked again
// it says the same. At rest a dealer keeps 32 bytes for this, and while it is at
// work four times the batch. Errors: [ErrSession].
func (h *Holder) Share(caller ed25519.PublicKey, q ShareRequest) (ShareAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return ShareAnswer{}, err
	}
	defer s.mu.Unlock()
	if s.phase != received || !s.deals() || keyIn(s.roster.New, q.To) == nil {
		return ShareAnswer{}, fmt.Errorf("%w: this holder deals no such share now", ErrSession)
	}
	sealed, err := s.share(&h.rules, q.To)
	return ShareAnswer{Sealed: sealed}, err
}

// deals tells whether this is a dealer of the session.
func (s *session) deals() bool { return !s.isNew && slices.Contains(s.roster.Dealers, s.x) }

// share evaluates g_i at a new point. All points are of one sharing, as the
// coefficients are drawn once.
func (s *session) share(r *rules, to byte) ([]byte, error) {
	if !s.drawn {
		if _, err := r.draw(s.coefficients[:]); err != nil {
			return nil, fmt.Errorf("drawing coefficients: %w", err)
		}
		s.drawn = true
	}
	constants, err := s.weighted(r)
	if err != nil {
		return nil, err
	}
	defer clear(constants)
	share, err := shamir.ShareAt(&s.coefficients, constants, s.batch.proposal.Threshold, to)
	if err != nil {
		return nil, fmt.Errorf("dealing a share: %w", err)
	}
	defer clear(share)
	return sealShare(s.private, keyIn(s.roster.New, to), s.id, s.x, to, share[1:])
}

// weighted returns l_i(0) times all bytes of the payloads and then of the masks M
// at this point.
func (s *session) weighted(r *rules) ([]byte, error) {
	weights, err := shamir.Weights(s.roster.Dealers, 0)
	if err != nil {
		return nil, fmt.Errorf("weighing a share: %w", err)
	}
	values := make([]byte, 0, s.batch.payload()+rows)
	for _, share := range s.shares {
		values = append(values, share[1:]...)
	}
	values = values[:len(values)+rows]
	defer clear(values)
	r.mask(values[len(values)-rows:], s.masks)
	own := slices.Index(s.roster.Dealers, s.x)
	return shamir.WeightedSum(weights[own:own+1], [][]byte{values}), nil
}

func sealShare(private *ecdh.PrivateKey, public []byte, session digest, i, j byte, values []byte) ([]byte, error) {
	aead, err := agreed(private, public, session, shareInfo(i, j))
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	return aead.Seal(nil, nonce, values, nil), nil //nolint:gosec // G407: the key seals nothing but these values
}

func openShare(private *ecdh.PrivateKey, public []byte, session digest, i, j byte, sealed []byte) ([]byte, error) {
	aead, err := agreed(private, public, session, shareInfo(i, j))
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, make([]byte, aead.NonceSize()), sealed, nil)
}

func shareInfo(i, j byte) string { return "guardian-check-share-v1" + string([]byte{i, j}) }
