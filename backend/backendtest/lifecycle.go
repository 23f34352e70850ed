package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

var lifecycleTests = []conformanceTest{
	{"reopen after close", func(t *testing.T, s storage) {
		first := s.opener(t)
		rev := client{first}.create(t, "x/a", "one")
		if err := first.Close(); err != nil {
			t.Fatalf("Close() = %v", err)
		}
		second := s.open(t)
		if got := second.mustHold(t, "x/a", "one"); got != rev {
			t.Errorf("revision %v became %v", rev, got)
		}
		second.mustPut(t, "x/a", "two", rev)
	}},
	{"close of one client leaves the other", func(t *testing.T, s storage) {
		first, second := s.opener(t), s.open(t)
		rev := client{first}.create(t, "x/a", "one")
		if err := first.Close(); err != nil {
			t.Fatalf("Close() = %v", err)
		}
		second.mustPut(t, "x/a", "two", rev)
		second.mustHold(t, "x/a", "two")
	}},
	{"check passes and changes nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		for _, want := range [][]string{nil, {"a"}} {
			for range 3 {
				if err := b.Check(t.Context()); err != nil {
					t.Fatalf("Check() = %v", err)
				}
			}
			wantKeys(t, b.mustList(t, "", ""), want)
			b.mustPut(t, "a", "one", backend.AnyRevision)
		}
	}},
	{"has a name", func(t *testing.T, s storage) {
		if s.open(t).String() == "" {
			t.Error(`String() = ""`)
		}
	}},
	{"ended context is the error of every call", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "one")
		expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		for _, ctx := range []context.Context{cancelled(t), expired} {
			_, _, err := b.Get(ctx, "a")
			wantError(t, err, ctx.Err())
			_, err = b.Put(ctx, "a", []byte("two"), rev)
			wantError(t, err, ctx.Err())
			wantError(t, b.Delete(ctx, "a", rev), ctx.Err())
			wantError(t, b.Check(ctx), ctx.Err())
		}
	}},
}
