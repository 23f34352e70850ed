package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

const (
	racers = 64
	rounds = 5
)

var raceTests = []conformanceTest{
	{"one create wins", func(t *testing.T, s storage) {
		both := s.pair(t)
		for round := range rounds {
			wantOneWinner(t, both, fmt.Sprintf("x/%d/a", round), "create", backend.Revision{})
		}
	}},
	{"one update wins", func(t *testing.T, s storage) {
		both := s.pair(t)
		rev := both[0].create(t, "x/a", "one")
		for round := range rounds {
			rev = wantOneWinner(t, both, "x/a", fmt.Sprintf("update %d", round), rev)
		}
	}},
	{"updates and deletes at one revision", func(t *testing.T, s storage) {
		both := s.pair(t)
		for range rounds {
			both[1].mustDelete(t, "x/a", backend.AnyRevision)
			wantOneKindOfWinner(t, both, "x/a", both[0].create(t, "x/a", "one"))
		}
	}},
	{"update loses to unconditional put", func(t *testing.T, s storage) {
		both := s.pair(t)
		for range 10 * rounds {
			rev := both[0].mustPut(t, "a", "one", backend.AnyRevision)
			race(2, func(i int) {
				if i == 0 {
					both[0].mayConflict(t, "a", "update", rev)
					return
				}
				if _, err := both[1].Put(t.Context(), "a", []byte("overwrite"), backend.AnyRevision); err != nil {
					t.Errorf("unconditional Put = %v", err)
				}
			})
			both[0].mustHold(t, "a", "overwrite")
		}
	}},
	{"update beside unconditional delete", func(t *testing.T, s storage) {
		both := s.pair(t)
		for range 10 * rounds {
			rev := both[0].mustPut(t, "x/y/a", "one", backend.AnyRevision)
			var updated backend.Revision
			race(2, func(i int) {
				if i == 0 {
					updated = both[0].mayConflict(t, "x/y/a", "update", rev)
					return
				}
				if err := both[1].Delete(t.Context(), "x/y/a", backend.AnyRevision); err != nil {
					t.Errorf("unconditional Delete = %v", err)
				}
			})
			if _, now, err := both[0].Get(t.Context(), "x/y/a"); err != nil || updated.IsZero() || now != updated {
				wantError(t, err, backend.ErrNotFound)
			}
		}
	}},
	{"no increment is lost", func(t *testing.T, s storage) {
		both := s.pair(t)
		both[0].create(t, "a", "0")
		const workers, increments = 8, 10
		race(workers, func(i int) {
			for range increments {
				both[i%2].increment(t, "a")
			}
		})
		both[0].mustHold(t, "a", strconv.Itoa(workers*increments))
	}},
	{"no reader sees part of a write", func(t *testing.T, s storage) {
		both := s.pair(t)
		contents := [][]byte{bytes.Repeat([]byte("s"), 10), bytes.Repeat([]byte("l"), 300_000), bytes.Repeat([]byte("m"), 5_000)}
		both[0].create(t, "a", string(contents[0]))
		const writers, readers, each = 3, 5, 30
		race(writers+readers, func(i int) {
			for range each {
				if i < writers {
					if _, err := both[i%2].Put(t.Context(), "a", contents[i], backend.AnyRevision); err != nil {
						t.Errorf("Put = %v", err)
					}
					continue
				}
				got, _, err := both[i%2].Get(t.Context(), "a")
				if err != nil || !isOneOf(contents, got) {
					t.Errorf("Get = %s (%d bytes), %v", brief(got), len(got), err)
				}
			}
		})
	}},
	{"a write is seen by every later read", func(t *testing.T, s storage) {
		both := s.pair(t)
		rev := backend.Revision{}
		for i := range 20 {
			data := strconv.Itoa(i)
			rev = both[i%2].mustPut(t, "x/a", data, rev)
			if got := both[1-i%2].mustHold(t, "x/a", data); got != rev {
				t.Fatalf("one client is at %v, the other at %v", rev, got)
			}
			wantKeys(t, both[1-i%2].mustList(t, "", ""), []string{"x/a"})
		}
	}},
	{"puts and deletes of neighbours", func(t *testing.T, s storage) {
		both := s.pair(t)
		const workers = 8
		race(workers, func(i int) {
			b, key := both[i%2], fmt.Sprintf("x/y/z/%d", i)
			for range 20 {
				if err := b.putAtLast(t, key); err != nil {
					t.Errorf("Put(%q) = %v", key, err)
				}
				if _, _, err := b.Get(t.Context(), key); err != nil {
					t.Errorf("Get(%q) = %v", key, err)
				}
				if err := b.Delete(t.Context(), key, backend.AnyRevision); err != nil {
					t.Errorf("Delete(%q) = %v", key, err)
				}
			}
		})
		wantKeys(t, both[0].mustList(t, "", ""), nil)
	}},
}

