package backendtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// getEachTests are for every backend, batchTests for those that are a
// [backend.Batcher].
var getEachTests = []conformanceTest{
	{"several keys, in order", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "x/a", "one")
		b.create(t, "x/b", "two")
		got := backend.GetEach(t.Context(), b.Backend, "x/b", "x/absent", "x//bad", "x/a", "x/b")
		if len(got) != 5 {
			t.Fatalf("GetEach of five returned %d", len(got))
		}
		if string(got[0].Data) != "two" || string(got[3].Data) != "one" || string(got[4].Data) != "two" || got[3].Rev != rev {
			t.Errorf("GetEach returned %+v", got)
		}
		wantError(t, got[1].Err, backend.ErrNotFound)
		wantError(t, got[2].Err, backend.ErrInvalidKey)
		if len(backend.GetEach(t.Context(), b.Backend)) != 0 {
			t.Error("GetEach of nothing returned something")
		}
	}},
	{"after the context has ended", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		for _, got := range backend.GetEach(cancelled(t), b.Backend, "a", "b") {
			wantError(t, got.Err, context.Canceled)
		}
	}},
}

var batchTests = []conformanceTest{
	{"creates, puts and drops", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "x/1/a", "old a")
		b.create(t, "x/1/b", "old b")
		rev := b.create(t, "x/name", "1")
		now := b.mustApply(t, batchOf("2", rev, "x/1/a", "x/1/b", "x/absent"))
		if got := b.mustHold(t, "x/name", "2"); got != now {
			t.Errorf("Apply returned %v, and Get %v", now, got)
		}
		b.mustHold(t, "x/2/a", "a of 2")
		b.mustHold(t, "x/2/b", "b of 2")
		b.mustBeAbsent(t, "x/1/a")
		b.mustBeAbsent(t, "x/1/b")
		b.mustApply(t, batchOf("3", now))
		b.mustPut(t, "x/name", "4", b.mustHold(t, "x/name", "3"))
	}},
	{"the first of its name", func(t *testing.T, s storage) {
		both := s.pair(t)
		both[0].mustApply(t, batchOf("1", backend.Revision{}))
		both[1].mustHold(t, "x/name", "1")
		both[1].mustHold(t, "x/1/a", "a of 1")
		both[1].mustNotApply(t, batchOf("2", backend.Revision{}), backend.ErrConflict)
	}},
	{"conflict puts and drops nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "x/1/a", "old a")
		stale := b.create(t, "x/name", "1")
		b.mustPut(t, "x/name", "other", stale)
		b.mustNotApply(t, batchOf("2", stale, "x/1/a"), backend.ErrConflict)
		b.mustNotApply(t, batchOf("2", never, "x/1/a"), backend.ErrConflict)
		b.mustHold(t, "x/1/a", "old a")
		now := b.mustHold(t, "x/name", "other")
		b.mustApply(t, batchOf("2", now, "x/1/a")) // the same objects again
		b.mustHold(t, "x/2/a", "a of 2")
	}},
	{"what is no key, or too large", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "x/name", "1")
		large := make([]byte, backend.MaxObjectSize+1)
		for _, c := range []struct {
			change func(*backend.Batch)
			want   error
		}{
			{func(c *backend.Batch) { c.Create[1].Key = "x//b" }, backend.ErrInvalidKey},
			{func(c *backend.Batch) { c.Create[1].Data = large }, backend.ErrTooLarge},
			{func(c *backend.Batch) { c.Put.Key = "../name" }, backend.ErrInvalidKey},
			{func(c *backend.Batch) { c.Put.Data = large }, backend.ErrTooLarge},
			{func(c *backend.Batch) { c.Drop = []string{"/"} }, backend.ErrInvalidKey},
		} {
			batch := batchOf("2", backend.AnyRevision)
			c.change(&batch)
			b.mustNotApply(t, batch, c.want)
			b.mustBeAbsent(t, "x/2/a")
			b.mustHold(t, "x/name", "1")
		}
	}},
	{"after the context has ended", func(t *testing.T, s storage) {
		b := s.open(t)
		_, err := b.batcher(t).Apply(cancelled(t), batchOf("1", backend.Revision{}))
		wantError(t, err, context.Canceled)
		b.mustBeAbsent(t, "x/name")
	}},
	{"the bytes are not the caller's any more", func(t *testing.T, s storage) {
		b := s.open(t)
		batch := batchOf("1", backend.Revision{})
		b.mustApply(t, batch)
		clear(batch.Create[0].Data)
		clear(batch.Put.Data)
		b.mustHold(t, "x/1/a", "a of 1")
		b.mustHold(t, "x/name", "1")
	}},
	{"one of many wins", func(t *testing.T, s storage) {
		both := s.pair(t)
		rev := both[0].create(t, "x/name", "0")
		for round := range rounds {
			errs := make([]error, racers/4)
			race(len(errs), func(i int) {
				_, errs[i] = both[i%2].batcher(t).Apply(t.Context(), batchOf(fmt.Sprintf("%d-%d", round, i), rev))
			})
			winner := -1
			for i, err := range errs {
				if err == nil && winner >= 0 {
					t.Fatalf("both %d and %d won", winner, i)
				}
				if err == nil {
					winner = i
				} else if !errors.Is(err, backend.ErrConflict) {
					t.Fatal(err)
				}
			}
			if winner < 0 {
				t.Fatal("nobody won")
			}
			name := fmt.Sprintf("%d-%d", round, winner)
			rev = both[1].mustHold(t, "x/name", name)
			both[1].mustHold(t, "x/"+name+"/a", "a of "+name)
		}
	}},
	{"no name without its objects", func(t *testing.T, s storage) {
		both := s.pair(t)
		rev := both[0].create(t, "x/name", "0")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 20 * rounds {
				var err error
				if rev, err = both[0].batcher(t).Apply(t.Context(), batchOf(fmt.Sprint(i+1), rev)); err != nil {
					t.Errorf("Apply = %v", err)
					return
				}
			}
		}()
		for seen := ""; ; {
			data, _, err := both[1].Get(t.Context(), "x/name")
			if err != nil {
				t.Fatal(err)
			}
			if name := string(data); name != "0" && name != seen {
				seen = name
				both[1].mustHold(t, "x/"+name+"/a", "a of "+name)
				both[1].mustHold(t, "x/"+name+"/b", "b of "+name)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}},
}

