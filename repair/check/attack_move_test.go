package check

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// The attacks on a redistribution, each done without the rule against it and with
// all, as in an audit.

// interpolated takes any points for those of a polynomial, of what degree ever.
func interpolated(points [][]byte, _ int) (shamir.Robust, error) {
	secret, err := shamir.Combine(points)
	return shamir.Robust{Secret: secret}, err
}

// forgiving decodes, and says nothing of who is wrong.
func forgiving(points [][]byte, k int) (shamir.Robust, error) {
	decoded, err := shamir.CombineRobust(points, k)
	decoded.Wrong = nil
	return decoded, err
}

func always([]byte, []byte) bool { return true }

// dealShares lets a dealer change what it deals to new holders.
func (f *fleet) dealShares(dealer byte, change func(i, j byte, values []byte)) func(Party, Step, any, any) error {
	return func(p Party, step Step, request, answer any) error {
		if step != StepShare || p != (Party{X: dealer}) {
			return nil
		}
		q, a := request.(ShareRequest), answer.(*ShareAnswer)
		a.Sealed = f.reseal(sessionAt(f.nodes[dealer].holder, q.Key), dealer, q.To, a.Sealed, change)
		return nil
	}
}

// lost tells whether a certified redistribution has shares of which some K' do not
// make the payload.
func (f *fleet) lost(result Result) bool {
	if len(result.Chains) == 0 {
		return false
	}
	shares, k := f.newShares(0), f.proposal.Threshold
	first := combined(f.t, shares, k)
	delete(shares, 1)
	last := combined(f.t, shares, k)
	return !slices.Equal(first, f.payloads[0]) || !slices.Equal(last, f.payloads[0])
}

// dealerAttack is one by dealer 1 in a redistribution of 3 of 6 to 3 of 6. With
// all rules it is named, and nothing is lost.
func dealerAttack(t *testing.T, without func(r *rules), news []byte, change func(i, j byte, values []byte)) {
	t.Helper()
	attack(t, without, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(6), 3, 40).propose(3, news...)
		f.setRules(r)
		f.tamper = f.dealShares(1, change)
		result, err := f.redistributeWith(r)
		must(t, err)
		if f.lost(result) {
			return nil
		}
		if !slices.Equal(result.Named, []byte{1}) || slices.Contains(result.Sound, 1) || result.Attempts != 2 {
			t.Errorf("got %+v", result)
		}
		f.sound(t, result)
		return errNotLearnt
	})
}

func TestMoveOfDegreeAboveTheThreshold(t *testing.T) {
	top := randomBytes(40 + rows)
	dealerAttack(t, func(r *rules) { r.dealt = interpolated }, upTo(6), func(_, j byte, values []byte) {
		power := times(times(j, j), j)
		for n := range values {
			values[n] ^= times(power, top[n])
		}
	})
}

func TestMoveOfAnotherSecret(t *testing.T) {
	dealerAttack(t, func(r *rules) { r.constant = always }, upTo(6), plusOne)
}

// With no holder in common nobody's own share shows what a dealer did.
func TestMoveOfAnotherSecretToStrangers(t *testing.T) {
	dealerAttack(t, func(r *rules) { r.constant = always }, []byte{11, 12, 13, 14, 15, 16}, plusOne)
}

func TestMoveOfNoise(t *testing.T) {
	dealerAttack(t, func(r *rules) { r.dealt, r.constant = interpolated, always }, []byte{6, 11, 12, 13, 14, 15},
		func(_, _ byte, values []byte) { copy(values, randomBytes(len(values))) })
}

// answerWrong has a party publish something else, in its own name.
func (f *fleet) answerWrong(who Party, change func(a *AnswerAnswer)) func(Party, Step, any, any) error {
	return func(p Party, step Step, request, answer any) error {
		if step != StepAnswer || p != who {
			return nil
		}
		s, a := sessionAt(f.nodes[p.X].holder, request.(AnswerRequest).Key), answer.(*AnswerAnswer)
		change(a)
		f.sign(s, s.seed, p, a)
		return nil
	}
}

// A new holder that lost what it was dealt counts as one that has its share.
func TestMoveToACorruptedHolder(t *testing.T) {
	attack(t, func(r *rules) { r.dealt = forgiving }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		f.tamper = f.answerWrong(Party{true, 4}, func(a *AnswerAnswer) {
			for n := range a.Columns {
				a.Columns[n] = randomBytes(rows)
			}
		})
		result, err := f.redistributeWith(r)
		must(t, err)
		if slices.Contains(result.New.Sound, 4) {
			return nil
		}
		if !slices.Equal(result.New.Named, []byte{4}) || !slices.Equal(result.New.Sound, []byte{1, 2, 3, 5}) || result.Named != nil {
			t.Errorf("got %+v", result)
		}
		f.sound(t, result)
		return errNotLearnt
	})
}

