package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

// Check implements [backend.Backend]: writing is not stopped, the directory
// and its locks are still the ones that were opened, it may be written, and
// the disk is not full.
func (f *FS) Check(ctx context.Context) error {
	_, err := disk.Do(ctx, f.busy, func() (struct{}, error) { return struct{}{}, f.check() })
	if err != nil {
		return fmt.Errorf("checking storage directory: %w", err)
	}
	return nil
}

func (f *FS) check() error {
	const readWriteSearch = 7
	if err := f.writer.stopped(); err != nil {
		return err
	}
	if err := f.inPlace(); err != nil {
		return err
	}
	if err := syscall.Access(f.dir, readWriteSearch); err != nil {
		return &os.PathError{Op: "access", Path: f.dir, Err: err}
	}
	return disk.RoomOn(f.dir)
}

// inPlace reports a directory that was removed, moved or mounted over: what is
// written would not be found again. With other lock files in place, another
// process may already be writing under those.
func (f *FS) inPlace() error {
	opened, err := f.root.Stat(".")
	if err != nil {
		return err
	}
	found, err := os.Stat(f.dir)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, found) {
		return errors.New("another directory is in its place: restart")
	}
	lock, err := f.root.Open(stripeName(0))
	if err != nil {
		return err
	}
	defer lock.Close()
	if !sameFile(lock, f.locks[0].file) {
		return errors.New("its lock files were replaced: restart")
	}
	return nil
}
