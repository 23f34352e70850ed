package backendtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

var objectTests = []conformanceTest{
	{"what is put is got", func(t *testing.T, s storage) {
		b := s.open(t)
		put := b.create(t, "a", "one")
		if got := b.mustHold(t, "a", "one"); got != put {
			t.Errorf("Get is at %v, Put returned %v", got, put)
		}
	}},
	{"absent key is not found", func(t *testing.T, s storage) {
		b := s.open(t)
		b.mustBeAbsent(t, "a")
		b.create(t, "x/b", "one")
		b.mustBeAbsent(t, "x/a")
	}},
	{"group is no object", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "x/y/z", "one")
		b.mustBeAbsent(t, "x")
		b.mustBeAbsent(t, "x/y")
	}},
	{"every byte is kept", func(t *testing.T, s storage) {
		b := s.open(t)
		all := make([]byte, 1<<10)
		for i := range all {
			all[i] = byte(i)
		}
		b.create(t, "a", string(all))
		b.mustHold(t, "a", string(all))
	}},
	{"empty object exists", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "")
		b.mustHold(t, "a", "")
		b.mustRefuse(t, "a", "x", backend.Revision{}, backend.ErrConflict)
		b.mustPut(t, "a", "x", rev)
	}},
	{"nil is the empty object", func(t *testing.T, s storage) {
		b := s.open(t)
		if _, err := b.Put(t.Context(), "a", nil, backend.Revision{}); err != nil {
			t.Fatal(err)
		}
		b.mustHold(t, "a", "")
	}},
	{"largest object", func(t *testing.T, s storage) {
		b := s.open(t)
		largest := string(bytes.Repeat([]byte("0123456789abcdef"), backend.MaxObjectSize/16))
		b.create(t, "a", largest)
		b.mustHold(t, "a", largest)
	}},
	{"larger object is refused and changes nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		larger := string(make([]byte, backend.MaxObjectSize+1))
		rev := b.create(t, "a", "one")
		b.mustRefuse(t, "a", larger, rev, backend.ErrTooLarge)
		b.mustRefuse(t, "a", larger, backend.AnyRevision, backend.ErrTooLarge)
		b.mustRefuse(t, "b", larger, backend.Revision{}, backend.ErrTooLarge)
		b.mustHold(t, "a", "one")
		b.mustBeAbsent(t, "b")
	}},
	{"bytes got are the caller's", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a", "one")
		got, _, err := b.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		clear(got)
		b.mustHold(t, "a", "one")
	}},
	{"bytes put stay the caller's", func(t *testing.T, s storage) {
		b := s.open(t)
		data := []byte("one")
		if _, err := b.Put(t.Context(), "a", data, backend.Revision{}); err != nil {
			t.Fatal(err)
		}
		clear(data)
		b.mustHold(t, "a", "one")
	}},
	{"shorter object replaces longer", func(t *testing.T, s storage) {
		b := s.open(t)
		rev := b.create(t, "a", "a long object")
		b.mustPut(t, "a", "b", rev)
		b.mustHold(t, "a", "b")
	}},
	{"keys are apart", func(t *testing.T, s storage) {
		b := s.open(t)
		keys := []string{"a", "A", "a.b", "a-b/x", "b/x", "b/y", "c/x/y"}
		for _, key := range keys {
			b.create(t, key, "at "+key)
		}
		b.mustDelete(t, "b/x", backend.AnyRevision)
		b.mustBeAbsent(t, "b/x")
		for _, key := range keys {
			if key != "b/x" {
				b.mustHold(t, key, "at "+key)
			}
		}
	}},
	{"deleted key can be created again", func(t *testing.T, s storage) {
		b := s.open(t)
		for range 3 {
			b.create(t, "x/y/a", "one")
			b.mustDelete(t, "x/y/a", backend.AnyRevision)
			b.mustBeAbsent(t, "x/y/a")
		}
	}},
	{"entry tells size and time", func(t *testing.T, s storage) {
		b := s.open(t)
		const slack = time.Minute
		began := time.Now()
		b.create(t, "x/a", "12345")
		entry := b.mustList(t, "x/", "")[0]
		if entry.Size != 5 {
			t.Errorf("Size = %d, want 5", entry.Size)
		}
		if entry.ModTime.Before(began.Add(-slack)) || entry.ModTime.After(time.Now().Add(slack)) {
			t.Errorf("ModTime = %v, written at %v", entry.ModTime, began)
		}
	}},
}
