package check

import (
	"context"
	"slices"

	"github.com/vault-guardian/guardian/shamir"
)

// moveHand is a session of a redistribution whose coordinator does what it likes.
type moveHand struct {
	*fleet
	batch  *Batch // as it moves
	roster Roster
	id     digest
	sealed map[byte][][]byte // to a new holder, by dealer
	acks   sides[Ack]
	seed   digest
}

// byHand opens a session; the first K of the old holders deal.
func (f *fleet) byHand(olds, news []byte) *moveHand {
	f.t.Helper()
	batch, err := f.nodes[olds[0]].holder.rules.moving(f.batch, f.proposal)
	must(f.t, err)
	h := &moveHand{fleet: f, batch: batch, sealed: map[byte][][]byte{}}
	for _, x := range olds {
		h.roster.Members = append(h.roster.Members, h.open(x, f.proposal.Threshold))
	}
	for _, x := range news {
		answer, err := f.nodes[x].holder.Join(context.Background(), f.coordinatorKey(), JoinRequest{Chains: f.chains, Proposal: *messageOf(f.proposal)})
		must(f.t, err)
		h.roster.New = append(h.roster.New, Member{x, answer.Key, answer.Signature})
	}
	h.roster.Dealers = slices.Clone(olds[:f.k])
	h.id = sessionOf(h.batch, h.roster)
	return h
}

// open tells an old holder that K' is so much.
func (h *moveHand) open(x byte, threshold int) Member {
	h.t.Helper()
	var olds []byte
	for _, holder := range h.fleet.batch.records[0].Holders {
		olds = append(olds, holder.X)
	}
	p := messageOf(h.proposal)
	p.Threshold = threshold
	answer, err := h.nodes[x].holder.Open(context.Background(), h.coordinatorKey(),
		OpenRequest{Batch: h.batch.refs(), Participants: olds, Proposal: p})
	must(h.t, err)
	return Member{x, answer.Key, answer.Signature}
}

func (h *moveHand) key(p Party) []byte { return h.roster.keyFor(p) }

// session is what a dishonest party knows of its own.
func (h *moveHand) session(p Party) *session {
	return sessionAt(h.nodes[p.X].holder, h.key(p))
}

func sessionAt(h *Holder, key []byte) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[string(key)]
}

// dealMasks deals and receives among the old holders.
func (h *moveHand) dealMasks() error {
	forX := map[byte][][]byte{}
	for _, i := range h.roster.Dealers {
		answer, err := h.nodes[i].holder.Deal(h.coordinatorKey(), DealRequest{h.key(Party{X: i}), h.roster})
		if err != nil {
			return err
		}
		for n, x := range h.roster.points() {
			forX[x] = append(forX[x], answer.Sealed[n])
		}
	}
	for _, x := range h.roster.points() {
		answer, err := h.nodes[x].holder.Receive(h.coordinatorKey(), ReceiveRequest{h.key(Party{X: x}), h.roster, forX[x]})
		if err != nil {
			return err
		}
		h.acks.old = append(h.acks.old, Ack{x, answer.Random, answer.Received})
	}
	return nil
}

// share asks a dealer for its part of one new share.
func (h *moveHand) share(i, j byte) ([]byte, error) {
	answer, err := h.nodes[i].holder.Share(h.coordinatorKey(), ShareRequest{h.key(Party{X: i}), j})
	return answer.Sealed, err
}

// take brings a new holder all that is for it, and keeps its ack.
func (h *moveHand) take(j byte) error {
	for n, i := range h.roster.Dealers {
		answer, err := h.nodes[j].holder.Take(h.coordinatorKey(), TakeRequest{h.key(Party{true, j}), &h.roster, i, h.sealed[j][n]})
		if err != nil {
			return err
		}
		if n == len(h.roster.Dealers)-1 {
			h.acks.new = append(h.acks.new, Ack{j, answer.Random, answer.Received})
		}
	}
	return nil
}

// shareAll has all new holders dealt to. A dishonest dealer changes what it has for
// each.
func (h *moveHand) shareAll(change func(i, j byte, values []byte)) error {
	for _, j := range pointsOf(h.roster.New) {
		for _, i := range h.roster.Dealers {
			sealed, err := h.share(i, j)
			if err != nil {
				return err
			}
			if change != nil {
				sealed = h.reseal(h.session(Party{X: i}), i, j, sealed, change)
			}
			h.sealed[j] = append(h.sealed[j], sealed)
		}
	}
	return nil
}

func (f *fleet) reseal(s *session, i, j byte, sealed []byte, change func(i, j byte, values []byte)) []byte {
	f.t.Helper()
	public := keyIn(s.roster.New, j)
	values, err := openShare(s.private, public, s.id, i, j, sealed)
	must(f.t, err)
	change(i, j, values)
	sealed, err = sealShare(s.private, public, s.id, i, j, values)
	must(f.t, err)
	return sealed
}

