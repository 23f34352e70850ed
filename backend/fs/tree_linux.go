package fs

import (
	"errors"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// clockSlack is what the times of files may lag behind the clock: on ext4 with
	// inodes of 128 bytes by a second and a tick.
	clockSlack = 2 * time.Second
	// leaseTries, a millisecond apart, bound how long a lease on a file is waited for.
	leaseTries = 100
)

// beneath is an open directory. All that is named is looked up beneath it, by the
// system in one step.
type beneath int

// works reports whether the system does: not before Linux 5.6, nor in sandboxes that do
// not know openat2(2).
func (b beneath) works() bool {
	fd, err := b.open(".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
}

func (b beneath) open(name string, flags int, mode uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Mode:    mode,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	leased := 0
	for {
		fd, err := unix.Openat2(int(b), name, &how)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && leased < leaseTries: // with O_NONBLOCK
			leased++
			time.Sleep(time.Millisecond)
		default:
			return -1, failed("openat2", name, err)
		}
	}
}

func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

// in runs op with the directory that holds name, and with what it is called there.
func (b beneath) in(name string, op func(dir beneath, base string) error) error {
	fd, err := b.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return op(beneath(fd), path.Base(name))
}

func (b beneath) read(name string) (source, error) {
	for range publishAttempts {
		began := time.Now()
		// Without O_NONBLOCK, opening a named pipe would wait for its writer.
		fd, err := b.open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		file := descriptor{fd: fd}
		named := false
		if err = failed("fstat", name, unix.Fstat(fd, &file.stat)); err == nil {
			if named = !file.changedSince(began.Add(-clockSlack)) && !setBackSince(began); !named {
				named, err = b.isNamed(&file.stat, name)
			}
		}
		if err == nil && named {
			return file, nil
		}
		_ = file.Close() // opened for reading: nothing to lose
		if err != nil {
			return nil, err
		}
	}
	return nil, failed("openat2", name, unix.ESTALE)
}

// setBackSince reports whether the clock was set back: what was changed since may look
// older.
func setBackSince(then time.Time) bool {
	now := time.Now()
	return setBack(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// setBack compares what went by with what the clock says went by.
func setBack(monotonic, wall time.Duration) bool { return monotonic-wall > clockSlack/4 }

// isNamed reports whether a file has a name now. It need not be asked of one that was
// not changed since the name was looked up: then it was not renamed meanwhile.
func (b beneath) isNamed(file *unix.Stat_t, name string) (bool, error) {
	var found unix.Stat_t
	if err := unix.Fstatat(int(b), name, &found, 0); err != nil {
		if absent(err) {
			err = nil
		}
		return false, failed("fstatat", name, err)
	}
	return found.Ino == file.Ino && found.Dev == file.Dev, nil
}

// overwrite opens a file to be written anew if nobody has it open, will find it by
// another name, or may do with it what he may not with a new one, and returns its size in
// bytes.
func (b beneath) overwrite(name, called string) (file *os.File, size int64, err error) {
	fd, err := b.open(name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	file = os.NewFile(uintptr(fd), called)
	var stat unix.Stat_t
	err = errors.Join(lease(fd, unix.F_WRLCK), lease(fd, unix.F_UNLCK), unix.Fstat(fd, &stat))
	if err == nil && (stat.Nlink != 1 || stat.Mode != unix.S_IFREG|fileMode || int(stat.Uid) != os.Geteuid()) {
		err = unix.EPERM
	}
	if err != nil {
		return nil, 0, errors.Join(failed("overwriting", name, err), file.Close())
	}
	return file, stat.Size, nil
}

func lease(fd int, kind int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, kind)
	return err
}

func (b beneath) create(name, called string) (*os.File, error) {
	fd, err := b.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), called), nil
}

// mkdir makes the last directory of a path.
func (b beneath) mkdir(name string) error {
	return b.in(name, func(dir beneath, base string) error {
		return failed("mkdirat", name, unix.Mkdirat(int(dir), base, dirMode))
	})
}

func (b beneath) rename(from, to string) error { return b.renameWith(from, to, 0) }

// renameNew fails where there is something of that name.
func (b beneath) renameNew(from, to string) error {
	return b.renameWith(from, to, unix.RENAME_NOREPLACE)
}

// exchange has two files change their names.
func (b beneath) exchange(one, other string) error {
	return b.renameWith(one, other, unix.RENAME_EXCHANGE)
}

func (b beneath) renameWith(from, to string, flags uint) error {
	return b.in(from, func(source beneath, old string) error {
		return b.in(to, func(target beneath, base string) error {
			return failed("renameat2", to, unix.Renameat2(int(source), old, int(target), base, flags))
		})
	})
}

func (b beneath) remove(name string) error {
	return b.in(name, func(dir beneath, base string) error {
		err := unix.Unlinkat(int(dir), base, 0)
		if errors.Is(err, unix.EISDIR) {
			err = unix.Unlinkat(int(dir), base, unix.AT_REMOVEDIR)
		}
		return failed("unlinkat", name, err)
	})
}

func (b beneath) removeAll(name string, files []string) error {
	return b.in(name, func(parent beneath, base string) error {
		fd, err := parent.open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		for _, file := range files {
			_ = unix.Unlinkat(fd, file, 0)
		}
		_ = unix.Close(fd)
		return failed("unlinkat", name, unix.Unlinkat(int(parent), base, unix.AT_REMOVEDIR))
	})
}

// descriptor is an open file, without what [os.File] keeps for files that can be
// waited for.
type descriptor struct {
	fd   int
	stat unix.Stat_t
}

// Read implements [io.Reader].
func (d descriptor) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(d.fd, p)
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
	switch d.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0, d.stat.Size, nil
	case unix.S_IFDIR:
		return os.ModeDir, d.stat.Size, nil
	}
	return os.ModeIrregular, d.stat.Size, nil
}

// changedSince tells whether it was, as far as the clock tells.
func (d descriptor) changedSince(then time.Time) bool {
	return !time.Unix(d.stat.Ctim.Unix()).Before(then)
}

// Close implements [io.Closer].
func (d descriptor) Close() error { return os.NewSyscallError("close", unix.Close(d.fd)) }
