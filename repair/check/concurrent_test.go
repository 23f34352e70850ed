package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// Several coordinators at once, over the same batch and others.
func TestManySessionsAtOnce(t *testing.T) {
	g := newGuardians(t, 6, 3, 2000, 30)
	var all sync.WaitGroup
	for n := range 12 {
		all.Go(func() {
			caller := g.keys[g.xs[n%len(g.xs)]].PublicKey()
			batch, err := NewBatch(g.records[n%2:])
			if err != nil {
				t.Error(err)
				return
			}
			v, err := Run(t.Context(), Params{Batch: batch}, func(ctx context.Context, to Party, step Step, request, answer any) error {
				body, err := json.Marshal(request)
				if err != nil {
					return err
				}
				if body, err = g.holders[to.X].Serve(ctx, caller, step, body); err != nil {
					return err
				}
				return json.Unmarshal(body, answer)
			})
			if err != nil || !slices.Equal(v.Sound, g.xs) {
				t.Errorf("got %+v, %v", v, err)
			}
		})
	}
	all.Wait()
	for _, h := range g.holders {
		empty(t, h)
	}
}

// A holder answers once, however many ask at the same time.
func TestOneAnswerInARace(t *testing.T) {
	g := newGuardians(t, 5, 3, 5000)
	h := g.byHand(t, g.xs)
	h.receiveAll()
	signatures := h.sealAll(h.acks)
	answered := make(chan error, 8)
	var all sync.WaitGroup
	for range cap(answered) {
		all.Go(func() {
			_, err := h.answer(2, signatures)
			answered <- err
		})
		all.Go(g.holders[2].Sweep)
	}
	all.Wait()
	close(answered)
	count := 0
	for err := range answered {
		if err == nil {
			count++
		} else if !errors.Is(err, ErrSession) {
			t.Error(err)
		}
	}
	if count != 1 {
		t.Errorf("it answered %d times", count)
	}
}

func BenchmarkAnswer(b *testing.B) {
	share := randomBytes(1 + 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		shareProducts(digest{1}, [][]byte{share})
	}
}

// BenchmarkRun is a whole audit of 1 MiB, all its holders on this machine.
func BenchmarkRun(b *testing.B) {
	for _, shape := range []struct{ n, k int }{{5, 3}, {14, 4}, {100, 33}} {
		b.Run(fmt.Sprintf("n=%d,k=%d", shape.n, shape.k), func(b *testing.B) {
			g := newGuardians(b, shape.n, shape.k, 1<<20)
			for b.Loop() {
				v, err := g.run(b)
				if err != nil || len(v.Sound) != shape.n {
					b.Fatalf("got %+v, %v", v, err)
				}
			}
		})
	}
}
