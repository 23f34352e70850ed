package fs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reportsAll tells whether syncfs does all that fsync does: on file systems that
// it was looked up for, and kernels that tell of what could not be written.
func reportsAll(dir *os.File) bool {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return false
	}
	return (stat.Type == unix.EXT4_SUPER_MAGIC || stat.Type == unix.XFS_SUPER_MAGIC) && kernelFrom(5, 8)
}

func kernelFrom(major, minor int) bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var ours, oursMinor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &ours, &oursMinor); err != nil {
		return false
	}
	return ours > major || ours == major && oursMinor >= minor
}

// syncfs may go on while dir is closed: the caller may have left.
func syncfs(dir *os.File) error {
	conn, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = unix.Syncfs(int(fd)) }); err != nil {
		return err
	}
	if failed != nil {
		return &os.PathError{Op: "syncfs", Path: dir.Name(), Err: failed}
	}
	return nil
}
