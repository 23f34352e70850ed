// Package bolt keeps objects in one file, a bbolt database, for a single
// process.
//
// Each key is an entry of one bucket. Its value is 8 bytes of a sequence that
// counts all puts, which is the revision; 8 bytes of the time of the put, in
// nanoseconds since 1970; and the object. Both numbers are big-endian.
package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	// maxBusy bounds the reads at work, and what a hung disk may hold of them.
	maxBusy = 128
	// closePatience is how long Close waits for a disk that hangs.
	closePatience = 10 * time.Second
	headerSize    = 16
)

// bucketName carries the version of the format.
var bucketName = []byte("guardian-objects-1")

// Bolt is a [backend.Backend] in one file. Only one process at a time can have
// it open. A file that shows damage fails the calls that meet it.
//
// Once a commit has failed of which the file shows more than it may have on
// disk, and once a write has met damage, it refuses to write until it is opened
// anew; reads go on.
type Bolt struct {
	path string
	db   *bbolt.DB
	file *os.File // the one that db has open, and closes
	busy disk.Semaphore

	queue          chan *write
	closing, ended chan struct{}
	failure        atomic.Pointer[error]
	// commitTx is a field so that tests can fail it.
	commitTx func(*bbolt.Tx) error

	*metrics
}

var _ backend.Batcher = (*Bolt)(nil)

// Open opens the database at path and makes it if it is absent, with mode 0600,
// and its directory likewise, with mode 0700. Nothing else that is there is
// touched: errors are [ErrLocked] after five seconds, [ErrDamaged], and those of
// the system.
func Open(path string) (*Bolt, error) { return open(path, lockPatience) }

func open(path string, patience time.Duration) (*Bolt, error) {
	db, file, err := openFile(path, patience)
	if err != nil {
		return nil, fmt.Errorf("opening database %s: %w", path, err)
	}
	return serve(path, db, file), nil
}

func serve(path string, db *bbolt.DB, file *os.File) *Bolt {
	b := &Bolt{
		path: path, db: db, file: file, busy: disk.NewSemaphore(maxBusy),
		queue: make(chan *write), closing: make(chan struct{}), ended: make(chan struct{}),
		commitTx: (*bbolt.Tx).Commit,
	}
	b.metrics = newMetrics(b)
	go b.run()
	return b
}

// Get implements [backend.Backend].
func (b *Bolt) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if !backend.ValidKey(key) {
		return nil, backend.Revision{}, invalid("getting", key)
	}
	got, err := view(ctx, b, func(objects *bbolt.Bucket) (object, error) { return get(objects, key) })
	if err != nil {
		return nil, backend.Revision{}, fmt.Errorf("getting %s: %w", key, err)
	}
	return got.data, got.rev, nil
}

func get(objects *bbolt.Bucket, key string) (object, error) {
	found, err := objectOf(objects.Get([]byte(key)))
	switch {
	case err != nil:
		return object{}, err
	case found.rev.IsZero():
		return object{}, backend.ErrNotFound
	case len(found.data) > backend.MaxObjectSize:
		return object{}, backend.ErrTooLarge
	}
	found.data = append([]byte{}, found.data...) // the file's own end with the transaction
	return found, nil
}

// Put implements [backend.Backend].
func (b *Bolt) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if !backend.ValidKey(key) {
		return backend.Revision{}, invalid("putting", key)
	}
	if len(data) > backend.MaxObjectSize {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", key, backend.ErrTooLarge)
	}
	now, err := b.submit(&write{ctx: ctx, change: change{key, valueOf(data)}, rev: rev})
	if err != nil {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", key, err)
	}
	return now, nil
}

// Delete implements [backend.Backend].
func (b *Bolt) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if !backend.ValidKey(key) {
		return invalid("deleting", key)
	}
	if _, err := b.submit(&write{ctx: ctx, change: change{key: key}, rev: rev}); err != nil {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}

// Close implements [backend.Backend]. It waits for the commit under way and for
// reads; of a disk that hangs it leaves the file to the end of the process.
func (b *Bolt) Close() error {
	close(b.closing)
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_, err := disk.Abandonable(ctx, func() (struct{}, error) {
		<-b.ended
		return struct{}{}, b.db.Close()
	})
	if err != nil {
		return fmt.Errorf("closing database %s: %w", b.path, err)
	}
	return nil
}

// String returns bolt:// and the path that Open was given.
func (b *Bolt) String() string { return "bolt://" + b.path }

// view runs read in a transaction of its own. They are short: while one is open,
// the file can only grow, and nothing can be written that needs more room in the
// address space.
func view[T any](ctx context.Context, b *Bolt, read func(objects *bbolt.Bucket) (T, error)) (T, error) {
	return disk.Do(ctx, b.busy, func() (value T, err error) {
		err = guarded(func() error {
			return b.db.View(func(tx *bbolt.Tx) (err error) {
				value, err = read(tx.Bucket(bucketName))
				return err
			})
		})
		return value, err
	})
}

// object is what a value holds. The zero object is an absent one.
type object struct {
	rev      backend.Revision
	modified time.Time
	data     []byte
}

func objectOf(value []byte) (object, error) {
	switch {
	case value == nil:
		return object{}, nil
	case len(value) < headerSize:
		return object{}, fmt.Errorf("%w: a value is cut short", ErrDamaged)
	}
	return object{
		rev:      revisionOf(binary.BigEndian.Uint64(value)),
		modified: time.Unix(0, int64(binary.BigEndian.Uint64(value[8:]))),
		data:     value[headerSize:],
	}, nil
}

// valueOf leaves room for the header.
func valueOf(data []byte) []byte { return slices.Concat(make([]byte, headerSize), data) }

func writeHeader(value []byte, sequence uint64, now time.Time) {
	binary.BigEndian.PutUint64(value, sequence)
	binary.BigEndian.PutUint64(value[8:], uint64(now.UnixNano()))
}

func revisionOf(sequence uint64) backend.Revision {
	return backend.NewRevision(strconv.FormatUint(sequence, 10))
}

func invalid(doing, key string) error {
	return fmt.Errorf("%s %.80q: %w", doing, key, backend.ErrInvalidKey)
}

var errClosed = errors.New("database is closed")
