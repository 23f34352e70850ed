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
	xs     []byte
	roster Roster
	id     digest
	forX   [][][]byte // what each dealer sealed, by member
}

// open asks all who are left for their keys; who has none drops out at once, as
// nothing was begun.
func (a *attempt) open(ctx context.Context) error {
	var roster Roster
	asked, batch := a.blame.participants(a.present), a.Batch.names()
	if err := a.enough(asked); err != nil {
		return err
	}
	err := ask(ctx, a, asked, StepOpen,
		func(n int) OpenRequest { return OpenRequest{batch, asked, a.keys[asked[n]]} },
		func(n int, answer OpenAnswer) error {
			x := asked[n]
			if len(answer.Lacking) > 0 {
				return lacking(answer.Lacking, len(batch))
			}
			if !checkKey(a.Batch, x, answer.Key, answer.Signature) || !usable(answer.Key) {
				return fmt.Errorf("%w: not a key, or one that it has not signed", ErrMalformed)
			}
			roster.Members = append(roster.Members, Member{x, answer.Key, answer.Signature})
			a.keys[x] = answer.Key
			return nil
		})
	if err != nil && ctx.Err() != nil {
		return err
	}
	a.xs = roster.points()
	if err := a.enough(a.xs); err != nil {
		return err
	}
	roster.Dealers = a.blame.dealers(a.xs)
	a.roster, a.id = roster, sessionOf(a.Batch, roster)
	return nil
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
	acks, pairs, err := a.receive(ctx)
	if err != nil || len(pairs) > 0 {
		return finding{pairs: pairs}, err
	}
	signatures, err := a.seal(ctx, acks)
	if err != nil {
		return finding{}, err
	}
	answers, err := a.answer(ctx, signatures)
	if err != nil {
		return finding{}, err
	}
	return a.rules.judge(a.k, a.xs, a.roster.Dealers, answers)
}

func (a *attempt) deal(ctx context.Context) error {
	a.forX = make([][][]byte, len(a.xs))
	return ask(ctx, a, a.roster.Dealers, StepDeal,
		func(n int) DealRequest { return DealRequest{a.keys[a.roster.Dealers[n]], a.roster} },
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

func (a *attempt) receive(ctx context.Context) (acks []Ack, pairs []Pair, err error) {
	err = ask(ctx, a, a.xs, StepReceive,
		func(n int) ReceiveRequest { return ReceiveRequest{a.keys[a.xs[n]], a.roster, a.forX[n]} },
		func(n int, answer ReceiveAnswer) error {
			x, received := a.xs[n], receivedOf(a.id, a.xs[n], a.forX[n])
			switch {
			case len(answer.Unopened) > 0:
				if !ascending(answer.Unopened) || !contains(a.roster.Dealers, answer.Unopened) {
					return fmt.Errorf("%w: it names others than dealers", ErrMalformed)
				}
				for _, i := range answer.Unopened {
					pairs = append(pairs, Pair{i, x})
				}
			case len(answer.Random) != ackSize || !slices.Equal(answer.Received, received[:]):
				return fmt.Errorf("%w: not an ack of what was sent", ErrMalformed)
			default:
				acks = append(acks, Ack{x, answer.Random, answer.Received})
			}
			return nil
		})
	return acks, pairs, err
}

func (a *attempt) seal(ctx context.Context, acks []Ack) (signatures []Signature, err error) {
	seed := seedOf(a.id, acks)
	err = ask(ctx, a, a.xs, StepSeal,
		func(n int) SealRequest { return SealRequest{a.keys[a.xs[n]], acks} },
		func(n int, answer SealAnswer) error {
			key, _ := a.Batch.keyAt(a.xs[n])
			if !ed25519.Verify(key, sealMessage(a.id, seed, a.xs[n]), answer.Signature) {
				return fmt.Errorf("%w: it has not signed the seed", ErrMalformed)
			}
			signatures = append(signatures, Signature{a.xs[n], answer.Signature})
			return nil
		})
	return signatures, err
}

func (a *attempt) answer(ctx context.Context, signatures []Signature) (answers []AnswerAnswer, err error) {
	err = ask(ctx, a, a.xs, StepAnswer,
		func(n int) AnswerRequest { return AnswerRequest{a.keys[a.xs[n]], signatures} },
		func(_ int, answer AnswerAnswer) error {
			if len(answer.Shares) != rows || len(answer.Columns) != a.k || !allOf(answer.Columns, rows) {
				return fmt.Errorf("%w: an answer of another form", ErrMalformed)
			}
			answers = append(answers, answer)
			return nil
		})
	return answers, err
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

// ask calls some holders side by side and then, in their order, takes in what
// they answered. Who fails in either is left out; errAgain says that somebody
// was. When the context has ended nobody is blamed.
func ask[Q, A any](ctx context.Context, a *attempt, xs []byte, step Step, request func(n int) Q, accept func(n int, answer A) error) error {
	answers, errs := make([]A, len(xs)), make([]error, len(xs))
	free := make(chan struct{}, a.Parallel)
	var all sync.WaitGroup
	for n := range xs {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, a.Timeout)
			defer cancel()
			errs[n] = a.call(ctx, xs[n], step, request(n), &answers[n])
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("checking shares: %w", err)
	}
	var result error
	for n, x := range xs {
		err := errs[n]
		if err == nil {
			err = accept(n, answers[n])
		}
		if err != nil {
			a.leaveOut(absentFor(x, step, err))
			result = errAgain
		}
	}
	return result
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
