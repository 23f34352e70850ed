package fs

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

const (
	// wholePatience is how long is waited for a syncfs that may have others' data
	// to write as well, and wholePause how long it is left alone after that.
	wholePatience = 20 * time.Millisecond
	wholePause    = time.Second
)

// errApart says that files are to be synced one by one.
var errApart = errors.New("the file system cannot be synced as a whole")

// whole makes durable all that was written to the file system, for all who wait
// for that at a time: one wait for the disk takes the place of six for each push.
//
// syncfs(2) starts and waits for the writing of everything, and since Linux 5.8
// tells of all that could not be written since root was opened or it last told
// of it (man 2 syncfs; ext4_sync_fs and xfs_fs_sync_fs end with a flush of the
// disk's own cache, as fsync does). It writes what other programs have written as
// well. So it only ever is the shorter way: where it cannot be had, fails, or takes
// long, each file and directory is synced by itself.
type whole struct {
	root   *os.File // nil where it cannot be had
	rounds *rounds
	syncfs func(*os.File) error
	// failures counts those that failed. An error is told of once: who wrote
	// before that, and waits for a later one, learns of it here only.
	failures atomic.Int64
	pause    atomic.Pointer[time.Time] // until when
	// begun counts them all, one at a time; done is which of them was the last that
	// succeeded.
	begun, done atomic.Int64
}

// moment is a time between two calls of syncfs, and what begin returned at one before.
type moment struct{ begun, failures int64 }

func (w *whole) now(failures int64) moment { return moment{w.begun.Load(), failures} }

// syncedSince reports whether a syncfs that began after a moment has succeeded, and none
// has failed since begin: what could not be written is told of once, and may be forgotten
// then.
func (w *whole) syncedSince(then moment) bool {
	return w.done.Load() > then.begun && w.failures.Load() == then.failures
}

// can reports whether there is a syncfs at all.
func (w *whole) can() bool { return w.root != nil }

func newWhole(root *os.File) *whole {
	w := &whole{rounds: newRounds(), syncfs: syncfs}
	if reportsAll(root) {
		w.root = root
	}
	return w
}

// begin is called before anything is written that sync is to make durable.
func (w *whole) begin() (failures int64) { return w.failures.Load() }

// sync makes durable what was written since begin, which returned failures. Any
// error: it may not be.
func (w *whole) sync(failures int64) error {
	if until := w.pause.Load(); !w.can() || until != nil && time.Now().Before(*until) {
		return errApart
	}
	turn := w.rounds.join(".", w.run)
	late := time.NewTimer(wholePatience)
	defer late.Stop()
	select {
	case <-turn.over:
	case <-late.C:
		w.rest()
		return errApart
	}
	if turn.err != nil {
		return turn.err
	}
	if w.failures.Load() != failures {
		return errApart
	}
	return nil
}

func (w *whole) run() error {
	nth := w.begun.Add(1)
	if err := w.syncfs(w.root); err != nil {
		w.failures.Add(1)
		w.rest()
		return err
	}
	w.done.Store(nth)
	return nil
}

func (w *whole) rest() {
	until := time.Now().Add(wholePause)
	w.pause.Store(&until)
}
