package backendtest

import (
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// never is a revision that no key was ever at.
var never = backend.NewRevision("never")

var conditionTests = []conformanceTest{
	{"create only what is absent", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		b.mustRefuse(t, "a", "two", backend.Revision{}, backend.ErrConflict)
		b.mustRefuse(t, "a", "one", backend.Revision{}, backend.ErrConflict)
		b.mustHold(t, "a", "one")
	}},
	{"replace at the revision put", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "one")
		rev = b.mustPut(t, "a", "two", rev)
		b.mustPut(t, "a", "three", rev)
		b.mustHold(t, "a", "three")
	}},
	{"replace at the revision got", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		b.mustPut(t, "a", "two", b.mustHold(t, "a", "one"))
		b.mustHold(t, "a", "two")
	}},
	{"replace by equal bytes", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "one")
		rev = b.mustPut(t, "a", "one", rev)
		b.mustPut(t, "a", "two", rev)
	}},
	{"stale revision conflicts and changes nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		stale := b.create(t, "a", "one")
		now := b.mustPut(t, "a", "two", stale)
		b.mustRefuse(t, "a", "three", stale, backend.ErrConflict)
		wantError(t, b.Delete(t.Context(), "a", stale), backend.ErrConflict)
		if got := b.mustHold(t, "a", "two"); got != now {
			t.Errorf("a lost call moved the revision from %v to %v", now, got)
		}
	}},
	{"foreign revision conflicts", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		b.mustRefuse(t, "a", "two", never, backend.ErrConflict)
		wantError(t, b.Delete(t.Context(), "a", never), backend.ErrConflict)
		b.mustHold(t, "a", "one")
	}},
	{"revision of absent key conflicts", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "one")
		b.mustDelete(t, "a", rev)
		b.mustRefuse(t, "a", "two", rev, backend.ErrConflict)
		b.mustRefuse(t, "b", "two", never, backend.ErrConflict)
		b.mustBeAbsent(t, "a")
		b.mustBeAbsent(t, "b")
	}},
	{"any revision creates and replaces", func(t *testing.T, s storage) {
		b := s.open(t)
		b.mustPut(t, "a", "one", backend.AnyRevision)
		rev := b.mustPut(t, "a", "two", backend.AnyRevision)
		b.mustPut(t, "a", "three", rev)
		b.mustHold(t, "a", "three")
	}},
	{"delete at the revision", func(t *testing.T, s storage) {
		b := s.open(t)
		b.mustDelete(t, "a", b.create(t, "a", "one"))
		b.mustBeAbsent(t, "a")
	}},
	{"delete at any revision", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		b.mustDelete(t, "a", backend.AnyRevision)
		b.mustBeAbsent(t, "a")
	}},
	{"delete at the zero revision conflicts", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		wantError(t, b.Delete(t.Context(), "a", backend.Revision{}), backend.ErrConflict)
		b.mustHold(t, "a", "one")
	}},
	{"delete of absent key is no error", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "x/b", "one")
		for _, rev := range []backend.Revision{{}, backend.AnyRevision, never} {
			for _, key := range []string{"a", "x/a", "y/z/a"} {
				b.mustDelete(t, key, rev)
				b.mustBeAbsent(t, key)
			}
		}
		b.mustHold(t, "x/b", "one")
	}},
	{"other client's write conflicts", func(t *testing.T, s storage) {
		both := s.pair(t)
		stale := both[0].create(t, "a", "one")
		rev := both[1].mustHold(t, "a", "one")
		both[1].mustPut(t, "a", "two", rev)
		both[0].mustRefuse(t, "a", "three", stale, backend.ErrConflict)
		both[0].mustPut(t, "a", "three", both[0].mustHold(t, "a", "two"))
		both[1].mustHold(t, "a", "three")
	}},
	{"other client's delete conflicts", func(t *testing.T, s storage) {
		both := s.pair(t)
		stale := both[0].create(t, "x/a", "one")
		both[1].mustDelete(t, "x/a", both[1].mustHold(t, "x/a", "one"))
		both[0].mustRefuse(t, "x/a", "two", stale, backend.ErrConflict)
		both[0].create(t, "x/a", "two")
		both[1].mustHold(t, "x/a", "two")
	}},
}
