// Package fs keeps objects as files in a directory that any number of
// processes may share.
//
// Compare-and-swap and durability hold on every local file system whose names
// survive a loss of power, which those of ext4 without a journal do not, and on a
// network file system if it keeps three promises: flock(2) excludes between
// hosts (NFS version 4 and EFS do so unless mounted with local_lock or nolock),
// rename(2) replaces in one step, and fsync(2) of a directory makes its entries
// durable. What another host has written may be seen late there, by reads
// only, unless the mount turns the caching of attributes off (noac): writes are
// decided under the lock.
package fs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// maxBusy bounds the threads that wait for the disk. It is far above what one
// disk can do side by side, and far below what the system allows.
const maxBusy = 128

// FS is a [backend.Backend] on a directory. A revision is the hash of the
// bytes, so it means the same to every process.
//
// After a failed fsync of a directory it refuses to write until it is opened
// anew; reads go on.
type FS struct {
	dir     string
	root    *os.Root
	dirFile *os.File // root, open
	tree    *tree
	locks   *stripes
	busy    disk.Semaphore
	writer  *writer
	window  int
}

var _ backend.Batcher = (*FS)(nil)

// Open opens the directory dir and creates it if it is absent, with mode 0700.
// Mode and owner of a directory that exists are the operator's and are left
// alone. Temporary files of writers that died over an hour ago are removed, and all
// [spares].
func Open(dir string) (*FS, error) {
	if err := disk.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("creating storage directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening storage directory: %w", err)
	}
	f, err := openIn(root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening storage directory: %w", err), f.Close())
	}
	f.dir = dir
	return f, nil
}

// openIn returns what it could open along with the error.
func openIn(root *os.Root) (f *FS, err error) {
	f = &FS{root: root, busy: disk.NewSemaphore(maxBusy), window: defaultWindow}
	if f.locks, err = openStripes(root); err != nil {
		return f, err
	}
	if err = sweepTemporary(root); err != nil {
		return f, err
	}
	if f.dirFile, err = root.Open("."); err != nil {
		return f, err
	}
	if f.tree, err = newTree(root, f.dirFile); err != nil {
		return f, err
	}
	f.writer = newWriter(f.tree, newWhole(f.dirFile))
	return f, nil
}

// Get implements [backend.Backend].
func (f *FS) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if !backend.ValidKey(key) {
		return nil, backend.Revision{}, invalid("getting", key)
	}
	got, err := disk.Do(ctx, f.busy, func() (state, error) { return f.read(key) })
	if err != nil {
		return nil, backend.Revision{}, fmt.Errorf("getting %s: %w", key, err)
	}
	return got.data, got.rev, nil
}

// Put implements [backend.Backend].
func (f *FS) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	if !backend.ValidKey(key) {
		return backend.Revision{}, invalid("putting", key)
	}
	if len(data) > backend.MaxObjectSize {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", key, backend.ErrTooLarge)
	}
	// A write that is left behind may outlast the caller's use of data.
	data = bytes.Clone(data)
	now, err := disk.Abandonable(ctx, func() (backend.Revision, error) {
		return revisionOf(data), f.put(ctx, key, data, rev)
	})
	if err != nil {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", key, err)
	}
	return now, nil
}

// Delete implements [backend.Backend].
func (f *FS) Delete(ctx context.Context, key string, rev backend.Revision) error {
	if !backend.ValidKey(key) {
		return invalid("deleting", key)
	}
	_, err := disk.Abandonable(ctx, func() (struct{}, error) { return struct{}{}, f.remove(ctx, key, rev) })
	if err != nil {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}

// Close implements [backend.Backend]. Writes that were left behind by their
// callers may still land.
func (f *FS) Close() error {
	if f.writer != nil {
		f.writer.spares.end()
		f.writer.settled.close()
	}
	if err := errors.Join(f.locks.close(), f.dirFile.Close(), f.root.Close()); err != nil {
		return fmt.Errorf("closing storage directory: %w", err)
	}
	return nil
}

// String returns the path that Open was given.
func (f *FS) String() string { return f.dir }

// put writes the bytes before it takes the lock, so that writers of one key
// wait for each other's rename only.
func (f *FS) put(ctx context.Context, key string, data []byte, rev backend.Revision) error {
	var temp string
	err := f.busy.Hold(ctx, func() (err error) {
		temp, err = f.writer.stage(data)
		return err
	})
	if err != nil {
		return err
	}
	err = f.exclusively(ctx, key, func() error {
		if now, err := f.current(key, rev); err != nil || now != rev {
			return conflictOr(err)
		}
		return f.writer.publish(ctx, temp, key)
	})
	if err != nil {
		f.writer.discard(temp)
	}
	return err
}

// remove goes through with it when key is absent as well: the one who removed
// it may have died before that was durable.
func (f *FS) remove(ctx context.Context, key string, rev backend.Revision) error {
	return f.exclusively(ctx, key, func() error {
		if now, err := f.current(key, rev); err != nil || now != rev && !now.IsZero() {
			return conflictOr(err)
		}
		return f.writer.remove(ctx, key)
	})
}

// exclusively runs op while no other goroutine or process writes key. Who
// waits for a key's turn takes none of the slots that other keys need.
func (f *FS) exclusively(ctx context.Context, key string, op func() error) error {
	stripe := f.locks.of(key)
	return stripe.turn.Hold(ctx, func() error {
		return f.busy.Hold(ctx, func() error { return stripe.locked(ctx, op) })
	})
}

// current returns the revision that rev is to be compared with.
func (f *FS) current(key string, rev backend.Revision) (backend.Revision, error) {
	if rev.IsAny() {
		return rev, nil
	}
	stored, err := f.read(key)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return backend.Revision{}, nil
	case errors.Is(err, backend.ErrTooLarge):
		return backend.NewRevision("too large"), nil
	default:
		return stored.rev, err
	}
}

func conflictOr(err error) error {
	if err != nil {
		return err
	}
	return backend.ErrConflict
}

// state is what is stored under a key.
type state struct {
	data []byte
	rev  backend.Revision
}

func revisionOf(data []byte) backend.Revision {
	sum := sha256.Sum256(data)
	return backend.NewRevision(hex.EncodeToString(sum[:16]))
}

func invalid(doing, key string) error {
	return fmt.Errorf("%s %.80q: %w", doing, key, backend.ErrInvalidKey)
}

func notFoundOr(err error) error {
	if absent(err) {
		return backend.ErrNotFound
	}
	return err
}

// absent reports whether err says that a path, or a directory on the way to
// it, is not there.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
