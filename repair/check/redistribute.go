package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
)

// Result is what a redistribution came to. The Verdict is about the old holders:
// none is sound unless the answers were judged.
type Result struct {
	Verdict
	// New is about the new holders: Sound ones voted that they have their shares.
	// In its Pairs the dealer is an old holder.
	New           Verdict
	Session, Seed [32]byte
	// By generation, in the order of the batch: the bodies of the new records,
	// their certificates, and the chains that these make.
	Bodies       [][]byte
	Certificates []record.Certificate
	Chains       [][]byte
}

// Redistribute moves a batch as its coordinator, and like [Run] is a function of
// what the calls come to. Old holders that are named, or whose shares are wrong,
// are left out, and so are new ones; then all starts again. When all answers are
// sound it calls begin, and asks for votes only if that returns nil. Nothing
// starts again after that. It changes nothing itself: the certificates are for
// the caller to show to all holders.
//
// Calls at once carry at most 4 shares of the batch.
//
// Errors: those of Run, [ErrBatch], [record.ErrProposal] and that of begin.
// [ErrTooFew] is also for fewer new holders, or votes, than the certificate
// needs.
func Redistribute(ctx context.Context, p Params, begin func(seed [32]byte) error, call Call) (Result, error) {
	c, err := newMover(p, call)
	if err != nil {
		return Result{}, err
	}
	return c.redistribute(ctx, begin)
}

// newSide is what the coordinator knows of the new holders.
type newSide struct {
	quorum  int
	present []byte // all but the absent
	absent  []Absent
	passage *passage
	// wrong old holders were left out as their shares do not fit.
	wrong map[byte]bool
}

func newMover(p Params, call Call) (*coordinator, error) {
	if p.Proposal == nil || len(p.Chains) != len(p.Batch.records) || sizeOf(p.Chains) > MaxChains {
		return nil, fmt.Errorf("%w: without a proposal, or its chains", ErrBatch)
	}
	p.Timeout = orDefault(p.Timeout, 2*time.Minute)
	c, err := newCoordinator(p, call)
	if err != nil {
		return nil, err
	}
	if c.Batch, err = c.rules.moving(p.Batch, *p.Proposal); err != nil {
		return nil, err
	}
	c.next = &newSide{
		quorum: c.rules.quorum(*p.Proposal), present: c.Batch.targets(),
		passage: newPassage(c.blame, p.Proposal.Threshold), wrong: map[byte]bool{},
	}
	return c, nil
}

func (c *coordinator) redistribute(ctx context.Context, begin func(seed [32]byte) error) (Result, error) {
	v, err := c.run(ctx)
	if err != nil {
		return Result{Verdict: v, New: c.unnamedNew()}, err
	}
	result := Result{Verdict: v, New: c.verdictNew(), Session: c.last.id, Seed: c.last.seed}
	if err := begin(c.last.seed); err != nil {
		return result, fmt.Errorf("beginning to vote: %w", err)
	}
	err = c.last.elect(ctx, &result)
	result.Absent, result.New.Absent = inOrder(c.absent), inOrder(c.next.absent)
	return result, err
}

// proposal is nil in an audit.
func (c *coordinator) proposal() *ProposalMessage {
	if c.next == nil {
		return nil
	}
	return messageOf(*c.Batch.proposal)
}

// join asks the new holders who are left for their keys.
func (a *attempt) join(ctx context.Context) error {
	asked := a.next.passage.participants(a.next.present)
	if err := a.next.enough(asked); err != nil {
		return err
	}
	var err error
	a.roster.New, err = openAt(ctx, a, partiesOf(true, asked), StepJoin, func(n int) JoinRequest {
		return JoinRequest{a.Chains, *a.proposal(), a.keys[Party{true, asked[n]}]}
	})
	if err != nil {
		return err
	}
	return a.next.enough(pointsOf(a.roster.New))
}

func (n *newSide) enough(xs []byte) error {
	if len(xs) < n.quorum {
		return fmt.Errorf("%w: %d new ones for %d", ErrTooFew, len(xs), n.quorum)
	}
	return nil
}

// weighMove is weigh for a redistribution, which goes on only when nobody who
// takes part is wrong.
func (c *coordinator) weighMove(f finding) error {
	if !f.any() {
		return nil
	}
	for _, x := range f.wrong {
		c.next.wrong[x] = true
	}
	f.bad = append(f.bad, f.wrong...)
	passage := c.next.passage
	passage.learn(f, c.present, c.next.present)
	if c.late() {
		passage.separate(c.present, c.next.present)
	}
	if passage.beyond(c.present, c.next.present) {
		return fmt.Errorf("%w: n=%d, K=%d, n'=%d, K'=%d", ErrUndecided,
			len(c.present), c.k, len(c.next.present), passage.k)
	}
	return errAgain
}

func (c *coordinator) verdictNew() Verdict {
	v, passage := c.unnamedNew(), c.next.passage
	v.Named = sorted(passage.named)
	v.Pairs = passage.open(c.present, c.next.present)
	v.Apart = slices.DeleteFunc(sorted(passage.apart), func(x byte) bool {
		return passage.named[x] || !slices.Contains(c.next.present, x)
	})
	return v
}

// unnamedNew is all that can be said where there is no verdict.
func (c *coordinator) unnamedNew() Verdict {
	n, k := len(c.next.present), c.next.passage.k
	return Verdict{N: n, K: k, Bound: max(0, boundOf(n, k)), Absent: inOrder(c.next.absent), Attempts: c.begun}
}
