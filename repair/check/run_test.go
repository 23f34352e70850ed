package check

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/shamir"
)

func TestAllSound(t *testing.T) {
	for _, shape := range []struct{ n, k int }{{3, 2}, {4, 3}, {5, 3}, {14, 4}, {14, 13}} {
		g := newGuardians(t, shape.n, shape.k, 1, 33, 5000)
		v, err := g.run(t)
		must(t, err)
		want := Verdict{N: shape.n, K: shape.k, Bound: (shape.n - shape.k) / 2, Sound: g.xs, Attempts: 1}
		if !reflect.DeepEqual(v, want) {
			t.Errorf("n=%d, K=%d: got %+v, want %+v", shape.n, shape.k, v, want)
		}
	}
}

func TestHighPoints(t *testing.T) {
	g := guardiansAt(t, []byte{2, 77, 128, 254, 255}, 3, 100)
	v, err := g.run(t)
	must(t, err)
	if !slices.Equal(v.Sound, g.xs) {
		t.Errorf("sound are %d, want %d", v.Sound, g.xs)
	}
}

func TestNoMoreThanK(t *testing.T) {
	g := newGuardians(t, 3, 3, 10)
	_, err := g.run(t)
	wants(t, err, ErrTooFew)
	g = newGuardians(t, 4, 3, 10)
	calls := 0
	_, err = Run(t.Context(), Params{Batch: g.batch, Participants: []byte{1, 2, 3}},
		func(context.Context, Party, Step, any, any) error { calls++; return nil })
	wants(t, err, ErrTooFew)
	if calls != 0 {
		t.Errorf("%d calls were made before", calls)
	}
}

func TestParticipantsAreHolders(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	for _, xs := range [][]byte{{0, 1, 2, 3}, {1, 2, 3, 9}, {4, 3, 2, 1}, {1, 2, 3, 3}} {
		_, err := Run(t.Context(), Params{Batch: g.batch, Participants: xs}, g.call)
		wants(t, err, ErrMalformed)
	}
}

// With one more than K something is seen, and nobody can be named.
func TestOneMoreThanKDetects(t *testing.T) {
	g := newGuardians(t, 4, 3, 50)
	g.tamper = lie(2)
	v, err := g.run(t)
	wants(t, err, ErrUndecided)
	if v.N != 4 || v.K != 3 || v.Bound != 0 || v.Sound != nil || v.Wrong != nil || v.Named != nil {
		t.Errorf("got %+v", v)
	}
}

func TestMoreLiarsThanTheBound(t *testing.T) {
	g := newGuardians(t, 7, 3, 50) // bound 2
	g.tamper = lie(2, 4, 6)
	v, err := g.run(t)
	wants(t, err, ErrUndecided)
	if v.Wrong != nil || v.Named != nil || v.Bound != 2 {
		t.Errorf("got %+v", v)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	g := newGuardians(t, 7, 3, 50)
	g.tamper = func(x byte, _ Step, _, answer any) error {
		if x == 5 {
			setAnswer(answer, func(a *AnswerAnswer) { a.Columns[0][0] ^= 1 })
		}
		return nil
	}
	v, err := Run(t.Context(), Params{Batch: g.batch, Attempts: 1}, g.call)
	wants(t, err, ErrAttempts)
	if v.Attempts != 1 || v.N != 7 || v.Bound != 2 || v.Pairs != nil || v.Sound != nil {
		t.Errorf("got %+v", v)
	}
}

// lie publishes for the points given what belongs to no share.
func lie(xs ...byte) func(byte, Step, any, any) error {
	return func(x byte, _ Step, _, answer any) error {
		if a, ok := answer.(*AnswerAnswer); ok && slices.Contains(xs, x) {
			a.Shares[int(x)%rows] ^= 1
		}
		return nil
	}
}

func TestSilentAndRefusingAreLeftOut(t *testing.T) {
	for _, step := range []Step{StepOpen, StepDeal, StepReceive, StepSeal, StepAnswer} {
		g := newGuardians(t, 6, 3, 50)
		refused := errors.New("refused")
		g.tamper = func(x byte, at Step, _, _ any) error {
			if x == 2 && at == step {
				return refused
			}
			return nil
		}
		v, err := g.run(t)
		must(t, err)
		if v.N != 5 || v.Bound != 1 || !slices.Equal(v.Sound, []byte{1, 3, 4, 5, 6}) ||
			len(v.Absent) != 1 || v.Absent[0].X != 2 || !errors.Is(v.Absent[0].Err, refused) {
			t.Errorf("%s: got %+v", step, v)
		}
	}
}

func TestSilentOnesTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuardians(t, 6, 3, 50)
		call := func(ctx context.Context, to Party, step Step, request, answer any) error {
			if to.X >= 5 && step == StepReceive {
				<-ctx.Done()
				return ctx.Err()
			}
			return g.call(ctx, to, step, request, answer)
		}
		start := time.Now()
		v, err := Run(t.Context(), Params{Batch: g.batch, Timeout: 5 * time.Second}, call)
		must(t, err)
		if time.Since(start) != 5*time.Second || v.Attempts != 2 || len(v.Absent) != 2 || v.N != 4 {
			t.Errorf("after %v: %+v", time.Since(start), v)
		}
	})
}

