package check

import (
	"slices"
	"sync/atomic"
	"testing"
)

// Two who conspire deny what one honest dealer dealt: with a bound of two it has
// as many accusers as there can be liars, and is not named.
func TestTwoPairsNameNobodyWhereTwoCanLie(t *testing.T) {
	g := newGuardians(t, 7, 3, 50)
	g.tamper = func(x byte, _ Step, _, answer any) error {
		if x == 6 || x == 7 {
			setAnswer(answer, func(a *AnswerAnswer) {
				a.Columns[0][0] ^= x // that of the first dealer
			})
		}
		return nil
	}
	c, err := newCoordinator(Params{Batch: g.batch}, g.call)
	must(t, err)
	_, err = c.attempt(t.Context())
	wants(t, err, errAgain)
	if len(c.blame.named) != 0 || !slices.Equal(c.blame.open(c.present), []Pair{{1, 6}, {1, 7}}) {
		t.Errorf("named %v, pairs %v", c.blame.named, c.blame.pairs)
	}
	if dealers := c.blame.dealers(g.xs); !slices.Equal(dealers, []byte{2, 4, 5}) {
		t.Errorf("the next to deal are %d", dealers)
	}
}

// With a bound of one the common member of two pairs is named.
func TestTwoPairsNameTheCommonMember(t *testing.T) {
	b, present := newBlame(3), []byte{1, 2, 3, 4, 5}
	b.learn(finding{pairs: []Pair{{1, 4}}})
	b.settle(present)
	if len(b.named) != 0 || b.beyond(present, nil) {
		t.Errorf("after one pair: %v", b.named)
	}
	b.learn(finding{pairs: []Pair{{2, 4}}})
	b.settle(present)
	if !slices.Equal(sorted(b.named), []byte{4}) || b.beyond(present, nil) || len(b.open(present)) != 0 {
		t.Errorf("after two: %v", b.named)
	}
}

func TestSettle(t *testing.T) {
	for name, test := range map[string]struct {
		n, k   int
		bad    []byte
		pairs  []Pair
		named  []byte
		beyond bool
	}{
		"nothing":                        {5, 3, nil, nil, nil, false},
		"accusing oneself":               {5, 3, nil, []Pair{{2, 2}}, []byte{2}, false},
		"both ways is one other":         {5, 3, nil, []Pair{{1, 2}, {2, 1}}, nil, false},
		"two apart, bound 1":             {5, 3, nil, []Pair{{1, 2}, {3, 4}}, nil, true},
		"two apart, bound 2":             {7, 3, nil, []Pair{{1, 2}, {3, 4}}, nil, false},
		"three accusers, bound 2":        {7, 3, nil, []Pair{{1, 4}, {2, 4}, {3, 4}}, []byte{4}, false},
		"one named leaves less":          {7, 3, []byte{7}, []Pair{{1, 4}, {2, 4}}, []byte{4, 7}, false},
		"a name explains pairs":          {7, 3, []byte{7}, []Pair{{1, 7}, {2, 7}, {3, 4}}, []byte{7}, false},
		"more named than can be":         {5, 3, []byte{1, 2}, nil, []byte{1, 2}, true},
		"none can be wrong":              {4, 3, nil, []Pair{{1, 2}}, []byte{1}, true},
		"a triangle needs two, bound 1":  {5, 3, nil, []Pair{{1, 2}, {2, 3}, {1, 3}}, []byte{1}, true},
		"who has gone counts for nobody": {5, 3, nil, []Pair{{9, 4}, {8, 4}}, nil, false},
	} {
		b, present := newBlame(test.k), []byte(nil)
		for x := range test.n {
			present = append(present, byte(x+1))
		}
		b.learn(finding{bad: test.bad, pairs: test.pairs})
		b.settle(present)
		if beyond := b.beyond(present, nil); beyond != test.beyond {
			t.Errorf("%s: beyond is %v", name, beyond)
		}
		if named := sorted(b.named); !test.beyond && !slices.Equal(named, test.named) {
			t.Errorf("%s: named %d, want %d", name, named, test.named)
		}
	}
}

func TestSeparate(t *testing.T) {
	b, present := newBlame(2), []byte{1, 2, 3, 4, 5, 6, 7, 8}
	b.learn(finding{pairs: []Pair{{1, 2}, {2, 3}, {5, 6}}})
	b.separate(present)
	if got := b.participants(present); !slices.Equal(got, []byte{3, 4, 7, 8}) {
		t.Errorf("left are %d", got)
	}
	b.learn(finding{pairs: []Pair{{4, 7}}})
	b.separate(present)
	if got := b.participants(present); !slices.Equal(got, []byte{3, 8}) {
		t.Errorf("then left are %d", got)
	}
}

// A named dealer and a liar about shares are two, where one can be.
func TestNamesAreCountedTogether(t *testing.T) {
	g := newGuardians(t, 6, 3, 50)
	noise := g.dealWrong(t, 1, func(_ byte, values []byte) { copy(values, randomBytes(columns)) })
	g.tamper = func(x byte, step Step, request, answer any) error {
		if err := noise(x, step, request, answer); err != nil {
			return err
		}
		return lie(5)(x, step, request, answer)
	}
	v, err := g.run(t)
	wants(t, err, ErrUndecided)
	if v.Wrong != nil || v.Named != nil || v.Attempts != 2 {
		t.Errorf("got %+v", v)
	}
}

// Six of fourteen take turns in denying one dealing, each six times, so that none
// is named and there are more pairs than attempts.
func TestLiarsWhoTakeTurns(t *testing.T) {
	g := newGuardians(t, 14, 2, 50)
	var turn, denied atomic.Int32
	turn.Store(9)
	g.tamper = func(x byte, _ Step, _, answer any) error {
		setAnswer(answer, func(a *AnswerAnswer) {
			if int32(x) != turn.Load() {
				return
			}
			a.Columns[1][0] ^= 1
			if denied.Add(1)%6 == 0 && x < 14 {
				turn.Add(1)
			}
		})
		return nil
	}
	v, err := g.run(t)
	must(t, err)
	for _, x := range slices.Concat(v.Named, v.Wrong) {
		if x < 9 {
			t.Errorf("%d is honest", x)
		}
	}
	if len(v.Apart) == 0 || v.Attempts <= 8 || len(v.Sound)+len(v.Apart)+len(v.Named) != 14 {
		t.Errorf("got %+v", v)
	}
}
