package check

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/shamir"
)

// Every attack here is done twice: without the rule it goes through, with all
// rules it does not. Colluders are K-1 holders, the coordinator among them.
//
// The secret is shorter than the 16 bytes that one answer too many gives away,
// so that success is the secret itself.
const shortSecret = 12

// attack runs one without a rule and with all.
func attack(t *testing.T, without func(r *rules), do func(t *testing.T, r rules) error) {
	t.Helper()
	broken := pageRules
	without(&broken)
	t.Run("without the rule", func(t *testing.T) {
		if err := do(t, broken); err != nil {
			t.Errorf("the attack fails: %v", err)
		}
	})
	t.Run("with all rules", func(t *testing.T) {
		if err := do(t, pageRules); err == nil {
			t.Error("the attack succeeds")
		} else if errors.Is(err, errNotLearnt) {
			t.Log(err)
		} else if !isNamed(err) {
			t.Errorf("it fails for another reason: %v", err)
		}
	})
}

var errNotLearnt = errors.New("what was learnt is not it")

func learnt(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return errNotLearnt
	}
	return nil
}

// Two honest holders each answer once, to another seed: colluders give two acks,
// and all sign two seeds.
func TestTwoSeeds(t *testing.T) {
	attack(t, func(r *rules) { r.seal = func(p phase) bool { return p == received || p == sealed } }, twoSeeds)
}

func twoSeeds(t *testing.T, r rules) error {
	g := newGuardians(t, 5, 3, shortSecret)
	g.setRules(r)
	h := g.byHand(t, g.xs)
	h.receiveAll()
	know := h.knowledge()
	acks := [2][]Ack{h.acks, slices.Clone(h.acks)}
	acks[1][0].Random = randomBytes(ackSize) // a colluder has another
	seeds := [2]digest{seedOf(h.id, acks[0]), seedOf(h.id, acks[1])}
	honest := [2]byte{4, 5}
	var signatures [2][]Signature
	for n := range seeds {
		for _, x := range h.colluders() {
			signatures[n] = append(signatures[n], h.forge(x, seeds[n]))
		}
	}
	signed := map[byte][2]Signature{}
	for _, x := range []byte{3, 4, 5} {
		order := []int{0, 1}
		if x == honest[0] {
			order = []int{1, 0} // the seed sealed last is the one answered
		}
		var both [2]Signature
		for _, n := range order {
			answer, err := h.seal(x, acks[n])
			if err != nil {
				return err
			}
			both[n] = Signature{x, answer.Signature}
		}
		signed[x] = both
	}
	var answers [2]AnswerAnswer
	for n := range seeds {
		for _, x := range []byte{3, 4, 5} {
			signatures[n] = append(signatures[n], signed[x][n])
		}
		var err error
		if answers[n], err = h.answer(honest[n], signatures[n]); err != nil {
			return err
		}
	}
	return learnt(h.secretOfTwoSeeds(know, seeds, honest, answers), g.payloads[0])
}

// Each honest holder seals one seed, not the same, and is shown the signatures
// of the colluders alone.
func TestSignaturesOfFewerThanAll(t *testing.T) {
	attack(t, func(r *rules) { r.allSigned = func(_, _ []byte) bool { return true } }, func(t *testing.T, r rules) error {
		g := newGuardians(t, 5, 3, shortSecret)
		g.setRules(r)
		h := g.byHand(t, g.xs)
		h.receiveAll()
		know := h.knowledge()
		acks := [2][]Ack{h.acks, slices.Clone(h.acks)}
		acks[1][0].Random = randomBytes(ackSize)
		seeds := [2]digest{seedOf(h.id, acks[0]), seedOf(h.id, acks[1])}
		honest := [2]byte{4, 5}
		var answers [2]AnswerAnswer
		for n, x := range honest {
			sealed, err := h.seal(x, acks[n])
			must(t, err)
			signatures := []Signature{h.forge(1, seeds[n]), h.forge(2, seeds[n]), {x, sealed.Signature}}
			if answers[n], err = h.answer(x, signatures); err != nil {
				return err
			}
		}
		return learnt(h.secretOfTwoSeeds(know, seeds, honest, answers), g.payloads[0])
	})
}

// A holder that keeps key and mask shares after its answer is given the same
// dealings again, and acks them with other random bytes: another seed, the same
// masks.
func TestMaskSharesKept(t *testing.T) {
	keeps := func(r *rules) { r.spend = func(s *session) { s.phase = opened } }
	attack(t, keeps, func(t *testing.T, r rules) error {
		g := newGuardians(t, 5, 3, shortSecret)
		g.setRules(r)
		h := g.byHand(t, g.xs)
		h.receiveAll()
		know := h.knowledge()
		var seeds [2]digest
		var answers [2]AnswerAnswer
		for n := range seeds {
			if n == 1 {
				for i, x := range g.xs {
					again, err := h.receive(x)
					if err != nil {
						return err
					}
					h.acks[i] = Ack{x, again.Random, again.Received}
				}
			}
			seeds[n] = seedOf(h.id, h.acks)
			signatures := h.sealAll(h.acks)
			for _, x := range g.xs {
				answer, err := h.answer(x, signatures)
				must(t, err)
				if x == 4 {
					answers[n] = answer
				}
			}
		}
		return learnt(h.secretOfTwoSeeds(know, seeds, [2]byte{4, 4}, answers), g.payloads[0])
	})
}

