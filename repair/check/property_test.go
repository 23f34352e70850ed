package check

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// misdeed is one way to be wrong. It may be called for several holders at once.
type misdeed struct {
	name string
	// never sound: no verdict may call such a holder sound.
	neverSound bool
	do         func(l *liar, step Step, request, answer any) error
}

var misdeeds = []misdeed{
	{"publishes noise", true, publishNoise},
	{"publishes one wrong byte", true, func(l *liar, _ Step, _, answer any) error {
		setAnswer(answer, func(a *AnswerAnswer) { a.Shares[l.random.IntN(rows)] ^= 0x80 })
		return nil
	}},
	{"denies all dealings", true, denyAll},
	{"denies one dealing", false, func(l *liar, _ Step, _, answer any) error {
		setAnswer(answer, func(a *AnswerAnswer) { a.Columns[l.random.IntN(len(a.Columns))][0] ^= 1 })
		return nil
	}},
	{"denies and publishes noise", true, func(l *liar, step Step, request, answer any) error {
		return errors.Join(denyAll(l, step, request, answer), publishNoise(l, step, request, answer))
	}},
	{"says that nothing opens", true, func(_ *liar, step Step, request, answer any) error {
		if step == StepReceive {
			*answer.(*ReceiveAnswer) = ReceiveAnswer{Unopened: request.(ReceiveRequest).Roster.Dealers}
		}
		return nil
	}},
	{"deals noise", false, func(l *liar, step Step, request, answer any) error {
		return l.g.dealWrong(l.t, l.x, func(_ byte, values []byte) { copy(values, randomBytes(columns)) })(l.x, step, request, answer)
	}},
	{"deals noise to one", false, func(l *liar, step Step, request, answer any) error {
		to := l.g.xs[l.random.IntN(len(l.g.xs))]
		return l.g.dealWrong(l.t, l.x, func(x byte, values []byte) {
			if x == to {
				values[5] ^= 1
			}
		})(l.x, step, request, answer)
	}},
	{"deals a degree too high", false, func(l *liar, step Step, request, answer any) error {
		return l.g.dealWrong(l.t, l.x, func(x byte, values []byte) {
			power := x
			for range l.g.k - 1 {
				power = times(power, x)
			}
			values[2] ^= power
		})(l.x, step, request, answer)
	}},
	{"seals nonsense to some", false, func(l *liar, _ Step, _, answer any) error {
		setDeal(answer, func(d *DealAnswer) {
			for range 1 + l.random.IntN(len(d.Sealed)) {
				d.Sealed[l.random.IntN(len(d.Sealed))] = randomBytes(sealedSize)
			}
		})
		return nil
	}},
	{"goes silent", false, func(l *liar, _ Step, _, _ any) error {
		if l.random.IntN(4) == 0 {
			return errors.New("gone")
		}
		return nil
	}},
}

func publishNoise(_ *liar, _ Step, _, answer any) error {
	setAnswer(answer, func(a *AnswerAnswer) { a.Shares = randomBytes(rows) })
	return nil
}

func denyAll(_ *liar, _ Step, _, answer any) error {
	setAnswer(answer, func(a *AnswerAnswer) {
		for _, column := range a.Columns {
			column[rows-1] ^= 3
		}
	})
	return nil
}

// liar is one holder that is wrong. Its random numbers are its own, as calls
// for one point never overlap.
type liar struct {
	misdeed
	t      tester
	g      *guardians
	x      byte
	random *rand.Rand
}