// An old holder without a share takes part, and counts for K+1.
func TestMoveWithALyingPublisher(t *testing.T) {
	attack(t, func(r *rules) { r.shares = forgiving }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(6), 3, 40).propose(3, upTo(6)...)
		f.setRules(r)
		f.tamper = f.answerWrong(Party{X: 5}, func(a *AnswerAnswer) { a.Shares = randomBytes(rows) })
		result, err := f.redistributeWith(r)
		must(t, err)
		if slices.Contains(result.Sound, 5) {
			return nil
		}
		if !slices.Equal(result.Wrong, []byte{5}) || !slices.Equal(result.Sound, []byte{1, 2, 3, 4, 6}) || len(result.Named) > 0 {
			t.Errorf("got %+v", result)
		}
		f.sound(t, result)
		return errNotLearnt
	})
}

// One honest new holder answers two seeds: with K'-1 others that is the secret.
func TestMoveOfTwoSeeds(t *testing.T) {
	attack(t, func(r *rules) { r.seal = func(p phase) bool { return p == received || p == sealed } }, moveOfTwoSeeds)
}

// Each of two honest parties seals one seed, not the same.
func TestMoveSignaturesOfFewerThanAll(t *testing.T) {
	attack(t, func(r *rules) { r.allSigned = func(_, _ []byte) bool { return true } }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, shortSecret).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(nil))
		own := [][]byte{h.sumOf(1), h.sumOf(2)}
		acks, seeds := h.twoSeeds()
		var shares [2]AnswerAnswer
		victims := [2]byte{4, 5}
		for n, x := range victims {
			p := Party{true, x}
			signature, err := h.seal(p, acks[n])
			must(t, err)
			if shares[n], err = h.answer(p, sides[Signature]{new: []Signature{signature}}); err != nil {
				return err
			}
		}
		// Each answer alone masks the rest: what they tell together is 16 equations
		// about A at 0, whose masks are the same.
		return learnt(h.secretOfTwoNew(own, seeds, victims, shares), f.payloads[0])
	})
}

// twoSeeds are of two acks of one colluder, the old holder 1.
func (h *moveHand) twoSeeds() (acks [2]sides[Ack], seeds [2]digest) {
	for n := range acks {
		acks[n] = sides[Ack]{slices.Clone(h.acks.old), h.acks.new}
		if n == 1 {
			acks[n].old[0].Random = randomBytes(ackSize)
		}
		seeds[n] = seedOf(h.id, acks[n].old, acks[n].new)
	}
	return acks, seeds
}

// secretOfTwoNew is what colluders, the new holders 1 and 2, make of one answer of
// each of two others: with their own c they know C(0), the sum of all C_i at 0, for
// both seeds, and that is <r, secret> + M(0).
func (h *moveHand) secretOfTwoNew(own [][]byte, seeds [2]digest, victims [2]byte, answers [2]AnswerAnswer) []byte {
	size := h.batch.payload()
	var at0 [2][]byte
	for n, seed := range seeds {
		sum := func(columns [][]byte) []byte {
			all := make([]byte, rows)
			for _, c := range columns {
				all = plus(all, c)
			}
			return all
		}
		points, values := []byte{victims[n]}, [][]byte{sum(answers[n].Columns)}
		for i, x := range []byte{1, 2} {
			c := products(seed, [][]byte{own[i][1 : 1+size]})
			masks := make([]byte, rows)
			for _, taken := range h.session(Party{true, x}).taken {
				masks = plus(masks, taken[size:])
			}
			points, values = append(points, x), append(values, plus(c[:], masks))
		}
		at0[n] = valueAt0(h.t, points, values)
	}
	first, second := rowsOf(seeds[0], size), rowsOf(seeds[1], size)
	equations := make([][]byte, rows)
	for n := range equations {
		equations[n] = plus(first[n], second[n])
	}
	return solve(equations, plus(at0[0], at0[1]))
}

func moveOfTwoSeeds(t *testing.T, r rules) error {
	f := newFleet(t, upTo(5), 3, shortSecret).propose(3, upTo(5)...)
	f.setRules(r)
	h := f.byHand(upTo(5), upTo(5))
	must(t, h.deal(nil))
	own := [][]byte{h.sumOf(1), h.sumOf(2)}
	acks, seeds := h.twoSeeds()
	victims := [2]byte{4, 5}
	var signatures [2]sides[Signature]
	for _, p := range h.roster.parties() {
		for _, n := range orderFor(p, victims) {
			signature, err := h.seal(p, acks[n])
			if p == (Party{X: 1}) { // the colluder whose ack there are two of
				signature, err = h.forge(p, seeds[n]), nil
			}
			if err != nil {
				return err
			}
			signatures[n].add(p, signature)
		}
	}
	var answers [2]AnswerAnswer
	for n, x := range victims {
		var err error
		if answers[n], err = h.answer(Party{true, x}, signatures[n]); err != nil {
			return err
		}
	}
	return learnt(h.secretOfTwoNew(own, seeds, victims, answers), f.payloads[0])
}

