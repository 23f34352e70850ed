package backendtest_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestFaultyPassesCallsOn(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		memory := backendtest.NewMemory()
		return func(*testing.T) backend.Backend { return &backendtest.Faulty{Backend: memory} }
	})
}

func TestFaultyFails(t *testing.T) {
	for _, test := range []struct {
		op   backendtest.Op
		call func(t *testing.T, b backend.Backend) error
		// applied is whether the storage shows that the call was carried out.
		applied func(before, after map[string][]byte) bool
	}{
		{backendtest.OpGet, get, nil},
		{backendtest.OpPut, func(t *testing.T, b backend.Backend) error {
			_, err := b.Put(t.Context(), "a/new", []byte("x"), backend.Revision{})
			return err
		}, func(before, after map[string][]byte) bool { return len(after) > len(before) }},
		{backendtest.OpDelete, func(t *testing.T, b backend.Backend) error {
			return b.Delete(t.Context(), "a/old", backend.AnyRevision)
		}, func(before, after map[string][]byte) bool { return len(after) < len(before) }},
		{backendtest.OpCheck, func(t *testing.T, b backend.Backend) error { return b.Check(t.Context()) }, nil},
		{backendtest.OpList, func(t *testing.T, b backend.Backend) error { return last(b.List(t.Context(), "a/", "")) }, nil},
		{backendtest.OpListSegments, func(t *testing.T, b backend.Backend) error {
			return last(b.ListSegments(t.Context(), "a/", ""))
		}, nil},
	} {
		for _, fault := range []backendtest.Fault{backendtest.None, backendtest.NotApplied, backendtest.AnswerLost} {
			memory := backendtest.NewMemory()
			if _, err := memory.Put(t.Context(), "a/old", nil, backend.Revision{}); err != nil {
				t.Fatal(err)
			}
			before := memory.Objects()
			faulty := &backendtest.Faulty{Backend: memory, Inject: func(call backendtest.Call) backendtest.Fault {
				if call.Op == test.op {
					return fault
				}
				return backendtest.None
			}}
			err := test.call(t, faulty)
			if failed := errors.Is(err, backendtest.ErrInjected); failed != (fault != backendtest.None) {
				t.Errorf("%s with fault %d: %v", test.op, fault, err)
			}
			if test.applied == nil {
				continue
			}
			if applied := test.applied(before, memory.Objects()); applied != (fault != backendtest.NotApplied) {
				t.Errorf("%s with fault %d: applied is %v", test.op, fault, applied)
			}
		}
	}
}

func get(t *testing.T, b backend.Backend) error {
	_, _, err := b.Get(t.Context(), "a/old")
	return err
}

func last(entries func(func(backend.Entry, error) bool)) error {
	var last error
	for _, err := range entries {
		last = err
	}
	return last
}

func TestFaultyListYieldsBeforeItsAnswerIsLost(t *testing.T) {
	memory := backendtest.NewMemory()
	if _, err := memory.Put(t.Context(), "a", nil, backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	for fault, want := range map[backendtest.Fault]int{backendtest.NotApplied: 0, backendtest.AnswerLost: 1} {
		faulty := &backendtest.Faulty{Backend: memory, Inject: func(backendtest.Call) backendtest.Fault { return fault }}
		entries := 0
		for _, err := range faulty.List(t.Context(), "", "") {
			if err == nil {
				entries++
			}
		}
		if entries != want {
			t.Errorf("fault %d: %d entries, want %d", fault, entries, want)
		}
	}
}

func TestFaultyLosesTheAnswerOfAConflict(t *testing.T) {
	faulty := &backendtest.Faulty{Backend: backendtest.NewMemory(), Inject: func(backendtest.Call) backendtest.Fault {
		return backendtest.AnswerLost
	}}
	_, err := faulty.Put(t.Context(), "a", nil, backend.NewRevision("stale"))
	if !errors.Is(err, backendtest.ErrInjected) || errors.Is(err, backend.ErrConflict) {
		t.Errorf("Put = %v", err)
	}
}

func TestFaultyCountsCalls(t *testing.T) {
	faulty := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	if _, err := faulty.Put(t.Context(), "a/old", nil, backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	if err := get(t, faulty); err != nil {
		t.Fatal(err)
	}
	entries := faulty.List(t.Context(), "p", "")
	for range entries { //nolint:errcheck // what it yields is not what this is about
	}
	for range entries { //nolint:errcheck // what it yields is not what this is about
	}
	want := []backendtest.Call{
		{N: 1, Op: backendtest.OpPut, Key: "a/old"},
		{N: 2, Op: backendtest.OpGet, Key: "a/old"},
		{N: 3, Op: backendtest.OpList, Key: "p"},
		{N: 4, Op: backendtest.OpList, Key: "p"},
	}
	if got := faulty.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls are %v, want %v", got, want)
	}
}

func TestFaultyCountsConcurrentCallsOnce(t *testing.T) {
	const callers = 50
	faulty := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	var group sync.WaitGroup
	for range callers {
		group.Go(func() { _ = faulty.Check(t.Context()) })
	}
	group.Wait()
	for i, call := range faulty.Calls() {
		if call.N != i+1 {
			t.Fatalf("call %d has number %d", i+1, call.N)
		}
	}
	if got := len(faulty.Calls()); got != callers {
		t.Errorf("%d calls, want %d", got, callers)
	}
}
