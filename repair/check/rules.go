package check

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// The checks without which an attack succeeds are functions without any I/O.
// They are values so that a test can take out one rule at a time and see that
// it was needed.
type rules struct {
	enough    func(n, k int) bool
	dealers   func(k int, xs, dealers []byte) error
	receive   func(p phase) bool
	allAcked  func(xs, acked []byte) bool
	seal      func(p phase) bool
	allSigned func(xs, signed []byte) bool
	mask      func(a []byte, masks [][]byte)
	spend     func(s *session)
	columns   func(answers [][]byte, k int) (shamir.Robust, error)
	shares    func(answers [][]byte, k int) (shamir.Robust, error)

	// Of a redistribution alone.
	moved    func(batch digest, p record.Proposal) digest
	quorum   func(p record.Proposal) int
	draw     func(key []byte) (int, error)
	retire   func(s *session)
	dealt    func(answers [][]byte, k int) (shamir.Robust, error)
	constant func(got, want []byte) bool
	own      func(key ed25519.PublicKey, message, signature []byte) bool
}

var pageRules = rules{
	enough:    func(n, k int) bool { return n > k },
	dealers:   checkDealers,
	receive:   func(p phase) bool { return p == opened },
	allAcked:  slices.Equal[[]byte],
	seal:      func(p phase) bool { return p == received },
	allSigned: slices.Equal[[]byte],
	mask:      addMasks,
	spend:     (*session).wipe,
	columns:   shamir.CombineRobust,
	shares:    shamir.CombineRobust,

	moved:    movedOf,
	quorum:   record.Quorum,
	draw:     rand.Read,
	retire:   (*session).retire,
	dealt:    shamir.CombineRobust,
	constant: bytes.Equal,
	own:      ed25519.Verify,
}

// checkAcks wants an ack of every member, in order, and the holder's own as it
// was given: without its random bytes others could choose the seed.
func (r *rules) checkAcks(s *session, q SealRequest) error {
	for n, acks := range [][]Ack{q.Acks, q.New} {
		var xs []byte
		isNew, own := n == 1, false
		for _, a := range acks {
			if len(a.Random) != ackSize || len(a.Received) != ackSize {
				return fmt.Errorf("%w: the ack of point %d", ErrMalformed, a.X)
			}
			xs = append(xs, a.X)
			own = own || a.X == s.x && slices.Equal(a.Random, s.ack.Random) && slices.Equal(a.Received, s.ack.Received)
		}
		lacks := isNew == s.isNew && !own && slices.Contains(xs, s.x)
		if !ascending(xs) || !r.allAcked(s.roster.pointsOf(isNew), xs) || lacks {
			return fmt.Errorf("%w: not the acks of all", ErrSession)
		}
	}
	return nil
}

// checkSignatures wants every member's signature over the one seed that was
// signed here.
func (r *rules) checkSignatures(s *session, q AnswerRequest) error {
	for n, signatures := range [][]Signature{q.Signatures, q.New} {
		var xs []byte
		isNew := n == 1
		for _, signed := range signatures {
			p := Party{isNew, signed.X}
			key, ok := s.batch.keyFor(p)
			if !ok || !ed25519.Verify(key, sealMessageOf(s.id, s.seed, p), signed.Signature) {
				return fmt.Errorf("%w: %s did not sign this seed", ErrSession, p)
			}
			xs = append(xs, signed.X)
		}
		if !ascending(xs) || !r.allSigned(s.roster.pointsOf(isNew), xs) {
			return fmt.Errorf("%w: not the signatures of all", ErrSession)
		}
	}
	return nil
}
