package check

import (
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/shamir"
)

// judgeMove decodes what both sides of a redistribution published. It says
// something of what was dealt to new holders only where all is well among the
// old ones: then a is on A, of degree K-1, and every dealer's c must be on a
// polynomial of degree K'-1 whose constant is l_i(0) * A(x_i).
//
// A dealer whose c fits none, but for floor((n'-K')/2) points, or one with
// another constant, is wrong. Of a point that is off nobody else can tell whether
// dealer or new holder is.
func (r *rules) judgeMove(b *Batch, roster Roster, answers sides[AnswerAnswer]) (finding, error) {
	xs, news := roster.points(), pointsOf(roster.New)
	f, err := r.judge(b.Threshold(), xs, roster.Dealers, answers.old)
	if err != nil || f.any() {
		return f, err
	}
	weights, err := shamir.Weights(roster.Dealers, 0)
	if err != nil {
		return f, fmt.Errorf("weighing the dealers: %w", err)
	}
	shares := map[byte][]byte{}
	for n, x := range xs {
		shares[x] = answers.old[n].Shares
	}
	for n, i := range roster.Dealers {
		constant, off, err := decode(r.dealt, b.proposal.Threshold, news, answers.new, func(a AnswerAnswer) []byte { return a.Columns[n] })
		want := shamir.WeightedSum(weights[n:n+1], [][]byte{shares[i]})
		switch {
		case errors.Is(err, shamir.ErrUncorrectable), err == nil && !r.constant(constant, want):
			f.bad = append(f.bad, i)
			continue
		case err != nil:
			return f, err
		}
		for _, j := range off {
			f.crossing = append(f.crossing, Pair{i, j})
		}
	}
	return f, nil
}

// any tells whether anybody is or may be wrong.
func (f finding) any() bool {
	return len(f.bad)+len(f.pairs)+len(f.crossing)+len(f.wrong) > 0
}

// checkAnswers wants the answers of all members as they signed them, and nothing
// wrong with any.
func (r *rules) checkAnswers(s *session, q VoteRequest) error {
	answers := sides[AnswerAnswer]{q.Answers, q.New}
	parties := s.roster.parties()
	if len(q.Answers) != len(s.roster.Members) || len(q.New) != len(s.roster.New) {
		return fmt.Errorf("%w: not the answers of all", ErrUnsound)
	}
	for n, answer := range answers.all() {
		if !r.answers(s.batch, s.id, s.seed, parties[n], answer) {
			return fmt.Errorf("%w: %s did not answer this", ErrUnsound, parties[n])
		}
	}
	f, err := r.judgeMove(s.batch, s.roster, answers)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsound, err)
	}
	if f.any() {
		return fmt.Errorf("%w: somebody is wrong", ErrUnsound)
	}
	return nil
}

// answers tells whether a party signed an answer of the right form.
func (r *rules) answers(b *Batch, session, seed digest, p Party, answer AnswerAnswer) bool {
	key, ok := b.keyFor(p)
	return ok && answer.formed(p, b.Threshold()) && r.own(key, answerMessage(session, seed, p, answer), answer.Signature)
}

func (a AnswerAnswer) formed(p Party, k int) bool {
	shares := rows
	if p.New {
		shares = 0
	}
	return len(a.Shares) == shares && len(a.Columns) == k && allOf(a.Columns, rows)
}
