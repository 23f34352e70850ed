package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

// Compacted says what a compaction came to.
type Compacted struct {
	Objects     int   `json:"objects"`
	BytesBefore int64 `json:"bytes_before"`
	BytesAfter  int64 `json:"bytes_after"`
}

// Compact writes the database at path anew, without the room that deleted objects
// have left in it. It copies to a file beside it, puts that on disk, compares
// both, and gives it the name of the old one: at any moment there is the old one
// or the new one, each whole. Revisions stay what they are. Errors are those of
// [Open]; nothing was changed then, but where the new one is there and perhaps not
// yet durable.
func Compact(ctx context.Context, path string) (Compacted, error) {
	done, err := compact(ctx, path, lockPatience)
	if err != nil {
		return Compacted{}, fmt.Errorf("compacting database %s: %w", path, err)
	}
	return done, nil
}

func compact(ctx context.Context, path string, patience time.Duration) (done Compacted, err error) {
	path, err = filepath.EvalSymlinks(path) // a link stays one
	if err != nil {
		return done, err
	}
	// The lock is kept until the new file has the name: who waits for it looks
	// again then.
	from, file, err := openFile(path, patience)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	temp, err := makeTemporary(path)
	if err != nil {
		return done, err
	}
	defer os.Remove(temp) // which is gone if all went well
	if done.Objects, err = fill(ctx, temp, from); err != nil {
		return done, err
	}
	if done.BytesBefore, done.BytesAfter, err = sizes(path, temp); err != nil {
		return done, err
	}
	if err := sameOwner(temp, file); err != nil {
		return done, err
	}
	if err := os.Rename(temp, path); err != nil {
		return done, err
	}
	return done, disk.SyncDir(filepath.Dir(path))
}

// fill copies all to the database at temp and returns how much that is, once it is
// on disk and equal.
func fill(ctx context.Context, temp string, from *bbolt.DB) (count int, err error) {
	// Nobody reads it before the one wait for the disk at the end.
	to, err := bbolt.Open(temp, fileMode, &bbolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	err = guarded(func() error {
		return from.View(func(tx *bbolt.Tx) error { return copyObjects(ctx, to, tx.Bucket(bucketName)) })
	})
	if err != nil {
		return 0, err
	}
	if err := to.Sync(); err != nil {
		return 0, err
	}
	err = guarded(func() error {
		return from.View(func(a *bbolt.Tx) error {
			return to.View(func(b *bbolt.Tx) error {
				count, err = compare(ctx, a.Bucket(bucketName), b.Bucket(bucketName))
				return err
			})
		})
	})
	return count, err
}

// copyObjects takes as much into a transaction as a group of writes is.
func copyObjects(ctx context.Context, to *bbolt.DB, source *bbolt.Bucket) error {
	cursor := source.Cursor()
	for key, value := cursor.First(); key != nil; {
		err := to.Update(func(tx *bbolt.Tx) error {
			target := tx.Bucket(bucketName)
			target.FillPercent = 1 // keys come in order
			for size := 0; key != nil && size < maxGroupBytes; key, value = cursor.Next() {
				if err := errors.Join(ctx.Err(), target.Put(key, value)); err != nil {
					return err
				}
				size += len(key) + len(value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return to.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).SetSequence(source.Sequence()) })
}

// compare returns how many entries both have.
func compare(ctx context.Context, a, b *bbolt.Bucket) (count int, err error) {
	one, other := a.Cursor(), b.Cursor()
	key, value := one.First()
	for k, v := other.First(); ; k, v = other.Next() {
		switch {
		case ctx.Err() != nil:
			return count, ctx.Err()
		case !bytes.Equal(key, k) || !bytes.Equal(value, v):
			return count, fmt.Errorf("the copy differs at %q", key)
		case key == nil && a.Sequence() != b.Sequence():
			return count, errors.New("the copy differs in its sequence")
		case key == nil:
			return count, nil
		}
		count++
		key, value = one.Next()
	}
}

func sizes(before, after string) (int64, int64, error) {
	old, errOld := os.Stat(before)
	compacted, errNew := os.Stat(after)
	if err := errors.Join(errOld, errNew); err != nil {
		return 0, 0, err
	}
	return old.Size(), compacted.Size(), nil
}

// sameOwner keeps a file that root compacts the guardian's.
func sameOwner(name string, old *os.File) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid() {
		return nil
	}
	return os.Chown(name, int(stat.Uid), int(stat.Gid))
}