// conspire makes some holders liars, at most as many as the bound.
func conspire(t *rapid.T, g *guardians, among []misdeed) map[byte]*liar {
	count := rapid.IntRange(0, boundOf(len(g.xs), g.k)).Draw(t, "liars")
	liars := map[byte]*liar{}
	for _, x := range rapid.Permutation(g.xs).Draw(t, "who")[:count] {
		m := among[rapid.IntRange(0, len(among)-1).Draw(t, fmt.Sprint("what ", x))]
		liars[x] = &liar{m, t, g, x, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
	}
	g.tamper = func(x byte, step Step, request, answer any) error {
		if l := liars[x]; l != nil {
			return l.do(l, step, request, answer)
		}
		return nil
	}
	return liars
}

func drawGuardians(t *rapid.T) *guardians {
	n := rapid.IntRange(3, 14).Draw(t, "n")
	k := rapid.IntRange(2, n-1).Draw(t, "K")
	sizes := rapid.SliceOfN(rapid.IntRange(1, 200), 1, 4).Draw(t, "sizes")
	points := rapid.SliceOfNDistinct(rapid.ByteRange(1, 255), n, n, rapid.ID).Draw(t, "points")
	slices.Sort(points)
	return guardiansAt(t, points, k, sizes...)
}

// Up to the bound, liars about shares are named, all of them and nobody else.
func TestPublishersAreNamedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGuardians(t)
		liars := conspire(t, g, misdeeds[:2])
		v, err := g.run(t)
		must(t, err)
		for _, x := range g.xs {
			if (liars[x] != nil) != slices.Contains(v.Wrong, x) || (liars[x] == nil) != slices.Contains(v.Sound, x) {
				t.Fatalf("of liars %v: %+v", keysOf(liars), v)
			}
		}
		if v.Attempts != 1 || len(v.Named)+len(v.Pairs)+len(v.Absent)+len(v.Apart) > 0 {
			t.Fatalf("got %+v", v)
		}
	})
}

// Whatever up to the bound do together: there is a verdict, no honest holder is
// named, left out or said to be wrong, in each pair is a liar, and whoever always
// lies is not called sound.
func TestNoHonestOneIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGuardians(t)
		liars := conspire(t, g, misdeeds)
		v, err := g.run(t)
		if err != nil {
			t.Fatalf("liars %v: %+v, %v", keysOf(liars), v, err)
		}
		for _, x := range slices.Concat(v.Wrong, v.Named, absentOf(v)) {
			if liars[x] == nil {
				t.Fatalf("%d is honest: %+v", x, v)
			}
		}
		for _, p := range v.Pairs {
			if liars[p.Dealer] == nil && liars[p.Holder] == nil {
				t.Fatalf("both of %v are honest: %+v", p, v)
			}
		}
		for _, x := range v.Sound {
			if l := liars[x]; l != nil && l.neverSound {
				t.Fatalf("%d %s: %+v", x, l.name, v)
			}
		}
		if got := len(v.Wrong) + len(v.Named) + len(v.Sound) + len(v.Apart); got != v.N {
			t.Fatalf("of %d there are %d: %+v", v.N, got, v)
		}
	})
}

// Who denies all dealings is in more pairs than there can be liars, however many
// deny them together.
func TestDeniersAreNamed(t *testing.T) {
	for _, shape := range []struct{ n, k int }{{5, 3}, {7, 3}, {9, 2}, {14, 2}, {14, 4}} {
		g := newGuardians(t, shape.n, shape.k, 50)
		bad := g.xs[:boundOf(shape.n, shape.k)]
		g.tamper = func(x byte, step Step, request, answer any) error {
			if slices.Contains(bad, x) {
				return denyAll(nil, step, request, answer)
			}
			return nil
		}
		v, err := g.run(t)
		must(t, err)
		if !slices.Equal(v.Named, bad) || len(v.Sound) != shape.n-len(bad) {
			t.Errorf("n=%d, K=%d: got %+v", shape.n, shape.k, v)
		}
	}
}

func keysOf(liars map[byte]*liar) []string {
	var names []string
	for x, l := range liars {
		names = append(names, fmt.Sprint(x, " ", l.name))
	}
	slices.Sort(names)
	return names
}

func absentOf(v Verdict) (xs []byte) {
	for _, a := range v.Absent {
		xs = append(xs, a.X)
	}
	return xs
}
