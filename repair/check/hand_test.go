package check

import (
	"context"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// hand is a session whose coordinator does what it likes: it calls the holders
// one by one.
type hand struct {
	*guardians
	t      tester
	roster Roster
	id     digest
	// forX is what each dealer, in order, sealed to a point.
	forX map[byte][][]byte
	acks []Ack
}

// byHand opens a session and lets the dealers deal: the first K points, or those
// given.
func (g *guardians) byHand(t tester, xs []byte, dealers ...byte) *hand {
	t.Helper()
	h := &hand{guardians: g, t: t, forX: map[byte][][]byte{}}
	if dealers == nil {
		dealers = xs[:g.k]
	}
	for _, x := range xs {
		answer, err := g.holders[x].Open(context.Background(), g.coordinatorKey(), OpenRequest{Batch: g.batch.refs(), Participants: xs})
		must(t, err)
		h.roster.Members = append(h.roster.Members, Member{x, answer.Key, answer.Signature})
	}
	h.roster.Dealers = slices.Clone(dealers)
	h.id = sessionOf(g.batch, h.roster)
	return h
}

func (h *hand) dealAll() {
	h.t.Helper()
	for _, i := range h.roster.Dealers {
		answer, err := h.deal(i)
		must(h.t, err)
		for n, x := range h.roster.points() {
			h.forX[x] = append(h.forX[x], answer.Sealed[n])
		}
	}
}

func (h *hand) key(x byte) []byte { return h.roster.keyOf(x) }

func (h *hand) session(x byte) *session { return h.guardians.session(x, h.key(x)) }

func (h *hand) deal(x byte) (DealAnswer, error) {
	return h.holders[x].Deal(h.coordinatorKey(), DealRequest{h.key(x), h.roster})
}

func (h *hand) receive(x byte) (ReceiveAnswer, error) {
	return h.holders[x].Receive(h.coordinatorKey(), ReceiveRequest{h.key(x), h.roster, h.forX[x]})
}

func (h *hand) seal(x byte, acks []Ack) (SealAnswer, error) {
	return h.holders[x].Seal(h.coordinatorKey(), SealRequest{Key: h.key(x), Acks: acks})
}

func (h *hand) answer(x byte, signatures []Signature) (AnswerAnswer, error) {
	return h.holders[x].Answer(h.coordinatorKey(), AnswerRequest{Key: h.key(x), Signatures: signatures})
}

// receiveAll deals, and collects the acks of all.
func (h *hand) receiveAll() {
	h.t.Helper()
	h.dealAll()
	h.acks = h.ackOf(h.roster.points()...)
}

func (h *hand) ackOf(xs ...byte) (acks []Ack) {
	h.t.Helper()
	for _, x := range xs {
		answer, err := h.receive(x)
		must(h.t, err)
		acks = append(acks, Ack{x, answer.Random, answer.Received})
	}
	return acks
}

func (h *hand) sealAll(acks []Ack) (signatures []Signature) {
	h.t.Helper()
	for _, x := range h.roster.points() {
		answer, err := h.seal(x, acks)
		must(h.t, err)
		signatures = append(signatures, Signature{x, answer.Signature})
	}
	return signatures
}

// forge signs a seed as only the node itself can.
func (h *hand) forge(x byte, seed digest) Signature {
	signature, err := sign(h.keys[x], sealMessage(h.id, seed, x))
	must(h.t, err)
	return Signature{x, signature}
}

// colluders are the first K-1.
func (h *hand) colluders() []byte { return h.xs[:h.k-1] }

// secretOfTwoSeeds is what colluders make of one honest answer to each of two
// seeds under the same masks: with their own they know both A at 0, and the masks
// cancel in the sum, which leaves 16 equations for the secret.
func (h *hand) secretOfTwoSeeds(know map[byte]*session, seeds [2]digest, honest [2]byte, answers [2]AnswerAnswer) []byte {
	h.t.Helper()
	var at0 [2][]byte
	for n, seed := range seeds {
		points, values := []byte{honest[n]}, [][]byte{answers[n].Shares}
		for _, x := range h.colluders() {
			s := know[x]
			s.seed = seed
			points, values = append(points, x), append(values, s.publish(&pageRules).Shares)
		}
		at0[n] = valueAt0(h.t, points, values)
	}
	size := len(h.payloads[0])
	equations := make([][]byte, rows)
	first, second := rowsOf(seeds[0], size), rowsOf(seeds[1], size)
	for n := range equations {
		equations[n] = plus(first[n], second[n])
	}
	return solve(equations, plus(at0[0], at0[1]))
}

// knowledge copies what colluders hold in a session.
func (h *hand) knowledge() map[byte]*session {
	know := map[byte]*session{}
	for _, x := range h.colluders() {
		s, copied := h.session(x), &session{}
		for _, share := range s.shares {
			copied.shares = append(copied.shares, slices.Clone(share))
		}
		for _, mask := range s.masks {
			copied.masks = append(copied.masks, slices.Clone(mask))
		}
		know[x] = copied
	}
	return know
}

func valueAt0(t tester, points []byte, values [][]byte) []byte {
	t.Helper()
	weights, err := shamir.Weights(points, 0)
	must(t, err)
	return shamir.WeightedSum(weights, values)
}