// orderFor has the seed sealed last that is to be answered.
func orderFor(p Party, victims [2]byte) []int {
	if p == (Party{true, victims[0]}) {
		return []int{1, 0}
	}
	return []int{0, 1}
}

// Old and new holders that keep what they were dealt answer again, to another seed.
func TestMoveSharesKept(t *testing.T) {
	keeps := func(r *rules) {
		r.retire = func(s *session) {
			if s.phase = opened; s.isNew {
				s.phase = received
			}
		}
	}
	attack(t, keeps, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, shortSecret).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(nil))
		own := [][]byte{h.sumOf(1), h.sumOf(2)}
		forX := h.resealed()
		var seeds [2]digest
		var answers [2]AnswerAnswer
		for n := range seeds {
			if n == 1 {
				for i, x := range h.roster.points() {
					again, err := h.nodes[x].holder.Receive(h.coordinatorKey(), ReceiveRequest{h.key(Party{X: x}), h.roster, forX[x]})
					if err != nil {
						return err
					}
					h.acks.old[i] = Ack{x, again.Random, again.Received}
				}
			}
			seeds[n] = seedOf(h.id, h.acks.old, h.acks.new)
			all, err := h.answered()
			must(t, err)
			answers[n] = all.new[3]
		}
		return learnt(secretOf(t, own[0], own[1], newShareOf(4, shortSecret, seeds, answers)), f.payloads[0])
	})
}

// resealed has for each old holder masks sealed anew, as a coordinator has kept
// them that relayed them.
func (h *moveHand) resealed() map[byte][][]byte {
	forX := map[byte][][]byte{}
	for _, i := range h.roster.Dealers {
		s := h.session(Party{X: i})
		for _, m := range h.roster.Members {
			aead, err := dealing(s.private, m.Key, h.id, i, m.X)
			must(h.t, err)
			forX[m.X] = append(forX[m.X], aead.Seal(nil, make([]byte, aead.NonceSize()), randomBytes(columns), nil))
		}
	}
	return forX
}

// A dealer that knows the seed before a new holder has taken fits the masks to a
// wrong share.
func TestMoveAcksOfFewerThanAll(t *testing.T) {
	attack(t, func(r *rules) { r.allAcked = func(_, _ []byte) bool { return true } }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.dealMasks())
		seed := seedOf(h.id, h.acks.old)
		wrong := randomBytes(40)
		must(t, h.shareAll(func(i, _ byte, values []byte) {
			if i == 1 {
				c := products(seed, [][]byte{wrong})
				copy(values, plus(values, slices.Concat(wrong, c[:])))
			}
		}))
		early := h.acks
		for _, j := range pointsOf(h.roster.New) {
			must(t, h.take(j))
		}
		early.new, h.seed = nil, seed
		signatures, err := h.sealAll(early)
		if err != nil {
			return err
		}
		answers, err := h.answerAll(signatures)
		must(t, err)
		if err := h.voteAll(answers); err != nil {
			return err
		}
		return learnt(combined(t, f.newShares(0), 3), plus(f.payloads[0], wrong))
	})
}

// A dealer is told of a K' of 2 where all others know of 3: two new holders then
// have its share, and with it two old ones the secret.
func TestMoveWithAnotherThreshold(t *testing.T) {
	unbound := func(r *rules) {
		r.moved = func(batch digest, p record.Proposal) digest { p.Threshold = 0; return movedOf(batch, p) }
	}
	attack(t, unbound, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, shortSecret).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		const victim = 3
		h.roster.Members[victim-1] = h.open(victim, 2)
		h.id = sessionOf(h.batch, h.roster)
		if err := h.dealMasks(); err != nil {
			return err
		}
		var dealt [][]byte
		for _, j := range []byte{1, 2} {
			sealed, err := h.share(victim, j)
			must(t, err)
			values, err := openShare(h.session(Party{true, j}).private, h.key(Party{X: victim}), h.id, victim, j, sealed)
			must(t, err)
			dealt = append(dealt, append([]byte{j}, values...))
		}
		weighted := secretOf(t, dealt...)[:shortSecret]
		weights, err := shamir.Weights([]byte{1, 2, 3}, 0)
		must(t, err)
		secret := weighted
		for n, x := range []byte{1, 2} {
			y := f.nodes[x].held[f.batch.records[0].Hash].share[1:]
			secret = plus(secret, shamir.WeightedSum(weights[n:n+1], [][]byte{y}))
		}
		return learnt(secret, f.payloads[0])
	})
}

