package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	fileMode     = 0o600
	lockPatience = 5 * time.Second
	// replacements bounds how often the file may be replaced between its opening
	// and its locking; each time takes another compaction just then.
	replacements = 10
)

// ErrLocked reports that another process has the file open.
var ErrLocked = errors.New("database is locked")

// Exists reports whether there is something at path.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// openFile makes the database where it is absent and opens it. It is looked at
// first, because bbolt writes to some that it opens: to an empty file, and to one
// of another program that keeps no list of free pages.
func openFile(path string, patience time.Duration) (*bbolt.DB, *os.File, error) {
	if err := makeAbsent(path); err != nil {
		return nil, nil, err
	}
	const look = true
	db, _, err := openLocked(path, patience, look)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	db, file, err := openLocked(path, patience, !look)
	if err != nil {
		return nil, nil, err
	}
	if err := cmp.Or(settle(db, file), sweep(path)); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, file, nil
}

// makeAbsent gives a database its name once it is whole, so that there never is
// an empty file that only a crash explains.
func makeAbsent(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case err == nil && info.Size() == 0:
		return fmt.Errorf("%w: the file is empty", ErrDamaged)
	case err == nil, !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := disk.MakeDir(filepath.Dir(path)); err != nil {
		return err
	}
	temp, err := makeTemporary(path)
	if err != nil {
		return err
	}
	err = os.Link(temp, path)
	if Exists(path) { // perhaps another was faster
		err = nil
	}
	_ = os.Remove(temp) // what cannot be removed now is swept up by a later Open
	return errors.Join(err, disk.SyncDir(filepath.Dir(path)))
}

// makeTemporary makes an empty database beside path.
func makeTemporary(path string) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), temporary(path)+"*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := file.Close(); err != nil {
		return "", err
	}
	db, err := bbolt.Open(file.Name(), fileMode, nil)
	if err != nil {
		return "", err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
	return file.Name(), errors.Join(err, db.Close())
}

// temporary is how the names of temporary files for path begin.
func temporary(path string) string { return "." + filepath.Base(path) + ".tmp-" }

// sweep removes the temporary files of those who died. The caller has the lock:
// nobody is at work on one that is still needed.
func sweep(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // whoever may not read the directory has made no file in it
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), temporary(path)) {
			continue
		}
		err := os.Remove(filepath.Join(filepath.Dir(path), entry.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openLocked opens what is at path once it is locked, and looks at it.
func openLocked(path string, patience time.Duration, readOnly bool) (*bbolt.DB, *os.File, error) {
	for range replacements {
		db, file, err := openOnce(path, patience, readOnly)
		if err != nil {
			return nil, nil, err
		}
		same, err := at(file, path)
		if err == nil && same {
			err = guarded(func() error { return inspect(db, file) })
		}
		if err == nil && same {
			return db, file, nil
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errors.New("it is replaced again and again")
}

func openOnce(path string, patience time.Duration, readOnly bool) (db *bbolt.DB, file *os.File, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, fileMode, &bbolt.Options{
			Timeout:  patience,
			ReadOnly: readOnly,
			// A share of 512 KiB takes 129 pages in a row. The default type looks
			// for them page by page through all that are free, in every commit.
			FreelistType: bbolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		return err
	})
	if err == nil {
		return db, file, nil
	}
	if file != nil {
		_ = file.Close() // bbolt does so unless it panics; with the file goes the lock
	}
	return nil, nil, explained(err, path)
}

func explained(err error, path string) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w by %s: one process at a time can use it", ErrLocked, cmp.Or(holder(path), "another guardian or guardianctl"))
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum),
		strings.HasPrefix(err.Error(), "file size too small"): // which is no error of bbolt's own kind
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// inspect tells a guardian's database from others, and sees one cut short.
func inspect(db *bbolt.DB, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		switch {
		case info.Size() < tx.Size():
			return fmt.Errorf("%w: of %d bytes there are %d", ErrDamaged, tx.Size(), info.Size())
		case tx.Bucket(bucketName) == nil:
			return fmt.Errorf("%w: it is a database of another program", ErrDamaged)
		}
		return nil
	})
}

// settle puts on disk what this process reads, see [Bolt.shows]. Whoever had the
// file before may have died, or had a disk that failed, between writing its head
// and knowing it on disk; after a failure the kernel takes for clean what it has
// dropped, so that a sync alone would do nothing. What the head leads to was on
// disk before it was written.
func settle(db *bbolt.DB, file *os.File) error {
	head := make([]byte, 2*db.Info().PageSize)
	if _, err := file.ReadAt(head, 0); err != nil {
		return err
	}
	if _, err := file.WriteAt(head, 0); err != nil {
		return err
	}
	return file.Sync()
}
