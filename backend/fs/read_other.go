//go:build !linux

package fs

import (
	"errors"
	"syscall"
)

func openBeneath(syscall.RawConn, string) (source, error) { return nil, errors.ErrUnsupported }
