package check

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// moveLiar is one party that is wrong. Its random numbers are its own, as calls for
// one party never overlap.
type moveLiar struct {
	f      *fleet
	p      Party
	random *rand.Rand
	do     func(l *moveLiar, step Step, request, answer any) error
}

// publish changes an answer and signs it.
func (l *moveLiar) publish(request, answer any, change func(a *AnswerAnswer)) error {
	a, ok := answer.(*AnswerAnswer)
	if !ok {
		return nil
	}
	s := sessionAt(l.f.nodes[l.p.X].holder, request.(AnswerRequest).Key)
	change(a)
	l.f.sign(s, s.seed, l.p, a)
	return nil
}

func (l *moveLiar) deals(step Step, request, answer any, change func(j byte, values []byte)) error {
	if step != StepShare {
		return nil
	}
	return l.f.dealShares(l.p.X, func(_, j byte, values []byte) { change(j, values) })(l.p, step, request, answer)
}

var ofBoth = map[string]func(l *moveLiar, step Step, request, answer any) error{
	"denies all dealings": func(l *moveLiar, _ Step, request, answer any) error {
		return l.publish(request, answer, func(a *AnswerAnswer) {
			for _, c := range a.Columns {
				c[3] ^= 1
			}
		})
	},
	"denies one dealing": func(l *moveLiar, _ Step, request, answer any) error {
		return l.publish(request, answer, func(a *AnswerAnswer) { a.Columns[l.random.IntN(len(a.Columns))][0] ^= 1 })
	},
	"says that nothing opens": func(_ *moveLiar, step Step, request, answer any) error {
		switch q := request.(type) {
		case ReceiveRequest:
			*answer.(*ReceiveAnswer) = ReceiveAnswer{Unopened: q.Roster.Dealers}
		case TakeRequest:
			if a := answer.(*ReceiveAnswer); a.Random != nil {
				*a = ReceiveAnswer{Unopened: []byte{q.Dealer}}
			}
		}
		return nil
	},
	"goes silent": func(l *moveLiar, _ Step, _, _ any) error {
		if l.random.IntN(5) == 0 {
			return errors.New("gone")
		}
		return nil
	},
	"does not sign": func(_ *moveLiar, _ Step, _, answer any) error {
		setAnswer(answer, func(a *AnswerAnswer) { a.Signature[5] ^= 1 })
		return nil
	},
	"votes for something else": func(_ *moveLiar, _ Step, _, answer any) error {
		set(answer, func(a *VoteAnswer) { a.Votes[0].Signature[5] ^= 1 })
		return nil
	},
}

var ofOld = map[string]func(l *moveLiar, step Step, request, answer any) error{
	"publishes noise": func(l *moveLiar, _ Step, request, answer any) error {
		return l.publish(request, answer, func(a *AnswerAnswer) { a.Shares = randomBytes(rows) })
	},
	"deals noise": func(l *moveLiar, step Step, request, answer any) error {
		return l.deals(step, request, answer, func(_ byte, values []byte) { copy(values, randomBytes(len(values))) })
	},
	"deals noise to one": func(l *moveLiar, step Step, request, answer any) error {
		return l.deals(step, request, answer, func(j byte, values []byte) {
			if j == l.f.proposal.Holders[0].X {
				values[0] ^= 1
			}
		})
	},
	"deals another secret": func(l *moveLiar, step Step, request, answer any) error {
		return l.deals(step, request, answer, func(_ byte, values []byte) { values[0] ^= 9 })
	},
	"deals a degree too high": func(l *moveLiar, step Step, request, answer any) error {
		return l.deals(step, request, answer, func(j byte, values []byte) {
			power := byte(1)
			for range l.f.proposal.Threshold {
				power = times(power, j)
			}
			values[0] ^= power
		})
	},
	"seals nonsense": func(_ *moveLiar, _ Step, _, answer any) error {
		set(answer, func(a *ShareAnswer) { a.Sealed = randomBytes(len(a.Sealed)) })
		return nil
	},
	"shares too little": func(_ *moveLiar, _ Step, _, answer any) error {
		set(answer, func(a *ShareAnswer) { a.Sealed = a.Sealed[1:] })
		return nil
	},
}

// plot makes some parties of one side liars.
func plot(t *rapid.T, f *fleet, isNew bool, xs []byte, most int, liars map[Party]*moveLiar) {
	misdeeds := []string{}
	for name := range ofBoth {
		misdeeds = append(misdeeds, name)
	}
	for name := range ofOld {
		if !isNew {
			misdeeds = append(misdeeds, name)
		}
	}
	slices.Sort(misdeeds)
	count := rapid.IntRange(0, most).Draw(t, fmt.Sprint("liars, new ", isNew))
	for _, x := range rapid.Permutation(xs).Draw(t, "who")[:count] {
		name := rapid.SampledFrom(misdeeds).Draw(t, fmt.Sprint("what ", x))
		do := ofBoth[name]
		if do == nil {
			do = ofOld[name]
		}
		p := Party{isNew, x}
		liars[p] = &moveLiar{f, p, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), do}
	}
}

// Whatever up to the bounds of both sides do together: no honest party is named or
// left out as wrong, in each pair is a liar, and what is certified makes the
// payload from any K' honest shares.
func TestMoveAmongLiars(t *testing.T) {
	done, failed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 9).Draw(t, "n")
		k := rapid.IntRange(2, n-1).Draw(t, "K")
		next := rapid.IntRange(3, 9).Draw(t, "n'")
		most := rapid.IntRange(2, next-1).Draw(t, "K'")
		points := rapid.SliceOfNDistinct(rapid.ByteRange(1, 20), next, next, rapid.ID).Draw(t, "points")
		slices.Sort(points)
		f := newFleet(t, upTo(n), k, 20, 3).propose(most, points...)
		liars := map[Party]*moveLiar{}
		plot(t, f, false, upTo(n), boundOf(n, k), liars)
		plot(t, f, true, points, boundOf(next, most), liars)
		f.tamper = func(p Party, step Step, request, answer any) error {
			if l := liars[p]; l != nil {
				return l.do(l, step, request, answer)
			}
			return nil
		}
		result, err := f.redistribute()
		for n, v := range []Verdict{result.Verdict, result.New} {
			for _, x := range slices.Concat(v.Wrong, v.Named, absentOf(v)) {
				if liars[Party{n == 1, x}] == nil {
					t.Fatalf("%v is honest: %+v", Party{n == 1, x}, result)
				}
			}
			for _, p := range v.Pairs {
				if liars[Party{X: p.Dealer}] == nil && liars[Party{n == 1, p.Holder}] == nil {
					t.Fatalf("both of %v are honest: %+v", p, result)
				}
			}
		}
		if err != nil {
			tooFew, undecided := errors.Is(err, ErrTooFew), errors.Is(err, ErrUndecided)
			if len(liars) == 0 || !tooFew && !undecided {
				t.Fatalf("%d liars: %v, %+v", len(liars), err, result)
			}
			failed++
			return
		}
		done++
		shares := f.newShares(0)
		for p := range liars {
			if p.New {
				delete(shares, p.X)
			}
		}
		if got := combined(t, shares, most); !slices.Equal(got, f.payloads[0]) {
			t.Fatalf("%d honest shares make another payload: %+v", len(shares), result)
		}
	})
	if done == 0 {
		t.Error("none came to an end")
	}
	t.Logf("%d came to an end, of %d too few were left", done, failed)
}
