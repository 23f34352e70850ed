package fs

import (
	"os"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxSettled bounds the directories held open.
const maxSettled = 256

// settled remembers directories whose own entry is known to be on disk, which
// finding them there does not prove: who made them may have died before the
// fsync. It holds them open, because a removed directory's number is given to
// the next one made only when nobody has it open: the same number is then the
// same directory, whatever other processes remove and make under its path. Those
// used longest ago make room.
type settled struct {
	mu   sync.Mutex
	held *simplelru.LRU[string, *os.File]
}

func newSettled() *settled {
	held, _ := simplelru.NewLRU(maxSettled, func(_ string, file *os.File) { // fails for a size of 0 only
		_ = file.Close() // opened for reading: nothing to lose
	})
	return &settled{held: held}
}

// has reports whether now, found at dir, is the directory that was added.
func (s *settled) has(dir string, now *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, found := s.held.Get(dir)
	return found && sameFile(held, now)
}

// add takes over file, which was opened before the fsync of its parent.
func (s *settled) add(dir string, file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Remove(dir)
	s.held.Add(dir, file)
}

func (s *settled) drop(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Remove(dir)
}

func (s *settled) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Purge()
}

func sameFile(a, b *os.File) bool {
	first, errFirst := a.Stat()
	second, errSecond := b.Stat()
	return errFirst == nil && errSecond == nil && os.SameFile(first, second)
}
