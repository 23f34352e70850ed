// Package backendtest says whether a storage keeps the contract of
// [backend.Backend], and stands in for one in other packages' tests: [Run] is
// the conformance suite, [Memory] a backend in memory, [Faulty] a wrapper that
// makes chosen calls fail, and [Stepwise] one that takes batches apart.
package backendtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

// Opener opens one storage once more, as another process would.
type Opener func(t *testing.T) backend.Backend

// Run runs the conformance suite, a named sub-test for each promise of
// [backend.Backend]. Each sub-test calls newStorage for an empty storage of
// its own and closes what it opened.
func Run(t *testing.T, newStorage func(t *testing.T) Opener) {
	t.Helper()
	for _, group := range conformance {
		t.Run(group.name, func(t *testing.T) {
			if group.name == batches && !isBatcher(t, newStorage(t)) {
				return
			}
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, storage{newStorage(t)}) })
			}
		})
	}
}

var conformance = []struct {
	name  string
	tests []conformanceTest
}{
	{"object", objectTests},
	{"condition", conditionTests},
	{"key", keyTests},
	{"race", raceTests},
	{"list", listTests},
	{"segments", segmentTests},
	{"lifecycle", lifecycleTests},
	{"get each", getEachTests},
	{batches, batchTests},
}

// batches are kept by those that have them.
const batches = "batch"

func isBatcher(t *testing.T, open Opener) bool {
	t.Helper()
	_, ok := storage{open}.open(t).Backend.(backend.Batcher)
	return ok
}

type conformanceTest struct {
	name string
	run  func(t *testing.T, s storage)
}

// storage is the empty storage of one sub-test.
type storage struct{ opener Opener }

// open opens the storage until the end of the test.
func (s storage) open(t *testing.T) client {
	t.Helper()
	b := s.opener(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return client{b}
}

// pair opens the storage twice: two processes that compete.
func (s storage) pair(t *testing.T) [2]client {
	t.Helper()
	return [2]client{s.open(t), s.open(t)}
}

// client is a backend whose calls fail the test where they must not fail.
type client struct{ backend.Backend }

func (c client) mustPut(t *testing.T, key, data string, rev backend.Revision) backend.Revision {
	t.Helper()
	now, err := c.Put(t.Context(), key, []byte(data), rev)
	if err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
	if now.IsZero() || now.IsAny() {
		t.Fatalf("Put(%q) returned revision %v, which names no state", key, now)
	}
	return now
}

func (c client) create(t *testing.T, key, data string) backend.Revision {
	t.Helper()
	return c.mustPut(t, key, data, backend.Revision{})
}

func (c client) mustDelete(t *testing.T, key string, rev backend.Revision) {
	t.Helper()
	if err := c.Delete(t.Context(), key, rev); err != nil {
		t.Fatalf("Delete(%q) = %v", key, err)
	}
}

// mustHold fails unless key holds data, and returns its revision.
func (c client) mustHold(t *testing.T, key, data string) backend.Revision {
	t.Helper()
	got, rev, err := c.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q) = %v", key, err)
	}
	if !bytes.Equal(got, []byte(data)) {
		t.Fatalf("Get(%q) = %s, want %s", key, brief(got), brief([]byte(data)))
	}
	if rev.IsZero() || rev.IsAny() {
		t.Fatalf("Get(%q) returned revision %v, which names no state", key, rev)
	}
	return rev
}

func (c client) mustBeAbsent(t *testing.T, key string) {
	t.Helper()
	data, rev, err := c.Get(t.Context(), key)
	wantError(t, err, backend.ErrNotFound)
	if data != nil || !rev.IsZero() {
		t.Fatalf("Get(%q) of an absent key returned %s at %v", key, brief(data), rev)
	}
}

// mustRefuse fails unless putting at rev is refused with want.
func (c client) mustRefuse(t *testing.T, key, data string, rev backend.Revision, want error) {
	t.Helper()
	now, err := c.Put(t.Context(), key, []byte(data), rev)
	wantError(t, err, want)
	if !now.IsZero() {
		t.Fatalf("refused Put(%q) returned revision %v", key, now)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// brief keeps a failure message readable.
func brief(data []byte) string {
	const limit = 40
	if len(data) <= limit {
		return strings.ToValidUTF8(string(data), "?")
	}
	return strings.ToValidUTF8(string(data[:limit]), "?") + "..."
}

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
