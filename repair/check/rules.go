package check

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// The checks without which an attack succeeds are functions without any I/O.
// They are values so that a test can take out one rule at a time and see that
// it was needed.
type rules struct {
	dealers   func(k int, xs, dealers []byte) error
	receive   func(p phase) bool
	allAcked  func(xs, acked []byte) bool
	seal      func(p phase) bool
	allSigned func(xs, signed []byte) bool
	mask      func(a []byte, masks [][]byte)
	spend     func(s *session)
	columns   func(answers [][]byte, k int) (shamir.Robust, error)
	shares    func(answers [][]byte, k int) (shamir.Robust, error)
}

var pageRules = rules{
	dealers:   checkDealers,
	receive:   func(p phase) bool { return p == opened },
	allAcked:  slices.Equal[[]byte],
	seal:      func(p phase) bool { return p == received },
	allSigned: slices.Equal[[]byte],
	mask:      addMasks,
	spend:     (*session).wipe,
	columns:   shamir.CombineRobust,
	shares:    shamir.CombineRobust,
}

// checkAcks wants an ack of every member, in order, and the holder's own as it
// was given: without its random bytes others could choose the seed.
func (r *rules) checkAcks(s *session, acks []Ack) error {
	var xs []byte
	own := false
	for _, a := range acks {
		if len(a.Random) != ackSize || len(a.Received) != ackSize {
			return fmt.Errorf("%w: the ack of point %d", ErrMalformed, a.X)
		}
		xs = append(xs, a.X)
		own = own || a.X == s.x && slices.Equal(a.Random, s.ack.Random) && slices.Equal(a.Received, s.ack.Received)
	}
	if !ascending(xs) || !r.allAcked(s.roster.points(), xs) || !own && slices.Contains(xs, s.x) {
		return fmt.Errorf("%w: not the acks of all", ErrSession)
	}
	return nil
}

// checkSignatures wants every member's signature over the one seed that was
// signed here.
func (r *rules) checkSignatures(s *session, signatures []Signature) error {
	var xs []byte
	for _, signed := range signatures {
		key, ok := s.batch.keyAt(signed.X)
		if !ok || !ed25519.Verify(key, sealMessage(s.id, s.seed, signed.X), signed.Signature) {
			return fmt.Errorf("%w: point %d did not sign this seed", ErrSession, signed.X)
		}
		xs = append(xs, signed.X)
	}
	if !ascending(xs) || !r.allSigned(s.roster.points(), xs) {
		return fmt.Errorf("%w: not the signatures of all", ErrSession)
	}
	return nil
}