// batchOf creates two objects and names them.
func batchOf(name string, rev backend.Revision, drop ...string) backend.Batch {
	return backend.Batch{
		Create: []backend.Object{
			{Key: "x/" + name + "/a", Data: []byte("a of " + name)},
			{Key: "x/" + name + "/b", Data: []byte("b of " + name)},
		},
		Put: backend.Object{Key: "x/name", Data: []byte(name)},
		Rev: rev, Drop: drop,
	}
}

func (c client) batcher(t *testing.T) backend.Batcher {
	t.Helper()
	batcher, ok := c.Backend.(backend.Batcher)
	if !ok {
		t.Fatal("not a Batcher any more")
	}
	return batcher
}

func (c client) mustApply(t *testing.T, batch backend.Batch) backend.Revision {
	t.Helper()
	now, err := c.batcher(t).Apply(t.Context(), batch)
	if err != nil || now.IsZero() || now.IsAny() {
		t.Fatalf("Apply(%s) = %v, %v", batch.Put.Data, now, err)
	}
	return now
}

func (c client) mustNotApply(t *testing.T, batch backend.Batch, want error) {
	t.Helper()
	now, err := c.batcher(t).Apply(t.Context(), batch)
	wantError(t, err, want)
	if !now.IsZero() {
		t.Fatalf("refused Apply returned revision %v", now)
	}
}