func TestTooManySilent(t *testing.T) {
	g := newGuardians(t, 5, 3, 50)
	g.tamper = func(x byte, step Step, _, _ any) error {
		if x >= 4 && step == StepSeal {
			return errors.New("gone")
		}
		return nil
	}
	v, err := g.run(t)
	wants(t, err, ErrTooFew)
	if len(v.Absent) != 2 || v.N != 3 || v.Bound != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestNobodyIsBlamedForAnEndedContext(t *testing.T) {
	g := newGuardians(t, 5, 3, 50)
	ctx, cancel := context.WithCancel(t.Context())
	g.tamper = func(_ byte, step Step, _, _ any) error {
		if step == StepSeal {
			cancel()
		}
		return nil
	}
	v, err := Run(ctx, Params{Batch: g.batch}, g.call)
	wants(t, err, context.Canceled)
	if len(v.Absent) != 0 {
		t.Errorf("absent are %+v", v.Absent)
	}
}

func TestWhoLacksSharesSaysSo(t *testing.T) {
	g := newGuardians(t, 6, 3, 10, 20, 30)
	delete(g.shares[4], string(g.records[1].Hash[:]))
	g.shares[4][string(g.records[2].Hash[:])][5] ^= 1 // not the record's any more
	v, err := g.run(t)
	must(t, err)
	if len(v.Absent) != 1 || v.Absent[0].X != 4 || !slices.Equal(v.Absent[0].Lacking, []int{1, 2}) || v.N != 5 {
		t.Errorf("got %+v", v)
	}
}

// What a dishonest holder answers may not make honest ones fail.
func TestNonsenseIsNotPassedOn(t *testing.T) {
	lowOrder := make([]byte, keySize)
	for name, spoil := range map[string]func(g *guardians, answer any){
		"no key":               func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Key = nil }) },
		"short key":            func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Key = o.Key[:31] }) },
		"key of another":       func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Key = randomBytes(32) }) },
		"no signature":         func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Signature = nil }) },
		"lacks beyond":         func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Lacking = []int{1} }) },
		"lacks twice":          func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Lacking = []int{0, 0} }) },
		"lacks below":          func(_ *guardians, a any) { setOpen(a, func(o *OpenAnswer) { o.Lacking = []int{-1} }) },
		"dealings too few":     func(_ *guardians, a any) { setDeal(a, func(d *DealAnswer) { d.Sealed = d.Sealed[1:] }) },
		"dealing too short":    func(_ *guardians, a any) { setDeal(a, func(d *DealAnswer) { d.Sealed[0] = nil }) },
		"ack too long":         func(_ *guardians, a any) { setAck(a, func(r *ReceiveAnswer) { r.Random = make([]byte, 33) }) },
		"ack of something":     func(_ *guardians, a any) { setAck(a, func(r *ReceiveAnswer) { r.Received[0] ^= 1 }) },
		"unopened no dealer":   func(_ *guardians, a any) { setAck(a, func(r *ReceiveAnswer) { r.Unopened = []byte{99} }) },
		"unopened repeated":    func(_ *guardians, a any) { setAck(a, func(r *ReceiveAnswer) { r.Unopened = []byte{1, 1} }) },
		"seal of another seed": func(_ *guardians, a any) { setSeal(a, func(s *SealAnswer) { s.Signature[0] ^= 1 }) },
		"answer too short":     func(_ *guardians, a any) { setAnswer(a, func(s *AnswerAnswer) { s.Shares = s.Shares[1:] }) },
		"columns too few":      func(_ *guardians, a any) { setAnswer(a, func(s *AnswerAnswer) { s.Columns = s.Columns[1:] }) },
		"column too long":      func(_ *guardians, a any) { setAnswer(a, func(s *AnswerAnswer) { s.Columns[0] = make([]byte, 17) }) },
		"key of low order": func(g *guardians, a any) {
			setOpen(a, func(o *OpenAnswer) {
				o.Key = lowOrder
				o.Signature, _ = sign(g.keys[2], openMessage(g.batch.hash, 2, lowOrder))
			})
		},
	} {
		g := newGuardians(t, 6, 3, 50)
		g.tamper = func(x byte, _ Step, _, answer any) error {
			if x == 2 {
				spoil(g, answer)
			}
			return nil
		}
		v, err := g.run(t)
		if err != nil || len(v.Absent) != 1 || v.Absent[0].X != 2 || len(v.Sound) != 5 {
			t.Errorf("%s: got %+v, %v", name, v, err)
		}
	}
}