// With K-1 dealers all can be colluders: they know the masks of everybody.
func TestFewerDealersThanK(t *testing.T) {
	attack(t, func(r *rules) { r.dealers = func(int, []byte, []byte) error { return nil } }, func(t *testing.T, r rules) error {
		g := newGuardians(t, 5, 3, shortSecret)
		g.setRules(r)
		h := g.byHand(t, g.xs, g.xs[:g.k-1]...)
		const victim = 4
		masks := make([]byte, rows)
		for n, i := range h.roster.Dealers {
			answer, err := h.deal(i)
			if err != nil {
				return err
			}
			for m, x := range g.xs {
				h.forX[x] = append(h.forX[x], answer.Sealed[m])
			}
			g.reseal(t, i, victim, h.key(i), h.roster, h.forX[victim][n], func(values []byte) {
				masks = plus(masks, values[:rows])
			})
		}
		h.acks = h.ackOf(g.xs...)
		answer, err := h.answer(victim, h.sealAll(h.acks))
		must(t, err)
		y := solve(rowsOf(seedOf(h.id, h.acks), shortSecret), plus(answer.Shares, masks))
		shares := [][]byte{append([]byte{victim}, y...)}
		for _, x := range h.colluders() {
			shares = append(shares, g.shares[x][string(g.records[0].Hash[:])])
		}
		secret, err := shamir.Combine(shares)
		must(t, err)
		return learnt(secret, g.payloads[0])
	})
}

// A seed that needs no ack of one holder is known before that one is dealt to:
// a dealer fits its second columns to wrong first ones, and the honest holder is
// named.
func TestAcksOfFewerThanAll(t *testing.T) {
	attack(t, func(r *rules) { r.allAcked = func(_, _ []byte) bool { return true } }, func(t *testing.T, r rules) error {
		const dealer, framed = 1, 5
		g := newGuardians(t, 5, 3, 100)
		g.setRules(r)
		h := g.byHand(t, g.xs)
		h.dealAll()
		acks := h.ackOf(1, 2, 3, 4)
		seed := seedOf(h.id, acks)
		h.forX[framed][0] = g.reseal(t, dealer, framed, h.key(dealer), h.roster, h.forX[framed][0], func(values []byte) {
			wrong := make([]byte, columns)
			wrong[3] = 77
			copy(wrong[rows:], columnProducts(seed, wrong))
			copy(values, plus(values, wrong))
		})
		h.ackOf(framed)
		var signatures []Signature
		for _, x := range g.xs {
			answer, err := h.seal(x, acks)
			if err != nil {
				return err
			}
			signatures = append(signatures, Signature{x, answer.Signature})
		}
		var answers []AnswerAnswer
		for _, x := range g.xs {
			answer, err := h.answer(x, signatures)
			must(t, err)
			answers = append(answers, answer)
		}
		f, err := r.judge(g.k, g.xs, h.roster.Dealers, answers)
		must(t, err)
		return learnt(f.wrong, []byte{framed})
	})
}

// Without masks every audit gives 16 equations away, and a payload can hide only
// as many as it has random bytes of its own: its pad of 32. The third audit
// determines the secret beside them.
func TestThirdAudit(t *testing.T) {
	const pad, secret = 32, 8
	audited := func(t *testing.T, r rules, audits int) (g *guardians, equations [][]byte, values []byte) {
		g = newGuardians(t, 5, 3, secret+pad)
		g.setRules(r)
		for range audits {
			seed, at0 := g.audit(t)
			equations = append(equations, rowsOf(seed, secret+pad)...)
			values = append(values, at0...)
		}
		return g, equations, values
	}
	bare := pageRules
	bare.mask = func([]byte, [][]byte) {}
	t.Run("two without masks are within the pad", func(t *testing.T) {
		_, equations, _ := audited(t, bare, 2)
		for i := range equations {
			equations[i] = equations[i][secret:]
		}
		if rank := reduce(equations, pad); rank < pad-1 {
			t.Errorf("the pad has rank %d in the equations", rank)
		}
	})
	attack(t, func(r *rules) { r.mask = bare.mask }, func(t *testing.T, r rules) error {
		g, equations, values := audited(t, r, 3)
		return learnt(solve(equations, values), g.payloads[0])
	})
	t.Run("with masks no equation is of the payload alone", func(t *testing.T) {
		_, equations, _ := audited(t, pageRules, 6)
		var unknown [][]byte // with the masks at 0 as unknowns, six audits of 16
		for i := range equations {
			masks := make([]byte, len(equations))
			masks[i] = 1
			unknown = append(unknown, slices.Concat(masks, equations[i]))
		}
		if rank := reduce(unknown, len(equations)); rank != len(equations) {
			t.Errorf("the masks have rank %d of %d", rank, len(equations))
		}
	})
}

