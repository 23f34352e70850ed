package fs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openBeneath opens a file for reading with one system call, where [os.Root]
// takes two for each directory on the way. Like that it leads out of the root by
// no name and no link. errors.ErrUnsupported: before Linux 5.6, and in sandboxes
// that do not know openat2(2), which some answer with EPERM.
func openBeneath(root syscall.RawConn, key string) (source, error) {
	var opened descriptor
	var err error
	if errClosed := root.Control(func(fd uintptr) { opened, err = openat2(int(fd), key) }); errClosed != nil {
		return nil, errClosed
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}

func openat2(root int, key string) (descriptor, error) {
	how := unix.OpenHow{
		// Without O_NONBLOCK, opening a named pipe would wait for its writer.
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(root, key, &how)
		switch {
		case err == nil:
			return descriptor(fd), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EAGAIN):
			return -1, errors.ErrUnsupported
		default:
			return -1, &os.PathError{Op: "openat2", Path: key, Err: err}
		}
	}
}

// descriptor is an open file, without what [os.File] keeps for files that can be
// waited for.
type descriptor int

// Read implements [io.Reader].
func (d descriptor) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(d), p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// info returns what kind of file it is, and its size in bytes.
func (d descriptor) info() (mode os.FileMode, size int64, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(d), &stat); err != nil {
		return 0, 0, os.NewSyscallError("fstat", err)
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0, stat.Size, nil
	case unix.S_IFDIR:
		return os.ModeDir, stat.Size, nil
	}
	return os.ModeIrregular, stat.Size, nil
}

// Close implements [io.Closer].
func (d descriptor) Close() error { return os.NewSyscallError("close", unix.Close(int(d))) }
