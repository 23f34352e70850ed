package backend

import (
	"context"
	"fmt"
	"sync"
)

// Object is what is stored under a key.
type Object struct {
	Key  string
	Data []byte
}

func (o Object) check() error {
	if !ValidKey(o.Key) {
		return fmt.Errorf("putting %.80q: %w", o.Key, ErrInvalidKey)
	}
	if len(o.Data) > MaxObjectSize {
		return fmt.Errorf("putting %s: %w", o.Key, ErrTooLarge)
	}
	return nil
}

// Got is what [Backend.Get] returns.
type Got struct {
	Data []byte
	Rev  Revision
	Err  error
}

// NothingGot is for backends: it is what [Batcher.GetEach] returns when it could not
// be carried out.
func NothingGot(err error, keys []string) []Got {
	all := make([]Got, len(keys))
	for i, key := range keys {
		all[i].Err = fmt.Errorf("getting %s: %w", key, err)
	}
	return all
}

// Batch is a conditional put with what belongs to it.
type Batch struct {
	// Create are objects under keys that nobody else writes, and that nobody reads
	// by name before Put is carried out: it is what names them. One that is there
	// already, of an earlier try, must have the same bytes.
	Create []Object
	// Put is stored if its key is still at Rev, as by [Backend.Put].
	Put Object
	Rev Revision
	// Drop are keys that nobody needs once Put is carried out. They are removed on
	// a best effort, and may be back after a crash.
	Drop []string
}

// Check returns ErrInvalidKey or ErrTooLarge, wrapped, where one of the batch is.
func (b Batch) Check() error {
	for _, object := range b.Create {
		if err := object.check(); err != nil {
			return err
		}
	}
	if err := b.Put.check(); err != nil {
		return err
	}
	for _, key := range b.Drop {
		if !ValidKey(key) {
			return fmt.Errorf("dropping %.80q: %w", key, ErrInvalidKey)
		}
	}
	return nil
}

// Batcher is a [Backend] that carries out several calls together, at little more
// than the cost of one. Not every Backend is one: [GetEach] stands in for the
// one method; who has no Batcher to Apply creates first and then puts.
type Batcher interface {
	Backend

	// GetEach gets each key, as Get does: what it returns was there at some time
	// during the call, for each key at a time of its own.
	GetEach(ctx context.Context, keys ...string) []Got

	// Apply carries out a batch, and returns the revision of what was put. At no
	// time, not after a crash either, is that there while anything to be created
	// is not.
	//
	// A nil error: all is stored and durable. ErrConflict, ErrInvalidKey,
	// ErrTooLarge: nothing was put or dropped. Any other error: the outcome is
	// unknown, as that of a Put. With any error, some of what was to be created may
	// be there, and a part of an object or, after a loss of power, other bytes too;
	// and where ctx has ended, be written and removed yet: such a batch is not
	// applied again.
	Apply(ctx context.Context, batch Batch) (Revision, error)
}

// GetEach gets several keys, with one call where b is a [Batcher], and else with
// as many at the same time. A panic in a call comes back in the caller's
// goroutine.
func GetEach(ctx context.Context, b Backend, keys ...string) []Got {
	if batcher, ok := b.(Batcher); ok {
		return batcher.GetEach(ctx, keys...)
	}
	all := make([]Got, len(keys))
	calls := make([]func(), len(keys))
	for i, key := range keys {
		calls[i] = func() { all[i].Data, all[i].Rev, all[i].Err = b.Get(ctx, key) }
	}
	SideBySide(calls...)
	return all
}

// SideBySide runs the functions at the same time and waits for all. A panic
// comes back in the caller's goroutine, where a server can answer for it.
func SideBySide(functions ...func()) {
	var wg sync.WaitGroup
	panics := make(chan any, len(functions))
	for _, f := range functions {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- p
				}
			}()
			f()
		})
	}
	wg.Wait()
	select {
	case p := <-panics:
		panic(p)
	default:
	}
}