// Any K values lie on an A: a wrong share of a dealer makes another secret.
func TestMoveByNoMoreThanK(t *testing.T) {
	attack(t, func(r *rules) { r.enough = func(n, k int) bool { return n >= k } }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(3), upTo(5))
		h.session(Party{X: 2}).shares[0][1] ^= 1
		if err := h.deal(nil); err != nil {
			return err
		}
		answers, err := h.answered()
		must(t, err)
		must(t, h.voteAll(answers))
		if slices.Equal(combined(t, f.newShares(0), 3), f.payloads[0]) {
			return errNotLearnt
		}
		return nil
	})
}

// Any K' values lie on a C: of what a dealer dealt to no more there is no check,
// and one loss more loses the secret.
func TestMoveToFewerThanAQuorum(t *testing.T) {
	attack(t, func(r *rules) { r.quorum = func(p record.Proposal) int { return p.Threshold } }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(3))
		if err := h.deal(nil); err != nil {
			return err
		}
		answers, err := h.answered()
		must(t, err)
		return h.voteAll(answers)
	})
}

// A coordinator tells voters what all would have answered, had its dealer dealt
// what it should.
func TestMoveOfAnswersAltered(t *testing.T) {
	attack(t, func(r *rules) { r.own = func(ed25519.PublicKey, []byte, []byte) bool { return true } }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(plusOne))
		answers, err := h.answered()
		must(t, err)
		wrong := make([]byte, 40)
		wrong[0] = 1
		c := products(h.seed, [][]byte{wrong})
		for n := range answers.new {
			answers.new[n].Columns[0] = plus(answers.new[n].Columns[0], c[:])
		}
		if err := h.voteAll(answers); err != nil {
			return err
		}
		return learnt(combined(t, f.newShares(0), 3), plus(f.payloads[0], wrong))
	})
}

// A holder votes once in a session, whatever comes of it.
func TestMoveVotedTwice(t *testing.T) {
	attack(t, func(r *rules) { r.spend = func(*session) {} }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		f.setRules(r)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(nil))
		answers, err := h.answered()
		must(t, err)
		must(t, h.voteAll(answers))
		return h.voteAll(answers)
	})
}

// All dealers but one deal points of the old polynomials, in which its own part is
// as good as known unless it draws other ones: then colluders have the secret, and
// else old and new shares do not combine.
func TestMoveOntoOldPolynomials(t *testing.T) {
	known := func(key []byte) (int, error) { return len(key), nil }
	attack(t, func(r *rules) { r.draw = known }, func(t *testing.T, r rules) error {
		f := newFleet(t, upTo(6), 3, 40).propose(3, upTo(6)...)
		f.setRules(r)
		h := f.byHand(upTo(6), upTo(6))
		held := func(x byte) []byte { return f.nodes[x].held[f.batch.records[0].Hash].share }
		at0, err := shamir.Weights(h.roster.Dealers, 0)
		must(t, err)
		must(t, h.deal(func(i, j byte, values []byte) {
			if i < 3 && j > 3 {
				weights, err := shamir.Weights(h.roster.Dealers, j)
				must(t, err)
				copy(values, shamir.WeightedSum(weights[i-1:i], [][]byte{held(i)[1:]}))
			}
		}))
		zeros := make([]byte, 40+rows)
		own, err := shamir.ShareAt(&[shamir.KeySize]byte{}, zeros, 3, 4)
		must(t, err)
		secret := plus(h.session(Party{true, 4}).taken[2], own[1:])[:40]
		for n, x := range []byte{1, 2} {
			secret = plus(secret, shamir.WeightedSum(at0[n:n+1], [][]byte{held(x)[1:]}))
		}
		mixed := secretOf(t, held(1), held(2), h.sumOf(4))
		if slices.Equal(mixed, f.payloads[0]) {
			return nil
		}
		return learnt(secret, f.payloads[0])
	})
}

// Two redistributions of the same records to the same points: neither split nor
// shares are of one sharing.
func TestMovesDoNotMix(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	first, err := f.redistribute()
	must(t, err)
	shares := f.newShares(0)
	second, err := f.redistribute()
	must(t, err)
	again := f.newShares(0)
	splits := map[string]bool{f.batch.records[0].Split: true}
	for _, result := range []Result{first, second} {
		r, err := record.Parse(result.Chains[0])
		must(t, err)
		splits[r.Split] = true
	}
	if len(splits) != 3 || first.Seed == second.Seed || first.Session == second.Session {
		t.Errorf("%d splits", len(splits))
	}
	for x := range byte(3) {
		mixed := [][]byte{shares[1], shares[2], shares[3]}
		mixed[x] = again[x+1]
		if slices.Equal(secretOf(t, mixed...), f.payloads[0]) {
			t.Errorf("with that of point %d of the other they make the payload", x+1)
		}
	}
}
