package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	// spareRoom is what a snapshot leaves free on the disk, for what is written
	// while there is one.
	spareRoom = 64 << 20
	// watchPause is between two looks whether a snapshot holds somebody up, and
	// watchPatience how long somebody may be held up.
	watchPause    = 5 * time.Millisecond
	watchPatience = 50 * time.Millisecond
	// snapshotAttempts: each that has failed was followed by more room in the
	// address space, twice as much or a GiB.
	snapshotAttempts = 10
)

// ErrNoRoom reports that there is too little room on the disk for a snapshot.
var ErrNoRoom = errors.New("no room for a copy of the database")

// errHeldUp ends a copy that somebody waits for.
var errHeldUp = errors.New("the database grows faster than it can be copied")

// Snapshot returns a copy of the database as it is at one moment, to be read from
// its beginning. The file lies on the same disk, has no name, and is gone when it is
// closed, or with the process. Others read and write meanwhile; what they write lets
// the database grow, as no room in it is used again that the copy may still have to
// read. Errors: [ErrNoRoom], and those of the system.
func (b *Bolt) Snapshot(ctx context.Context) (*os.File, error) {
	file, err := b.snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("copying database %s: %w", b.path, err)
	}
	return file, nil
}

func (b *Bolt) snapshot(ctx context.Context) (*os.File, error) {
	file, err := nameless(filepath.Dir(b.path), temporary(b.path))
	if err != nil {
		return nil, err
	}
	for range snapshotAttempts {
		_, err = file.Seek(0, io.SeekStart)
		if err == nil {
			err = b.copyTo(ctx, file)
		}
		if !errors.Is(err, errHeldUp) {
			break
		}
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// ReadSnapshot returns a database that can only be read: what Snapshot returned, of
// which size bytes come from a reader. It is kept in a file in dir that has no name
// and is gone when the database is closed, or with the process. Errors: [ErrNoRoom],
// [ErrDamaged], io.ErrUnexpectedEOF when there are fewer bytes, and those of reader
// and system.
func ReadSnapshot(dir string, from io.Reader, size int64) (*Bolt, error) {
	b, err := readSnapshot(dir, from, size)
	if err != nil {
		return nil, fmt.Errorf("keeping a copy of a database in %s: %w", dir, err)
	}
	return b, nil
}

func readSnapshot(dir string, from io.Reader, size int64) (_ *Bolt, err error) {
	if err := roomFor(dir, size); err != nil {
		return nil, err
	}
	file, err := nameless(dir, "guardian-snapshot-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // bbolt may have done so
		}
	}()
	n, err := io.Copy(file, io.LimitReader(from, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	db, err := openNameless(file)
	if err != nil {
		return nil, err
	}
	return serve(file.Name(), db, file), nil
}

func openNameless(file *os.File) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(file.Name(), fileMode, &bbolt.Options{
			ReadOnly: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil },
		})
		return err
	})
	if err != nil {
		return nil, explained(err, file.Name())
	}
	if err := guarded(func() error { return inspect(db, file) }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// nameless makes a file, mode 0600, that no crash leaves behind. Who dies between
// the two steps leaves an empty one; beside a database, sweep removes it.
func nameless(dir, prefix string) (*os.File, error) {
	file, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// copyTo copies the database in one transaction, which it ends early when that is
// in the way.
//
// A transaction that reads keeps the mapping of the file into memory as it is. A
// writer for whom that has become too small waits until all that read have ended,
// and whoever wants to begin reading then waits behind the writer. However fast the
// copy is, that could be as long as it takes to copy all.
func (b *Bolt) copyTo(ctx context.Context, to io.Writer) error {
	return guarded(func() error {
		tx, err := b.db.Begin(false)
		if err != nil {
			return err
		}
		w := watch{db: b.db, stop: make(chan struct{})}
		defer w.end()
		defer func() { _ = tx.Rollback() }() // first: else what w has begun does not end
		if err := roomFor(filepath.Dir(b.path), tx.Size()); err != nil {
			return err
		}
		w.begin()
		out := &copying{ctx: ctx, closing: b.closing, watch: &w, to: to}
		_, err = tx.WriteTo(out)
		return cmp.Or(out.err, err)
	})
}

func roomFor(dir string, size int64) error {
	free, err := disk.Free(dir)
	if err == nil && free < size+spareRoom {
		err = fmt.Errorf("%w: it takes %d bytes in %s, where %d are free, and %d must stay so", ErrNoRoom, size, dir, free, spareRoom)
	}
	return err
}

// copying is where a copy goes, until it must not go on.
type copying struct {
	ctx     context.Context //nolint:containedctx // io.Writer has no place for it
	closing <-chan struct{}
	watch   *watch
	to      io.Writer
	// err is what it has ended with: bbolt keeps only the text of some errors.
	err error
}

func (c *copying) Write(data []byte) (n int, err error) {
	select {
	case <-c.closing:
		c.err = errClosed
	default:
		c.err = cmp.Or(c.ctx.Err(), c.watch.heldUp())
	}
	if c.err == nil {
		n, c.err = c.to.Write(data)
	}
	return n, c.err
}

// watch finds out whether somebody waits until all who read have ended: then nobody
// can begin to read.
type watch struct {
	db      *bbolt.DB
	stop    chan struct{}
	running sync.WaitGroup
	// began is since when it has tried to read, in nanoseconds since 1970; 0 while
	// it does not.
	began atomic.Int64
}

func (w *watch) begin() {
	w.running.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(watchPause):
			}
			w.began.Store(time.Now().UnixNano())
			_ = guarded(func() error { return w.db.View(func(*bbolt.Tx) error { return nil }) })
			w.began.Store(0)
		}
	})
}

func (w *watch) end() {
	close(w.stop)
	w.running.Wait()
}

func (w *watch) heldUp() error {
	if began := w.began.Load(); began != 0 && time.Since(time.Unix(0, began)) > watchPatience {
		return errHeldUp
	}
	return nil
}