// race starts n goroutines as near to one moment as can be and waits for all.
func race(n int, run func(i int)) {
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	group.Wait()
}

// wantOneWinner lets many write at rev and returns the revision of the winner.
// What they write begins with label, which differs from race to race: bytes
// that come back may bring their revision back.
func wantOneWinner(t *testing.T, both [2]client, key, label string, rev backend.Revision) backend.Revision {
	t.Helper()
	won := make([]backend.Revision, racers)
	race(racers, func(i int) {
		won[i] = both[i%2].mayConflict(t, key, label+" by "+strconv.Itoa(i), rev)
	})
	winner, winners := 0, 0
	for i := range won {
		if !won[i].IsZero() {
			winner, winners = i, winners+1
		}
	}
	if winners != 1 {
		t.Fatalf("%d of %d writers at one revision won", winners, racers)
	}
	for _, b := range both {
		if got := b.mustHold(t, key, label+" by "+strconv.Itoa(winner)); got != won[winner] {
			t.Fatalf("winner is at %v, key is at %v", won[winner], got)
		}
	}
	return won[winner]
}

// wantOneKindOfWinner lets puts and deletes at rev compete: either one put won
// and all else lost, or the key is gone, all puts lost, and the later deletes
// found nothing to delete, which is no error.
func wantOneKindOfWinner(t *testing.T, both [2]client, key string, rev backend.Revision) {
	t.Helper()
	errs := make([]error, racers)
	race(racers, func(i int) {
		b := both[i/2%2]
		if i%2 == 1 {
			errs[i] = b.Delete(t.Context(), key, rev)
			return
		}
		_, errs[i] = b.Put(t.Context(), key, []byte(strconv.Itoa(i)), rev)
	})
	puts, deletes := 0, 0
	for i, err := range errs {
		switch {
		case err == nil && i%2 == 1:
			deletes++
		case err == nil:
			puts++
			both[0].mustHold(t, key, strconv.Itoa(i))
		default:
			wantError(t, err, backend.ErrConflict)
		}
	}
	onePut, gone := puts == 1 && deletes == 0, puts == 0 && deletes == racers/2
	if !onePut && !gone {
		t.Fatalf("%d puts and %d deletes won at one revision", puts, deletes)
	}
	if deletes > 0 {
		both[1].mustBeAbsent(t, key)
	}
}

// mayConflict puts data at rev and returns the new revision, or the zero one
// after a conflict.
func (c client) mayConflict(t *testing.T, key, data string, rev backend.Revision) backend.Revision {
	now, err := c.Put(t.Context(), key, []byte(data), rev)
	if err != nil && !errors.Is(err, backend.ErrConflict) {
		t.Errorf("Put(%q) = %v", key, err)
	}
	return now
}

// putAtLast creates key, and repeats what failed with an error that leaves the
// outcome open: MinIO answers AccessDenied when the directory of a key goes with
// its last neighbour at that moment.
func (c client) putAtLast(t *testing.T, key string) (err error) {
	rev := backend.Revision{}
	for range rounds {
		_, err = c.Put(t.Context(), key, []byte("one"), rev)
		if err == nil || errors.Is(err, backend.ErrConflict) {
			return err
		}
		rev = backend.AnyRevision
	}
	return err
}

func (c client) increment(t *testing.T, key string) {
	for {
		data, rev, err := c.Get(t.Context(), key)
		if err != nil {
			t.Errorf("Get(%q) = %v", key, err)
			return
		}
		count, err := strconv.Atoi(string(data))
		if err != nil {
			t.Errorf("count is %s: %v", brief(data), err)
			return
		}
		if !c.mayConflict(t, key, strconv.Itoa(count+1), rev).IsZero() || t.Failed() {
			return
		}
	}
}

func isOneOf(contents [][]byte, got []byte) bool {
	for _, content := range contents {
		if bytes.Equal(content, got) {
			return true
		}
	}
	return false
}
