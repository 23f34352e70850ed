package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
)

// Call sends a request of a step to a party and decodes its answer. From an open
// or join to the last step all calls for one party must reach the same replica.
// It is called from many goroutines, but never twice at once for one party.
type Call func(ctx context.Context, to Party, step Step, request, answer any) error

// Params is what is to be checked.
type Params struct {
	Batch *Batch
	// Proposal is where a redistribution moves the batch, and Chains are those of
	// its records, in order; nil in an audit.
	Proposal *record.Proposal
	Chains   [][]byte
	// Participants are points in ascending order, more than K; all who have a
	// key when nil.
	Participants []byte
	// Timeout is for each call; 0 is 20 s, in a redistribution 2 minutes.
	Timeout time.Duration
	// Attempts bounds how often all starts again; 0 is 16.
	Attempts int
	// Parallel bounds the calls at once; 0 is 16.
	Parallel int
}

// Absent is a holder that did not take part to the end.
type Absent struct {
	X byte
	// Err is why: what its call came to, or what was wrong with its answer.
	Err error
	// Lacking are the places in the batch of which it has no sound share for the
	// coordinator, if that was why.
	Lacking []int
}

// Verdict says how the shares of a batch stand. That who is named is wrong and
// who is sound is right holds while at most Bound of the N are wrong. All points
// are in ascending order.
type Verdict struct {
	// N took part to the end or were named before it.
	N, K, Bound int
	// Sound holders proved shares that lie on polynomials of degree K-1.
	Sound []byte
	// Wrong holders published what does not fit a right share of every record of
	// the batch.
	Wrong []byte
	// Named holders dealt masks that are none, or denied sound ones. Of their
	// shares nothing is known.
	Named []byte
	// Pairs accuse each other and cannot be told apart by what was seen. They may
	// be among the sound.
	Pairs []Pair
	// Apart holders were left out of the last attempt as they are in a pair. Of
	// their shares nothing is known.
	Apart  []byte
	Absent []Absent
	// Attempts were begun.
	Attempts int
}

// Run checks a batch as coordinator, and is a function of what the calls come
// to: they may end in any order. Whoever is silent, refuses or answers
// nonsense is left out, and all starts again with new masks.
//
// Errors: [ErrTooFew] when no more than K take part, [ErrUndecided] when more
// than the bound are wrong, [ErrAttempts] when none came to an end, and the
// context's. With each but the last the Verdict tells what is known, and names
// nobody.
func Run(ctx context.Context, p Params, call Call) (Verdict, error) {
	c, err := newCoordinator(p, call)
	if err != nil {
		return Verdict{}, err
	}
	return c.run(ctx)
}

// coordinator is one Run, in one goroutine.
type coordinator struct {
	Params
	call    Call
	rules   rules
	k       int
	present []byte // all but the absent
	absent  []Absent
	blame   *blame
	keys    map[Party][]byte // E of the latest session of each
	begun   int
	next    *newSide // of a redistribution
	last    *attempt
}

func newCoordinator(p Params, call Call) (*coordinator, error) {
	if p.Participants == nil {
		p.Participants = p.Batch.Holders()
	}
	c := &coordinator{call: call, rules: pageRules, k: p.Batch.Threshold(), keys: map[Party][]byte{}}
	if err := c.rules.checkParticipants(p.Batch, p.Participants); err != nil {
		return nil, err
	}
	p.Timeout = orDefault(p.Timeout, 20*time.Second)
	p.Attempts = orDefault(p.Attempts, 16)
	p.Parallel = orDefault(p.Parallel, 16)
	c.Params, c.present, c.blame = p, slices.Clone(p.Participants), newBlame(c.k)
	return c, nil
}

func orDefault[T time.Duration | int](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// errAgain says that an attempt came to no end and the next may.
var errAgain = errors.New("an attempt came to no end")

func (c *coordinator) run(ctx context.Context) (Verdict, error) {
	for c.begun < c.Attempts {
		c.begun++
		wrong, err := c.attempt(ctx)
		switch {
		case err == nil:
			return c.verdict(wrong), nil
		case !errors.Is(err, errAgain):
			return c.unnamed(), err
		}
	}
	return c.unnamed(), fmt.Errorf("%w: of %d", ErrAttempts, c.begun)
}

// attempt runs one session, and returns whose shares are wrong.
func (c *coordinator) attempt(ctx context.Context) (wrong []byte, err error) {
	c.last = &attempt{coordinator: c}
	if err := c.last.open(ctx); err != nil {
		return nil, err
	}
	f, err := c.last.rest(ctx)
	if err != nil {
		return nil, err
	}
	if c.next != nil {
		return nil, c.weighMove(f)
	}
	return f.wrong, c.weigh(f)
}

// weigh returns nil when an attempt is the last. In the second half of the
// attempts who is in a pair is left out: liars who take turns would go on for
// as many attempts as there are pairs.
func (c *coordinator) weigh(f finding) error {
	accuses := len(f.bad) > 0 || len(f.pairs) > 0
	if accuses {
		c.blame.learn(f)
		c.blame.settle(c.present)
		if c.late() {
			c.blame.separate(c.present)
		}
	}
	if c.blame.beyond(c.present, f.wrong) {
		return fmt.Errorf("%w: n=%d, K=%d", ErrUndecided, len(c.present), c.k)
	}
	if accuses {
		return errAgain
	}
	return nil
}

func (c *coordinator) late() bool { return 2*c.begun >= c.Attempts }

// leaveOut counts a party as absent from now on.
func (c *coordinator) leaveOut(p Party, absent Absent) {
	present, out := &c.present, &c.absent
	if p.New {
		present, out = &c.next.present, &c.next.absent
	}
	*present = slices.DeleteFunc(*present, func(x byte) bool { return x == p.X })
	*out = append(*out, absent)
}

func (c *coordinator) verdict(wrong []byte) Verdict {
	v := c.unnamed()
	v.Wrong, v.Named = wrong, sorted(c.blame.named)
	if c.next != nil {
		v.Wrong = sorted(c.next.wrong)
		v.Named = slices.DeleteFunc(v.Named, func(x byte) bool { return c.next.wrong[x] })
	}
	v.Pairs = c.blame.open(c.present)
	v.Apart = slices.DeleteFunc(sorted(c.blame.apart), func(x byte) bool {
		return c.blame.named[x] || !slices.Contains(c.present, x)
	})
	v.Sound = slices.DeleteFunc(c.blame.participants(c.present), func(x byte) bool { return slices.Contains(wrong, x) })
	return v
}

// unnamed is all that can be said where there is no verdict.
func (c *coordinator) unnamed() Verdict {
	n := len(c.present)
	return Verdict{N: n, K: c.k, Bound: max(0, boundOf(n, c.k)), Absent: inOrder(c.absent), Attempts: c.begun}
}

func inOrder(absent []Absent) []Absent {
	slices.SortFunc(absent, func(a, b Absent) int { return int(a.X) - int(b.X) })
	return absent
}
