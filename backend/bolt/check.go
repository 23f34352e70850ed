package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

// Check implements [backend.Backend]: writing is not stopped, the file can be
// read, is still the one that was opened, may be written, and the disk is not
// full.
func (b *Bolt) Check(ctx context.Context) error {
	_, err := view(ctx, b, func(*bbolt.Bucket) (struct{}, error) { return struct{}{}, b.check() })
	if err != nil {
		return fmt.Errorf("checking database: %w", err)
	}
	return nil
}

func (b *Bolt) check() error {
	if err := b.stopped(); err != nil {
		return err
	}
	same, err := at(b.file, b.path)
	if err != nil {
		return err
	}
	if !same {
		return errors.New("another file is in its place: restart")
	}
	if err := unix.Access(b.path, unix.R_OK|unix.W_OK); err != nil {
		return &os.PathError{Op: "access", Path: b.path, Err: err}
	}
	return disk.RoomOn(b.path)
}

// at reports whether the file opened is what is found at path: one that was
// removed or replaced takes with it what is written to it.
func at(file *os.File, path string) (bool, error) {
	opened, err := file.Stat()
	if err != nil {
		return false, err
	}
	found, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, found), nil
}