// deal does all up to the acks.
func (h *moveHand) deal(change func(i, j byte, values []byte)) error {
	if err := h.dealMasks(); err != nil {
		return err
	}
	if err := h.shareAll(change); err != nil {
		return err
	}
	for _, j := range pointsOf(h.roster.New) {
		if err := h.take(j); err != nil {
			return err
		}
	}
	h.seed = seedOf(h.id, h.acks.old, h.acks.new)
	return nil
}

func (h *moveHand) seal(p Party, acks sides[Ack]) (Signature, error) {
	answer, err := h.nodes[p.X].holder.Seal(h.coordinatorKey(), SealRequest{h.key(p), acks.old, acks.new})
	return Signature{p.X, answer.Signature}, err
}

func (h *moveHand) sealAll(acks sides[Ack]) (signatures sides[Signature], err error) {
	for _, p := range h.roster.parties() {
		signature, err := h.seal(p, acks)
		if err != nil {
			return signatures, err
		}
		signatures.add(p, signature)
	}
	return signatures, nil
}

// forge signs a seed as only the node itself can.
func (h *moveHand) forge(p Party, seed digest) Signature {
	signature, err := sign(h.nodes[p.X].key, sealMessageOf(h.id, seed, p))
	must(h.t, err)
	return Signature{p.X, signature}
}

func (h *moveHand) answer(p Party, signatures sides[Signature]) (AnswerAnswer, error) {
	return h.nodes[p.X].holder.Answer(h.coordinatorKey(), AnswerRequest{h.key(p), signatures.old, signatures.new})
}

func (h *moveHand) answerAll(signatures sides[Signature]) (answers sides[AnswerAnswer], err error) {
	for _, p := range h.roster.parties() {
		answer, err := h.answer(p, signatures)
		if err != nil {
			return answers, err
		}
		answers.add(p, answer)
	}
	return answers, nil
}

// answered does all from the seal on.
func (h *moveHand) answered() (sides[AnswerAnswer], error) {
	signatures, err := h.sealAll(h.acks)
	if err != nil {
		return sides[AnswerAnswer]{}, err
	}
	return h.answerAll(signatures)
}

// sign makes an answer one that the party gave.
func (f *fleet) sign(s *session, seed digest, p Party, answer *AnswerAnswer) {
	signature, err := sign(f.nodes[p.X].key, answerMessage(s.id, seed, p, *answer))
	must(f.t, err)
	answer.Signature = signature
}

// vote asks a party to.
func (h *moveHand) vote(p Party, answers sides[AnswerAnswer]) (VoteAnswer, error) {
	q := VoteRequest{h.key(p), answers.old, answers.new}
	if p.New {
		return h.nodes[p.X].holder.Prepare(context.Background(), h.coordinatorKey(), q)
	}
	return h.nodes[p.X].holder.Agree(context.Background(), h.coordinatorKey(), q)
}

func (h *moveHand) voteAll(answers sides[AnswerAnswer]) error {
	for _, p := range h.roster.parties() {
		if _, err := h.vote(p, answers); err != nil {
			return err
		}
	}
	return nil
}

// plusOne shifts the first byte of the payloads by a constant: another secret.
func plusOne(i, _ byte, values []byte) {
	if i == 1 {
		values[0] ^= 1
	}
}

// newShareOf is what two answers of a new holder to two seeds tell about its
// share: for each dealer 16 equations, as the masks cancel.
func newShareOf(x byte, size int, seeds [2]digest, answers [2]AnswerAnswer) []byte {
	first, second := rowsOf(seeds[0], size), rowsOf(seeds[1], size)
	equations := make([][]byte, rows)
	share := make([]byte, size)
	for n := range equations {
		equations[n] = plus(first[n], second[n])
	}
	for n := range answers[0].Columns {
		g := solve(slices.Clone(equations), plus(answers[0].Columns[n], answers[1].Columns[n]))
		if g == nil {
			return nil
		}
		share = plus(share, g)
	}
	return append([]byte{x}, share...)
}

// sumOf is the new share of a dishonest new holder, before it answers.
func (h *moveHand) sumOf(x byte) []byte {
	size := h.batch.payload()
	share := make([]byte, size)
	for _, values := range h.session(Party{true, x}).taken {
		share = plus(share, values[:size])
	}
	return append([]byte{x}, share...)
}

func secretOf(t tester, shares ...[]byte) []byte {
	t.Helper()
	if slices.ContainsFunc(shares, func(share []byte) bool { return share == nil }) {
		return nil
	}
	secret, err := shamir.Combine(shares)
	must(t, err)
	return secret
}
