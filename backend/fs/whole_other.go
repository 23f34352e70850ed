//go:build !linux

package fs

import (
	"errors"
	"os"
)

func reportsAll(*os.File) bool { return false }

func syncfs(*os.File) error { return errors.ErrUnsupported }
