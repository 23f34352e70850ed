package check

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// attempt is one session as its coordinator sees it. All slices by member are
// in the order of xs.
type attempt struct {
	*coordinator
	xs      []byte
	roster  Roster
	id      digest
	forX    [][][]byte // what each dealer sealed, by member
	acks    sides[Ack]
	seed    digest
	answers sides[AnswerAnswer]
}

// open asks all who are left for their keys; who has none drops out at once, as
// nothing was begun.
func (a *attempt) open(ctx context.Context) error {
	asked, batch := a.blame.participants(a.present), a.Batch.refs()
	if err := a.enough(asked); err != nil {
		return err
	}
	members, err := openAt(ctx, a, partiesOf(false, asked), StepOpen, func(n int) OpenRequest {
		return OpenRequest{Batch: batch, Participants: asked, Replaces: a.keys[Party{X: asked[n]}], Proposal: a.proposal()}
	})
	if err != nil {
		return err
	}
	a.roster.Members = members
	a.xs = a.roster.points()
	if err := a.enough(a.xs); err != nil {
		return err
	}
	if a.next != nil {
		if err := a.join(ctx); err != nil {
			return err
		}
	}
	a.roster.Dealers = a.blame.dealers(a.xs)
	a.id = sessionOf(a.Batch, a.roster)
	return nil
}

// openAt returns those who have a key, in order.
func openAt[Q any](ctx context.Context, a *attempt, asked []Party, step Step, request func(n int) Q) (members []Member, err error) {
	err = ask(ctx, a, asked, step, request,
		func(n int, answer OpenAnswer) error {
			p := asked[n]
			if len(answer.Lacking) > 0 {
				return lacking(answer.Lacking, len(a.Batch.records))
			}
			if !checkKey(a.Batch, p, answer.Key, answer.Signature) || !usable(answer.Key) {
				return fmt.Errorf("%w: not a key, or one that it has not signed", ErrMalformed)
			}
			members = append(members, Member{p.X, answer.Key, answer.Signature})
			a.keys[p] = answer.Key
			return nil
		})
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	return members, nil
}

// enough wants more than K. Where some are left out because of what others say,
// too few to go on means that too many are wrong.
func (a *attempt) enough(xs []byte) error {
	switch {
	case len(xs) > a.k:
		return nil
	case len(a.present) > a.k:
		return fmt.Errorf("%w: n=%d, K=%d", ErrUndecided, len(a.present), a.k)
	}
	return fmt.Errorf("%w: %d for K=%d", ErrTooFew, len(xs), a.k)
}

// rest is all after the first step. It ends early when dealings do not open.
func (a *attempt) rest(ctx context.Context) (finding, error) {
	if err := a.deal(ctx); err != nil {
		return finding{}, err
	}
	pairs, err := a.receive(ctx)
	if err != nil || len(pairs) > 0 {
		return finding{pairs: pairs}, err
	}
	if a.next != nil {
		crossing, err := a.relay(ctx)
		if err != nil || len(crossing) > 0 {
			return finding{crossing: crossing}, err
		}
	}
	signatures, err := a.seal(ctx)
	if err != nil {
		return finding{}, err
	}
	if err := a.answer(ctx, signatures); err != nil {
		return finding{}, err
	}
	if a.next != nil {
		return a.rules.judgeMove(a.Batch, a.roster, a.answers)
	}
	return a.rules.judge(a.k, a.xs, a.roster.Dealers, a.answers.old)
}

func (a *attempt) deal(ctx context.Context) error {
	a.forX = make([][][]byte, len(a.xs))
	return ask(ctx, a, partiesOf(false, a.roster.Dealers), StepDeal,
		func(n int) DealRequest { return DealRequest{a.roster.keyOf(a.roster.Dealers[n]), a.roster} },
		func(_ int, answer DealAnswer) error {
			if len(answer.Sealed) != len(a.xs) || !allOf(answer.Sealed, sealedSize) {
				return fmt.Errorf("%w: a dealing of another form", ErrMalformed)
			}
			for m := range a.xs {
				a.forX[m] = append(a.forX[m], answer.Sealed[m])
			}
			return nil
		})
}

func (a *attempt) receive(ctx context.Context) (pairs []Pair, err error) {
	err = ask(ctx, a, partiesOf(false, a.xs), StepReceive,
		func(n int) ReceiveRequest { return ReceiveRequest{a.roster.keyOf(a.xs[n]), a.roster, a.forX[n]} },
		func(n int, answer ReceiveAnswer) error {
			unopened, err := a.acknowledged(Party{X: a.xs[n]}, answer, receivedOf(a.id, a.xs[n], a.forX[n]))
			pairs = append(pairs, unopened...)
			return err
		})
	return pairs, err
}

