package check

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
)

// maxRelayed is how many new shares a coordinator holds at once.
const maxRelayed = 4

// relayed is a dealer's part of one new share on its way, by places in the
// roster.
type relayed struct {
	dealer, holder int
	first          bool // that the holder takes
	hash           digest
	answer         ReceiveAnswer
	failed         *Party
	step           Step
	err            error
}

// relay carries what each dealer has for each new holder from one to the other.
// In each turn a dealer deals once and a new holder takes once.
func (a *attempt) relay(ctx context.Context) (pairs []Pair, err error) {
	k, n := len(a.roster.Dealers), len(a.roster.New)
	taken := make([][]digest, n)
	for j := range taken {
		taken[j] = make([]digest, k)
	}
	turns := max(k, n)
	for turn := range turns {
		var parts []*relayed
		for i := range k {
			if j := (i + turn) % turns; j < n {
				first := !slices.ContainsFunc(taken[j], func(d digest) bool { return d != digest{} })
				parts = append(parts, &relayed{dealer: i, holder: j, first: first})
			}
		}
		sideBySide(len(parts), min(maxRelayed, a.Parallel), func(n int) { a.carry(ctx, parts[n]) })
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("moving shares: %w", err)
		}
		unopened, err := a.carried(parts, taken)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, unopened...)
	}
	slices.SortFunc(a.acks.new, func(a, b Ack) int { return int(a.X) - int(b.X) })
	return pairs, nil
}

func (a *attempt) carry(ctx context.Context, r *relayed) {
	from, to := Party{X: a.roster.Dealers[r.dealer]}, Party{New: true, X: a.roster.New[r.holder].X}
	var share ShareAnswer
	r.failed, r.step = &from, StepShare
	r.err = a.callOne(ctx, from, StepShare, ShareRequest{a.roster.keyFor(from), to.X}, &share)
	if r.err == nil && len(share.Sealed) != a.Batch.payload()+rows+tagSize {
		r.err = fmt.Errorf("%w: a share of another form", ErrMalformed)
	}
	if r.err != nil {
		return
	}
	r.hash = sha256.Sum256(share.Sealed)
	r.failed, r.step = &to, StepTake
	q := TakeRequest{Key: a.roster.keyFor(to), Dealer: from.X, Sealed: share.Sealed}
	if r.first {
		q.Roster = &a.roster
	}
	r.err = a.callOne(ctx, to, StepTake, q, &r.answer)
}

// carried takes in what became of one turn.
func (a *attempt) carried(parts []*relayed, taken [][]digest) (pairs []Pair, err error) {
	for _, r := range parts {
		if r.err == nil {
			var unopened []Pair
			unopened, r.err = a.tookOne(r, taken[r.holder])
			pairs = append(pairs, unopened...)
		}
		if r.err != nil {
			a.leaveOut(*r.failed, absentFor(r.failed.X, r.step, r.err))
			err = errAgain
		}
	}
	return pairs, err
}

// tookOne wants an ack of whoever has taken all, and of nobody else.
func (a *attempt) tookOne(r *relayed, taken []digest) ([]Pair, error) {
	taken[r.dealer] = r.hash
	if slices.Contains(taken, digest{}) {
		return nil, nil
	}
	x := a.roster.New[r.holder].X
	return a.acknowledged(Party{New: true, X: x}, r.answer, takenOf(a.id, x, taken))
}
