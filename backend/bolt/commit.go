package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

// A commit takes two waits for the disk, however much is in it. These bound the
// memory that it takes, and how long those wait who come first.
const (
	maxGroup      = 1024
	maxGroupBytes = 16 << 20
)

// change is a put, or a delete if value is nil.
type change struct {
	key   string
	value []byte // the header is filled in when it is its turn
}

// write is a change at a revision, and others that are carried out if it is.
type write struct {
	ctx context.Context
	change
	rev     backend.Revision
	with    []change
	done    chan struct{}
	outcome outcome // once done is closed
}

// size is what the write puts, in bytes.
func (w *write) size() int {
	size := len(w.value)
	for _, c := range w.with {
		size += len(c.value)
	}
	return size
}

type outcome struct {
	rev backend.Revision
	err error
}

// submit waits until w is carried out, or its context ends. Before the committer
// has taken it, nothing comes of it any more; afterwards it may.
func (b *Bolt) submit(w *write) (backend.Revision, error) {
	if err := w.ctx.Err(); err != nil {
		return backend.Revision{}, err
	}
	w.done = make(chan struct{})
	select {
	case b.queue <- w:
	case <-w.ctx.Done():
		return backend.Revision{}, w.ctx.Err()
	case <-b.closing:
		return backend.Revision{}, errClosed
	}
	select {
	case <-w.done:
		return w.outcome.rev, w.outcome.err
	case <-w.ctx.Done():
		return backend.Revision{}, w.ctx.Err()
	}
}

// run commits, group by group, whoever waits when the commit before has ended, and
// who gets here before all that can run have had a turn: nobody waits for company that
// may not come, and the longer the disk takes the larger the groups.
// (bbolt's own Batch waits 10 ms for company.)
func (b *Bolt) run() {
	defer close(b.ended)
	for {
		select {
		case first := <-b.queue:
			runtime.Gosched()
			group := b.gather(first)
			err := b.commit(group)
			for _, w := range group {
				if err != nil {
					w.outcome = outcome{err: err}
				}
				close(w.done)
			}
		case <-b.closing:
			return
		}
	}
}

func (b *Bolt) gather(first *write) []*write {
	group, size := []*write{first}, first.size()
	for len(group) < maxGroup && size < maxGroupBytes {
		select {
		case w := <-b.queue:
			group, size = append(group, w), size+w.size()
		default:
			return group
		}
	}
	return group
}

// commit carries out the group in one transaction. An error is the outcome of
// all: also a conflict may be with a write that was not to be.
func (b *Bolt) commit(group []*write) error {
	if err := b.stopped(); err != nil {
		return err
	}
	began := time.Now()
	tx, err := b.db.Begin(true)
	if err != nil {
		return err
	}
	id := tx.ID()
	err = guarded(func() error {
		changed, err := apply(tx, group, began)
		if err != nil || !changed {
			return errors.Join(err, tx.Rollback())
		}
		return b.commitTx(tx)
	})
	b.observe(time.Since(began))
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrDamaged) {
		// Where the panic left it, the transaction still has the writer's lock.
		_ = guarded(tx.Rollback)
		b.stop(err)
	} else if b.shows(id) {
		b.stop(err)
	}
	return fmt.Errorf("committing: %w", err)
}

// apply judges the writes in order, each over what those before have left, and
// reports whether there is something to commit. After an error there may be a
// part of a write, and nothing is to be committed.
func apply(tx *bbolt.Tx, group []*write, now time.Time) (changed bool, err error) {
	objects := tx.Bucket(bucketName)
	for _, w := range group {
		current, err := w.judge(objects)
		if w.outcome.err = err; err != nil || w.value == nil && current.rev.IsZero() {
			continue
		}
		changed = true
		if w.outcome.rev, err = w.apply(objects, now); err != nil {
			return changed, err
		}
		for _, c := range w.with {
			if _, err := c.apply(objects, now); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// judge returns what the write finds under its key, or why it is not to be.
func (w *write) judge(objects *bbolt.Bucket) (object, error) {
	if err := w.ctx.Err(); err != nil {
		return object{}, err
	}
	current, err := objectOf(objects.Get([]byte(w.key)))
	if err != nil {
		return object{}, err
	}
	if absent := current.rev.IsZero(); (w.value != nil || !absent) && !w.rev.IsAny() && w.rev != current.rev {
		return object{}, backend.ErrConflict
	}
	return current, nil
}

func (c change) apply(objects *bbolt.Bucket, now time.Time) (backend.Revision, error) {
	if c.value == nil {
		return backend.Revision{}, objects.Delete([]byte(c.key))
	}
	sequence, err := objects.NextSequence()
	if err != nil {
		return backend.Revision{}, err
	}
	writeHeader(c.value, sequence, now)
	return revisionOf(sequence), objects.Put([]byte(c.key), c.value)
}

// shows reports whether readers see the transaction, whose commit has failed.
//
// bbolt writes the pages of a transaction where nothing leads to, waits for the
// disk, writes the head of the file that leads to them, and waits again. As long
// as the head is the old one, all that it leads to is as it was: the write has
// failed, for want of room for example, and the next may succeed. But once the
// head is the new one and the disk has failed, the kernel may have dropped it,
// after it has shown it: the next transaction would write over pages that the
// head on disk still leads to.
func (b *Bolt) shows(id int) bool {
	seen := true
	_ = guarded(func() error {
		return b.db.View(func(tx *bbolt.Tx) error {
			seen = tx.ID() >= id
			return nil
		})
	})
	return seen
}

func (b *Bolt) stop(err error) { b.failure.CompareAndSwap(nil, &err) }

// stopped returns why nothing is written any more, or nil.
func (b *Bolt) stopped() error {
	if failure := b.failure.Load(); failure != nil {
		return fmt.Errorf("writing is stopped, check the disk and restart: a commit failed: %w", *failure)
	}
	return nil
}
