package backendtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/vault-guardian/guardian/backend"
)

// ErrInjected is the error of every call that [Faulty] made fail.
var ErrInjected = errors.New("injected storage fault")

// Op names a method of [backend.Backend].
type Op string

// The methods that [Faulty] counts and can make fail.
const (
	OpGet          Op = "get"
	OpPut          Op = "put"
	OpDelete       Op = "delete"
	OpList         Op = "list"
	OpListSegments Op = "list segments"
	OpCheck        Op = "check"
)

// Call is one call of a method. A listing is one call each time it is ranged
// over.
type Call struct {
	// N counts the calls of one Faulty from 1, in the order they began.
	N  int
	Op Op
	// Key is the key, or the prefix of a listing; "" for a check.
	Key string
}

// Fault is what becomes of a call.
type Fault int

const (
	// None lets the call through.
	None Fault = iota
	// NotApplied fails the call before it reaches the storage.
	NotApplied
	// AnswerLost carries the call out, then fails it whatever came of it. A
	// listing yields its entries first.
	AnswerLost
)

// Faulty passes calls on to Backend and makes those fail that Inject chooses.
// It is safe for concurrent use once its fields are set.
type Faulty struct {
	backend.Backend
	// Inject decides about one call; nil lets all through. It is called by
	// the goroutine of the call, without a lock held, so it may also block.
	// Once calls are made, change it with SetInject.
	Inject func(Call) Fault

	mu    sync.Mutex // guards calls, and Inject once calls are made
	calls []Call
}

var _ backend.Backend = (*Faulty)(nil)

// SetInject changes Inject for the calls that begin from now on.
func (f *Faulty) SetInject(inject func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Inject = inject
}

// Calls returns the calls so far in the order of their N, so that a test can
// run a protocol once and then again with a fault at each of its steps.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Get implements [backend.Backend].
func (f *Faulty) Get(ctx context.Context, key string) (data []byte, rev backend.Revision, err error) {
	if f.call(OpGet, key, func() { data, rev, err = f.Backend.Get(ctx, key) }) {
		return nil, backend.Revision{}, ErrInjected
	}
	return data, rev, err
}

// Put implements [backend.Backend].
func (f *Faulty) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (now backend.Revision, err error) {
	if f.call(OpPut, key, func() { now, err = f.Backend.Put(ctx, key, data, rev) }) {
		return backend.Revision{}, ErrInjected
	}
	return now, err
}

// Delete implements [backend.Backend].
func (f *Faulty) Delete(ctx context.Context, key string, rev backend.Revision) (err error) {
	if f.call(OpDelete, key, func() { err = f.Backend.Delete(ctx, key, rev) }) {
		return ErrInjected
	}
	return err
}

// List implements [backend.Backend].
func (f *Faulty) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return f.list(OpList, prefix, f.Backend.List(ctx, prefix, after))
}

// ListSegments implements [backend.Backend].
func (f *Faulty) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return f.list(OpListSegments, prefix, f.Backend.ListSegments(ctx, prefix, after))
}

// Check implements [backend.Backend].
func (f *Faulty) Check(ctx context.Context) (err error) {
	if f.call(OpCheck, "", func() { err = f.Backend.Check(ctx) }) {
		return ErrInjected
	}
	return err
}

// list counts a call for each time the sequence is ranged over.
func (f *Faulty) list(op Op, prefix string, entries iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		more := true
		lost := f.call(op, prefix, func() {
			for entry, err := range entries {
				if more = yield(entry, err) && err == nil; !more {
					return
				}
			}
		})
		if lost && more {
			yield(backend.Entry{}, ErrInjected)
		}
	}
}

// call records a call, carries it out unless its fault forbids it, and reports
// whether the caller is to see ErrInjected.
func (f *Faulty) call(op Op, key string, apply func()) bool {
	fault := f.fault(op, key)
	if fault != NotApplied {
		apply()
	}
	return fault != None
}

func (f *Faulty) fault(op Op, key string) Fault {
	f.mu.Lock()
	call := Call{N: len(f.calls) + 1, Op: op, Key: key}
	f.calls = append(f.calls, call)
	inject := f.Inject
	f.mu.Unlock()
	if inject == nil {
		return None
	}
	return inject(call)
}
