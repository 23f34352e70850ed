//go:build !linux

package fs

import (
	"errors"
	"os"
)

// beneath stands for a system that looks no path up in one step.
type beneath int

func (beneath) works() bool { return false }

func (beneath) read(string) (source, error)             { return nil, errors.ErrUnsupported }
func (beneath) create(string, string) (*os.File, error) { return nil, errors.ErrUnsupported }
func (beneath) mkdir(string) error                      { return errors.ErrUnsupported }
func (beneath) rename(string, string) error             { return errors.ErrUnsupported }
func (beneath) remove(string) error                     { return errors.ErrUnsupported }
func (beneath) removeAll(string, []string) error        { return errors.ErrUnsupported }

func (beneath) overwrite(string, string) (*os.File, int64, error) {
	return nil, 0, errors.ErrUnsupported
}
func (beneath) exchange(string, string) error  { return errors.ErrUnsupported }
func (beneath) renameNew(string, string) error { return errors.ErrUnsupported }
