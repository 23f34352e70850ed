package check

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/vault-guardian/guardian/integrity"
)

func sign(key *integrity.NodeKey, message []byte) ([]byte, error) {
	signature, err := key.Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing for a check: %w", err)
	}
	return signature, nil
}

// Deal makes this holder's part of the masks, once in a session. Errors:
// [ErrMalformed], [ErrTooFew], [ErrSession].
func (h *Holder) Deal(caller ed25519.PublicKey, q DealRequest) (DealAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return DealAnswer{}, err
	}
	defer s.mu.Unlock()
	if err := s.bind(&h.rules, q.Roster); err != nil {
		return DealAnswer{}, err
	}
	if s.dealt || !s.deals() {
		return DealAnswer{}, fmt.Errorf("%w: this holder has dealt, or is no dealer", ErrSession)
	}
	s.dealt = true
	dealt, err := deal(s.private, s.id, s.batch.Threshold(), s.x, s.roster)
	return DealAnswer{Sealed: dealt}, err
}

// Receive takes in this holder's masks, once in a session, and acknowledges
// them. Errors: [ErrMalformed], [ErrTooFew], [ErrSession].
func (h *Holder) Receive(caller ed25519.PublicKey, q ReceiveRequest) (ReceiveAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return ReceiveAnswer{}, err
	}
	defer s.mu.Unlock()
	if err := s.bind(&h.rules, q.Roster); err != nil {
		return ReceiveAnswer{}, err
	}
	if err := q.check(len(s.roster.Dealers)); err != nil {
		return ReceiveAnswer{}, err
	}
	if s.isNew || !h.rules.receive(s.phase) {
		return ReceiveAnswer{}, fmt.Errorf("%w: this holder has received", ErrSession)
	}
	masks, unopened := receive(s.private, s.id, s.x, s.roster, q.Sealed)
	s.masks = masks
	if len(unopened) > 0 {
		h.end(s)
		return ReceiveAnswer{Unopened: unopened}, nil
	}
	if err := s.acknowledge(receivedOf(s.id, s.x, q.Sealed)); err != nil {
		return ReceiveAnswer{}, err
	}
	return ReceiveAnswer{Random: s.ack.Random, Received: s.ack.Received}, nil
}

// Seal signs the seed that the acks of all make, once in a session. Errors:
// [ErrMalformed], [ErrSession].
func (h *Holder) Seal(caller ed25519.PublicKey, q SealRequest) (SealAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return SealAnswer{}, err
	}
	defer s.mu.Unlock()
	if !h.rules.seal(s.phase) {
		return SealAnswer{}, fmt.Errorf("%w: no seed can be sealed in it now", ErrSession)
	}
	if err := h.rules.checkAcks(s, q); err != nil {
		return SealAnswer{}, err
	}
	s.seed, s.phase = seedOf(s.id, q.Acks, q.New), sealed
	signature, err := sign(h.key, sealMessageOf(s.id, s.seed, s.party()))
	return SealAnswer{Signature: signature}, err
}

// Answer publishes what the seed asks of this holder, if all have signed it.
// It does so once: shares, masks and key are wiped. In a redistribution it signs
// the answer, and what is left of the session is for the vote. Errors:
// [ErrSession].
func (h *Holder) Answer(caller ed25519.PublicKey, q AnswerRequest) (AnswerAnswer, error) {
	s, err := h.find(caller, q.Key)
	if err != nil {
		return AnswerAnswer{}, err
	}
	defer s.mu.Unlock()
	if s.phase != sealed {
		return AnswerAnswer{}, fmt.Errorf("%w: no seed was sealed in it", ErrSession)
	}
	if err := h.rules.checkSignatures(s, q); err != nil {
		return AnswerAnswer{}, err
	}
	if s.batch.proposal != nil {
		return h.answerMove(s)
	}
	defer h.end(s)
	return s.publish(&h.rules), nil
}

// Serve is any step on JSON as it comes from a caller whose key the connection
// proved. Errors are those of the step, [ErrMalformed] for what is not JSON or
// beyond [Step.MaxRequest].
func (h *Holder) Serve(ctx context.Context, caller ed25519.PublicKey, step Step, body []byte) ([]byte, error) {
	if len(body) > step.MaxRequest() {
		return nil, fmt.Errorf("%w: too large", ErrMalformed)
	}
	switch step {
	case StepOpen:
		return serve(body, func(q OpenRequest) (OpenAnswer, error) { return h.Open(ctx, caller, q) })
	case StepJoin:
		return serve(body, func(q JoinRequest) (OpenAnswer, error) { return h.Join(ctx, caller, q) })
	case StepDeal:
		return serve(body, func(q DealRequest) (DealAnswer, error) { return h.Deal(caller, q) })
	case StepReceive:
		return serve(body, func(q ReceiveRequest) (ReceiveAnswer, error) { return h.Receive(caller, q) })
	case StepShare:
		return serve(body, func(q ShareRequest) (ShareAnswer, error) { return h.Share(caller, q) })
	case StepTake:
		return serve(body, func(q TakeRequest) (ReceiveAnswer, error) { return h.Take(caller, q) })
	case StepSeal:
		return serve(body, func(q SealRequest) (SealAnswer, error) { return h.Seal(caller, q) })
	case StepAnswer:
		return serve(body, func(q AnswerRequest) (AnswerAnswer, error) { return h.Answer(caller, q) })
	case StepPrepare:
		return serve(body, func(q VoteRequest) (VoteAnswer, error) { return h.Prepare(ctx, caller, q) })
	case StepAgree:
		return serve(body, func(q VoteRequest) (VoteAnswer, error) { return h.Agree(ctx, caller, q) })
	}
	return nil, fmt.Errorf("%w: no such step", ErrMalformed)
}

func serve[Q, A any](body []byte, answer func(Q) (A, error)) ([]byte, error) {
	var q Q
	if json.Unmarshal(body, &q) != nil {
		return nil, fmt.Errorf("%w: not the JSON of this step", ErrMalformed)
	}
	a, err := answer(q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

func (q *OpenRequest) check() error {
	if len(q.Batch) == 0 || len(q.Batch) > MaxRecords || len(q.Participants) > 255 {
		return fmt.Errorf("%w: a batch of %d among %d", ErrMalformed, len(q.Batch), len(q.Participants))
	}
	for i, name := range q.Batch {
		if len(name.Identity) > maxText || len(name.Name) > maxText || len(name.Hash) != len(digest{}) {
			return fmt.Errorf("%w: name %d of the batch", ErrMalformed, i)
		}
	}
	return nil
}

// maxText bounds identities (64) and names (128).
const maxText = 128

func (q *ReceiveRequest) check(dealers int) error {
	if len(q.Sealed) != dealers {
		return fmt.Errorf("%w: %d dealings of %d dealers", ErrMalformed, len(q.Sealed), dealers)
	}
	for i, s := range q.Sealed {
		if len(s) != sealedSize {
			return fmt.Errorf("%w: dealing %d has %d bytes", ErrMalformed, i, len(s))
		}
	}
	return nil
}