// acknowledged takes in an ack, or whose dealings a party could not open.
func (a *attempt) acknowledged(p Party, answer ReceiveAnswer, want digest) (pairs []Pair, err error) {
	switch {
	case len(answer.Unopened) > 0:
		if !ascending(answer.Unopened) || !contains(a.roster.Dealers, answer.Unopened) {
			return nil, fmt.Errorf("%w: it names others than dealers", ErrMalformed)
		}
		for _, i := range answer.Unopened {
			pairs = append(pairs, Pair{i, p.X})
		}
		return pairs, nil
	case len(answer.Random) != ackSize || !slices.Equal(answer.Received, want[:]):
		return nil, fmt.Errorf("%w: not an ack of what was sent", ErrMalformed)
	}
	a.acks.add(p, Ack{p.X, answer.Random, answer.Received})
	return nil, nil
}

func (a *attempt) seal(ctx context.Context) (signatures sides[Signature], err error) {
	a.seed = seedOf(a.id, a.acks.old, a.acks.new)
	all := a.roster.parties()
	err = ask(ctx, a, all, StepSeal,
		func(n int) SealRequest { return SealRequest{a.roster.keyFor(all[n]), a.acks.old, a.acks.new} },
		func(n int, answer SealAnswer) error {
			key, _ := a.Batch.keyFor(all[n])
			if !ed25519.Verify(key, sealMessageOf(a.id, a.seed, all[n]), answer.Signature) {
				return fmt.Errorf("%w: it has not signed the seed", ErrMalformed)
			}
			signatures.add(all[n], Signature{all[n].X, answer.Signature})
			return nil
		})
	return signatures, err
}

func (a *attempt) answer(ctx context.Context, signatures sides[Signature]) error {
	all := a.roster.parties()
	return ask(ctx, a, all, StepAnswer,
		func(n int) AnswerRequest {
			return AnswerRequest{a.roster.keyFor(all[n]), signatures.old, signatures.new}
		},
		func(n int, answer AnswerAnswer) error {
			if !answer.formed(all[n], a.k) {
				return fmt.Errorf("%w: an answer of another form", ErrMalformed)
			}
			if a.next != nil && !a.rules.answers(a.Batch, a.id, a.seed, all[n], answer) {
				return fmt.Errorf("%w: it has not signed its answer", ErrMalformed)
			}
			a.answers.add(all[n], answer)
			return nil
		})
}

// lacking wants places in the batch, ascending.
func lacking(places []int, size int) error {
	before := -1
	for _, place := range places {
		if place <= before || place >= size {
			return fmt.Errorf("%w: it lacks what the batch has not", ErrMalformed)
		}
		before = place
	}
	return &lackingError{places}
}

// lackingError is an answer that is none for want of shares.
type lackingError struct{ places []int }

func (e *lackingError) Error() string {
	return fmt.Sprintf("it lacks sound shares of %d generations", len(e.places))
}

// ask calls some parties side by side and then, in their order, takes in what
// they answered. Who fails in either is left out; errAgain says that somebody
// was. When the context has ended nobody is blamed.
func ask[Q, A any](ctx context.Context, a *attempt, parties []Party, step Step, request func(n int) Q, accept func(n int, answer A) error) error {
	answers, errs := make([]A, len(parties)), make([]error, len(parties))
	sideBySide(len(parties), a.Parallel, func(n int) {
		errs[n] = a.callOne(ctx, parties[n], step, request(n), &answers[n])
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("checking shares: %w", err)
	}
	var result error
	for n, p := range parties {
		err := errs[n]
		if err == nil {
			err = accept(n, answers[n])
		}
		if err != nil {
			a.leaveOut(p, absentFor(p.X, step, err))
			result = errAgain
		}
	}
	return result
}

// sideBySide does n things, some at once.
func sideBySide(n, parallel int, do func(n int)) {
	free := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for n := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			do(n)
		})
	}
	all.Wait()
}

func (a *attempt) callOne(ctx context.Context, p Party, step Step, request, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	return a.call(ctx, p, step, request, answer)
}

func absentFor(x byte, step Step, err error) Absent {
	absent := Absent{X: x, Err: fmt.Errorf("asking for %s: %w", step, err)}
	if lacking, ok := errors.AsType[*lackingError](err); ok {
		absent.Lacking = lacking.places
	}
	return absent
}

func allOf(values [][]byte, size int) bool {
	return !slices.ContainsFunc(values, func(v []byte) bool { return len(v) != size })
}

func contains(all, some []byte) bool {
	return !slices.ContainsFunc(some, func(x byte) bool { return !slices.Contains(all, x) })
}
