package disk

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"
)

const dirMode = 0o700

// MakeDir makes dir and its parents durably where they are absent, with mode
// 0700. The entry of one that exists may not be on disk yet; its parent is none
// of our business if we may not read it.
func MakeDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	err = os.Mkdir(dir, dirMode)
	if errors.Is(err, os.ErrNotExist) && parent != dir {
		if err := MakeDir(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, dirMode)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := SyncDir(parent); !errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}

// SyncDir makes the entries of dir durable.
func SyncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// Free returns how many bytes may still be written to the file system of path.
// Those without such limits say zero of zero.
func Free(path string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if stat.Blocks == 0 {
		return math.MaxInt64, nil
	}
	return int64(uint64(stat.Bavail) * uint64(stat.Bsize)), nil //nolint:unconvert // it is signed on FreeBSD
}

// RoomOn reports that the file system of path is full. Those without such
// limits say zero of zero.
func RoomOn(path string) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if stat.Blocks > 0 && stat.Bavail == 0 || stat.Files > 0 && stat.Ffree == 0 {
		return &os.PathError{Op: "statfs", Path: path, Err: syscall.ENOSPC}
	}
	return nil
}
