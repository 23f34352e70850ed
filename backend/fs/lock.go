package fs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/backend/internal/disk"
)

const (
	lockDir     = ".locks"
	stripeCount = 64

	// A lock is held for one rename and one fsync, so it is asked for again
	// soon at first; backing off spares the processor when a disk is slow.
	firstRetry = 200 * time.Microsecond
	lastRetry  = 10 * time.Millisecond
)

// stripes are the locks under which keys are written: each key has one of 64,
// by its hash. The files are never renamed or removed, for then two processes
// could hold the lock of one key on two different files.
type stripes [stripeCount]stripe

// stripe excludes goroutines by turn and other processes by flock(2), which
// belongs to the open file and ends with the process, however that dies.
type stripe struct {
	turn disk.Semaphore
	file *os.File
}

// openStripes returns what it could open along with the error.
func openStripes(root *os.Root) (*stripes, error) {
	all := new(stripes)
	if err := makeDir(root, lockDir); err != nil {
		return all, err
	}
	for i := range all {
		file, err := root.OpenFile(stripeName(i), os.O_RDWR|os.O_CREATE, fileMode)
		if err != nil {
			return all, err
		}
		all[i] = stripe{turn: disk.NewSemaphore(1), file: file}
	}
	return all, nil
}

func stripeName(i int) string { return fmt.Sprintf("%s/%02x", lockDir, i) }

func (s *stripes) of(key string) *stripe {
	return &s[crc32.ChecksumIEEE([]byte(key))%stripeCount]
}

func (s *stripes) close() error {
	var errs []error
	for i := range s {
		if s[i].file != nil {
			errs = append(errs, s[i].file.Close())
		}
	}
	return errors.Join(errs...)
}

// locked runs op under the file lock. Asking again and again instead of
// waiting in flock lets go when ctx ends.
func (s *stripe) locked(ctx context.Context, op func() error) error {
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		err := s.flock(syscall.LOCK_EX | syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("locking %s: %w", s.file.Name(), err)
		}
		select {
		case <-time.After(delay/2 + rand.N(delay)): //nolint:gosec // spreads retries, keeps no secret
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := op()
	if unlock := s.flock(syscall.LOCK_UN); unlock != nil {
		err = errors.Join(err, fmt.Errorf("unlocking %s: %w", s.file.Name(), unlock))
	}
	return err
}

// flock goes through the file's own guard, so that a Close meanwhile cannot
// turn it on another file of the same number.
func (s *stripe) flock(how int) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), how) }); err != nil {
		return err
	}
	return locked
}
