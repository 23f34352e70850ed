package check

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/vault-guardian/guardian/record"
)

// elect collects the votes of all who took part: first of the new holders, as
// without their shares there is nothing to agree to. A vote that does not hold is
// as none.
func (a *attempt) elect(ctx context.Context, result *Result) error {
	next, bodies, err := nextOf(a.Batch, a.seed)
	if err != nil {
		return err
	}
	votes := make([]sides[record.Vote], len(next)) // agreed, prepared
	if err := a.votes(ctx, StepPrepare, partiesOf(true, pointsOf(a.roster.New)), next, votes); err != nil {
		return err
	}
	result.New.Sound = votersOf(votes[0].new)
	if prepared := len(votes[0].new); prepared < a.next.quorum {
		return fmt.Errorf("%w: %d prepared for %d", ErrTooFew, prepared, a.next.quorum)
	}
	if err := a.votes(ctx, StepAgree, partiesOf(false, a.xs), next, votes); err != nil {
		return err
	}
	if agreed := len(votes[0].old); agreed <= a.k {
		return fmt.Errorf("%w: %d agreed for K=%d", ErrTooFew, agreed, a.k)
	}
	return a.certify(bodies, votes, result)
}

// votes asks some to vote, and adds those votes that hold.
func (a *attempt) votes(ctx context.Context, step Step, voters []Party, next []*record.Record, votes []sides[record.Vote]) error {
	err := ask(ctx, a, voters, step,
		func(n int) VoteRequest {
			return VoteRequest{a.roster.keyFor(voters[n]), a.answers.old, a.answers.new}
		},
		func(n int, answer VoteAnswer) error {
			p := voters[n]
			if !a.holds(p, next, answer) {
				return fmt.Errorf("%w: not a vote for each record", ErrMalformed)
			}
			for i, v := range answer.Votes {
				vote := record.Vote{X: p.X, Signature: v.Signature}
				copy(vote.Share[:], v.Share)
				votes[i].add(p, vote)
			}
			return nil
		})
	if err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// holds tells whether a party signed a vote for every generation.
func (a *attempt) holds(p Party, next []*record.Record, answer VoteAnswer) bool {
	if len(answer.Votes) != len(next) {
		return false
	}
	hash := 0
	if p.New {
		hash = sha256.Size
	}
	key, _ := a.Batch.keyFor(p)
	for n, v := range answer.Votes {
		if len(v.Share) != hash || !ed25519.Verify(key, voteMessage(p, next[n].Hash, a.seed, v.Share), v.Signature) {
			return false
		}
	}
	return true
}

// certify makes the certificates, and lets nothing pass that package record would
// not accept.
func (a *attempt) certify(bodies [][]byte, votes []sides[record.Vote], result *Result) error {
	for n, body := range bodies {
		certificate := record.Certificate{Seed: a.seed, Agreed: votes[n].old, Prepared: votes[n].new}
		chain, err := record.Extend(a.Chains[n], body, certificate)
		if err != nil {
			return fmt.Errorf("certifying record %d of the batch: %w", n, err)
		}
		result.Bodies = append(result.Bodies, body)
		result.Certificates = append(result.Certificates, certificate)
		result.Chains = append(result.Chains, chain)
	}
	return nil
}

func votersOf(votes []record.Vote) (xs []byte) {
	for _, v := range votes {
		xs = append(xs, v.X)
	}
	return xs
}