// audit is one by the book; it returns the seed and what the answers come to at
// 0, where the secret lies.
func (g *guardians) audit(t *testing.T) (digest, []byte) {
	t.Helper()
	var points []byte
	var values [][]byte
	h := g.byHand(t, g.xs)
	h.receiveAll()
	seed, signatures := seedOf(h.id, h.acks), h.sealAll(h.acks)
	for _, x := range g.xs {
		answer, err := h.answer(x, signatures)
		must(t, err)
		points, values = append(points, x), append(values, answer.Shares)
	}
	return seed, valueAt0(t, points[:g.k], values[:g.k])
}

// runWith is a Run whose coordinator goes by other rules.
func (g *guardians) runWith(t *testing.T, r rules) (Verdict, error) {
	t.Helper()
	c, err := newCoordinator(Params{Batch: g.batch}, g.call)
	must(t, err)
	c.rules = r
	return c.run(context.Background())
}

// anything takes all answers for right.
func anything([][]byte, int) (shamir.Robust, error) { return shamir.Robust{}, nil }

// A holder that has lost its share publishes noise, and is said to be sound.
func TestLyingPublisher(t *testing.T) {
	attack(t, func(r *rules) { r.shares = anything }, func(t *testing.T, r rules) error {
		g := newGuardians(t, 7, 3, 100)
		g.tamper = func(x byte, _ Step, _, answer any) error {
			if x == 2 {
				setAnswer(answer, func(a *AnswerAnswer) { a.Shares = randomBytes(rows) })
			}
			return nil
		}
		v, err := g.runWith(t, r)
		must(t, err)
		if len(v.Sound) == 7 {
			return nil
		}
		if !slices.Equal(v.Wrong, []byte{2}) || !slices.Equal(v.Sound, []byte{1, 3, 4, 5, 6, 7}) {
			t.Errorf("got %+v", v)
		}
		return errNotLearnt
	})
}

// A dealer deals noise to one honest holder, which then looks as if its share
// were wrong.
func TestNoiseForOne(t *testing.T) {
	attack(t, func(r *rules) { r.columns = anything }, func(t *testing.T, r rules) error {
		g := newGuardians(t, 7, 3, 100)
		g.tamper = g.dealWrong(t, 1, func(x byte, values []byte) {
			if x == 5 {
				copy(values, randomBytes(columns))
			}
		})
		v, err := g.runWith(t, r)
		must(t, err)
		if slices.Contains(v.Wrong, 5) {
			return nil
		}
		if !slices.Equal(v.Sound, g.xs) || !slices.Equal(v.Pairs, []Pair{{1, 5}}) {
			t.Errorf("got %+v", v)
		}
		return errNotLearnt
	})
}

// A dealer's columns have degree K: no masks that hide anything of degree K-1.
// Without the rule all honest holders together seem beyond repair.
func TestDegreeAboveKMinus1(t *testing.T) {
	attack(t, func(r *rules) { r.columns = anything }, func(t *testing.T, r rules) error {
		g := newGuardians(t, 7, 3, 100)
		top := randomBytes(columns)
		g.tamper = g.dealWrong(t, 1, func(x byte, values []byte) {
			power := times(times(x, x), x)
			for n := range values {
				values[n] ^= times(power, top[n])
			}
		})
		v, err := g.runWith(t, r)
		if errors.Is(err, ErrUndecided) {
			return nil
		}
		must(t, err)
		if !slices.Equal(v.Named, []byte{1}) || !slices.Equal(v.Sound, g.xs[1:]) {
			t.Errorf("got %+v", v)
		}
		return errNotLearnt
	})
}

// dealWrong lets a dealer change what it deals to each point.
func (g *guardians) dealWrong(t tester, dealer byte, change func(x byte, values []byte)) func(byte, Step, any, any) error {
	return func(x byte, step Step, request, answer any) error {
		if x != dealer || step != StepDeal {
			return nil
		}
		q, a := request.(DealRequest), answer.(*DealAnswer)
		for n, m := range q.Roster.Members {
			a.Sealed[n] = g.reseal(t, dealer, m.X, q.Key, q.Roster, a.Sealed[n], func(values []byte) { change(m.X, values) })
		}
		return nil
	}
}
