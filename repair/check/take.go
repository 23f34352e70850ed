package check

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
)

// Take takes in what one dealer has for this new holder, once. After the last it
// acknowledges them all, or says which do not open. Errors: [ErrMalformed],
// [ErrTooFew], [ErrSession].
func (h *Holder) Take(caller ed25519.PublicKey, q TakeRequest) (ReceiveAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return ReceiveAnswer{}, err
	}
	defer s.mu.Unlock()
	if q.Roster != nil {
		if err := s.bind(&h.rules, *q.Roster); err != nil {
			return ReceiveAnswer{}, err
		}
	}
	n := slices.Index(s.roster.Dealers, q.Dealer)
	if !s.isNew || n < 0 || !h.rules.receive(s.phase) || s.hashes[n] != (digest{}) {
		return ReceiveAnswer{}, fmt.Errorf("%w: no share is taken of this dealer now", ErrSession)
	}
	if want := s.batch.payload() + rows + tagSize; len(q.Sealed) != want {
		return ReceiveAnswer{}, fmt.Errorf("%w: a share of %d bytes for %d", ErrMalformed, len(q.Sealed), want)
	}
	s.take(n, q)
	if slices.Contains(s.hashes, digest{}) {
		return ReceiveAnswer{}, nil
	}
	return h.acknowledgeTaken(s)
}

func (s *session) take(n int, q TakeRequest) {
	s.hashes[n] = sha256.Sum256(q.Sealed)
	values, err := openShare(s.private, s.roster.keyOf(q.Dealer), s.id, q.Dealer, s.x, q.Sealed)
	if err != nil {
		s.unopened = append(s.unopened, q.Dealer)
		return
	}
	s.taken[n] = values
}

func (h *Holder) acknowledgeTaken(s *session) (ReceiveAnswer, error) {
	if len(s.unopened) > 0 {
		slices.Sort(s.unopened)
		h.end(s)
		return ReceiveAnswer{Unopened: s.unopened}, nil
	}
	if err := s.acknowledge(takenOf(s.id, s.x, s.hashes)); err != nil {
		return ReceiveAnswer{}, err
	}
	return ReceiveAnswer{Random: s.ack.Random, Received: s.ack.Received}, nil
}

// answerMove computes and signs the answer of either role.
func (h *Holder) answerMove(s *session) (AnswerAnswer, error) {
	defer func() {
		h.rules.retire(s)
		h.shrink(s, len(s.sum)+sizeOf(s.chains))
	}()
	var answer AnswerAnswer
	if s.isNew {
		answer = s.publishTaken()
	} else {
		answer = s.publish(&h.rules)
	}
	var err error
	answer.Signature, err = sign(h.key, answerMessage(s.id, s.seed, s.party(), answer))
	return answer, err
}

// publishTaken computes c_ij for each dealer i, and the new shares.
func (s *session) publishTaken() AnswerAnswer {
	var answer AnswerAnswer
	size := s.batch.payload()
	sum := make([]byte, size)
	for _, values := range s.taken {
		c := products(s.seed, [][]byte{values[:size]})
		subtle.XORBytes(c[:], c[:], values[size:])
		answer.Columns = append(answer.Columns, c[:])
		subtle.XORBytes(sum, sum, values[:size])
	}
	s.sum = sum
	return answer
}
