package fs

import (
	"errors"
	"os"
	"sync"
)

// maxSettled bounds the directories held open.
const maxSettled = 256

// settled remembers directories whose own entry is known to be on disk, which
// finding them there does not prove: who made them may have died before the
// fsync. It holds them open, because a removed directory's number is given to
// the next one made only when nobody has it open: the same number is then the
// same directory, whatever other processes remove and make under its path.
type settled struct {
	mu   sync.Mutex
	held map[string]*os.File
}

func newSettled() *settled { return &settled{held: make(map[string]*os.File)} }

// has reports whether now, found at dir, is the directory that was added.
func (s *settled) has(dir string, now *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, found := s.held[dir]
	return found && sameFile(held, now)
}

// add takes over file, which was opened before the fsync of its parent.
func (s *settled) add(dir string, file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.held[dir]; !found && len(s.held) >= maxSettled {
		s.evict()
	}
	s.forget(dir)
	s.held[dir] = file
}

func (s *settled) drop(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(dir)
}

// evict makes room by dropping any one; that costs it an fsync.
func (s *settled) evict() {
	for dir := range s.held {
		s.forget(dir)
		return
	}
}

func (s *settled) forget(dir string) {
	if file, found := s.held[dir]; found {
		_ = file.Close() // opened for reading: nothing to lose
		delete(s.held, dir)
	}
}

func (s *settled) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for dir, file := range s.held {
		errs = append(errs, file.Close())
		delete(s.held, dir)
	}
	return errors.Join(errs...)
}

func sameFile(a, b *os.File) bool {
	first, errFirst := a.Stat()
	second, errSecond := b.Stat()
	return errFirst == nil && errSecond == nil && os.SameFile(first, second)
}