func setOpen(a any, change func(*OpenAnswer))     { set(a, change) }
func setDeal(a any, change func(*DealAnswer))     { set(a, change) }
func setAck(a any, change func(*ReceiveAnswer))   { set(a, change) }
func setSeal(a any, change func(*SealAnswer))     { set(a, change) }
func setAnswer(a any, change func(*AnswerAnswer)) { set(a, change) }

func set[A any](answer any, change func(*A)) {
	if a, ok := answer.(*A); ok {
		change(a)
	}
}

// The order in which calls end changes nothing.
func TestVerdictIsAFunctionOfTheCalls(t *testing.T) {
	var verdicts []Verdict
	for _, parallel := range []int{1, 3, 16} {
		g := newGuardians(t, 9, 3, 50)
		g.tamper = func(x byte, step Step, request, answer any) error {
			if x == 4 {
				setAnswer(answer, func(a *AnswerAnswer) { a.Columns[0][0] ^= 1 })
			}
			if x == 6 && step == StepSeal {
				return ErrBusy
			}
			return lie(8)(x, step, request, answer)
		}
		v, err := Run(t.Context(), Params{Batch: g.batch, Parallel: parallel}, g.call)
		must(t, err)
		verdicts = append(verdicts, v)
	}
	for _, v := range verdicts {
		v.Absent[0].Err = nil
		want := verdicts[0]
		if !reflect.DeepEqual(v, want) {
			t.Errorf("got %+v, then %+v", want, v)
		}
	}
}

func TestCallsAreBounded(t *testing.T) {
	g := newGuardians(t, 14, 4, 50)
	running := make(chan struct{}, 14)
	call := func(ctx context.Context, to Party, step Step, request, answer any) error {
		running <- struct{}{}
		defer func() { <-running }()
		if n := len(running); n > 3 {
			return errors.New("too many at once")
		}
		return g.call(ctx, to, step, request, answer)
	}
	v, err := Run(t.Context(), Params{Batch: g.batch, Parallel: 3}, call)
	must(t, err)
	if len(v.Absent) != 0 {
		t.Errorf("more than 3 calls at once: %+v", v.Absent)
	}
}

// The published values, from their definition alone.
func TestAnswersAreTheFormula(t *testing.T) {
	g := newGuardians(t, 4, 2, 3, 40)
	h := g.byHand(t, g.xs)
	h.receiveAll()
	seed := seedOf(h.id, h.acks)
	signatures := h.sealAll(h.acks)
	matrix := make([]byte, rows*rows)
	keystream(seed, "guardian-check-matrix-v1").XORKeyStream(matrix, matrix)
	for _, x := range g.xs {
		masks := h.session(x).masks
		masks = [][]byte{bytes.Clone(masks[0]), bytes.Clone(masks[1])}
		answer, err := h.answer(x, signatures)
		must(t, err)
		var y []byte
		for _, r := range g.records {
			y = append(y, g.shares[x][string(r.Hash[:])][1:]...)
		}
		for n, r := range rowsOf(seed, len(y)) {
			if want := shamir.InnerProduct(r, y) ^ masks[0][n] ^ masks[1][n]; answer.Shares[n] != want {
				t.Errorf("point %d, row %d: got %#x, want %#x", x, n, answer.Shares[n], want)
			}
			for d, m := range masks {
				want := m[rows+n]
				for c := range rows {
					want ^= times(matrix[rows*n+c], m[c])
				}
				if answer.Columns[d][n] != want {
					t.Errorf("point %d, dealer %d, row %d: got %#x, want %#x", x, d, n, answer.Columns[d][n], want)
				}
			}
		}
	}
}
