package fs

import (
	"crypto/rand"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxSpares bounds what is kept: 40 pushes at a time have three each.
	maxSpares = 128
	// spareRest bounds how long bytes are kept that were dropped, and how long a spare
	// waits to be written anew.
	spareRest = time.Second
	// maxSpareSize is how many bytes a file of a spare may have: larger ones give
	// their place on the disk back.
	maxSpareSize = 64 << 10
)

// spares are files that batches have dropped or put something else in place of, which
// are written anew by batches to come. To make files and to remove them takes a push
// more time than all else: on ext4 each that is made is looked for among those removed
// within the last minutes (find_inode_bit; without a journal), or has bitmaps and inodes
// written to the journal.
//
// A file is written anew only when nobody can read by it what was not meant for him:
//
//   - It has been renamed, to a name of its own under .tmp, which changes its ctime. (To
//     exchange names does not on XFS.)
//   - That is durable: a syncfs has succeeded that began later. After a loss of
//     power, too, no name leads to it by which something else was stored.
//   - Nobody has it open, in whichever process: the system grants a lease to write
//     it (fcntl(2), F_SETLEASE). And it has one name, so that nobody has made a link
//     to keep it (cp -l); and owner and mode of a new one.
//   - A guardian that has looked up its old name before, and opens it after, sees that
//     it has that name no more ([beneath.read]).
//
// Directories are not used again: who has one open, to remove the files in it, would
// remove what is there later.
type spares struct {
	whole  *whole
	remove func(name string)
	rest   time.Duration // a field so that tests can do without
	mu     sync.Mutex
	kept   []spare // the one kept longest first
	tidies bool    // a timer runs
	ended  bool
}

// sparePrefix tells spares in .tmp from writes under way.
const sparePrefix = "spare-"

func spareName() string { return path.Join(tempDir, sparePrefix+rand.Text()) }

func isSpare(name string) bool { return strings.HasPrefix(name, sparePrefix) }

// spare is a file under a name of .tmp.
type spare struct {
	name  string
	named moment
	kept  time.Time
}

func newSpares(whole *whole, remove func(name string)) *spares {
	return &spares{whole: whole, remove: remove, rest: spareRest}
}

// keep keeps what has been renamed since named, no longer than rest. Where there is no
// place, another one goes.
func (s *spares) keep(name string, named moment) {
	if over, ok := s.add(spare{name, named, time.Now()}); ok {
		s.remove(over.name)
	}
}

func (s *spares) add(one spare) (over spare, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return one, true
	}
	if !s.tidies {
		s.tidies = true
		time.AfterFunc(s.rest, s.tidy)
	}
	if s.kept = append(s.kept, one); len(s.kept) <= maxSpares {
		return spare{}, false
	}
	over = s.kept[0]
	s.kept = slices.Delete(s.kept, 0, 1)
	return over, true
}

// tidy removes what has not been used for as long as rest.
func (s *spares) tidy() {
	for _, one := range s.expired() {
		s.remove(one.name)
	}
}

func (s *spares) expired() []spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.kept) && time.Since(s.kept[n].kept) >= s.rest {
		n++
	}
	expired := slices.Clone(s.kept[:n])
	s.kept = slices.Delete(s.kept, 0, n)
	if s.tidies = len(s.kept) > 0; s.tidies {
		time.AfterFunc(s.rest-time.Since(s.kept[0].kept), s.tidy)
	}
	return expired
}

// end removes all, and has none kept any more.
func (s *spares) end() {
	s.mu.Lock()
	kept := s.kept
	s.kept, s.ended = nil, true
	s.mu.Unlock()
	for _, one := range kept {
		s.remove(one.name)
	}
}

// take returns the name of a spare. Who takes it uses it or removes it.
func (s *spares) take() (name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(one spare) bool { return s.whole.syncedSince(one.named) })
	if i < 0 {
		return "", false
	}
	name = s.kept[i].name
	s.kept = slices.Delete(s.kept, i, i+1)
	return name, true
}

// canReuse reports whether spares can be used at all.
func (w *writer) canReuse() bool { return w.whole.can() && !w.tree.walks }

// setAside makes a spare of a file, if it can, and reports whether it did. Since begin
// returned failures it has lost the name by which it was stored, or will here.
func (w *writer) setAside(name string, failures int64) bool {
	aside := spareName()
	if !w.canSpare(name) || w.tree.rename(name, aside) != nil {
		return false
	}
	w.spares.keep(aside, w.whole.now(failures))
	return true
}

func (w *writer) canSpare(name string) bool {
	info, err := w.root.Lstat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() <= maxSpareSize
}

// addSpare is add with a spare, if there is one. It reports whether it did; if not,
// nothing is there of the object.
func (s *staging) addSpare(name string, data []byte) bool {
	file := s.writer.reuse(name, data)
	if file == nil {
		return false
	}
	s.files, s.made = append(s.files, file), append(s.made, name)
	return true
}

// reuse writes data over a spare, and gives it a name; nil where none is to be had.
func (w *writer) reuse(name string, data []byte) *os.File {
	spare, ok := w.spares.take()
	if !ok {
		return nil
	}
	file, err := w.overwrite(spare, name, data)
	if err == nil {
		if err = w.nameFirst(spare, name); err == nil {
			return file
		}
		_ = file.Close() // nothing that was written is kept
	}
	w.discard(spare)
	return nil
}

// overwrite has a spare hold data and nothing else.
func (w *writer) overwrite(name, key string, data []byte) (*os.File, error) {
	file, size, err := w.tree.overwrite(name, key)
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(data); err == nil && size > int64(len(data)) {
		err = file.Truncate(int64(len(data)))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// nameFirst gives a file a name that nothing has, and makes the directories of that as
// createIn does.
func (w *writer) nameFirst(temp, key string) (err error) {
	for range publishAttempts {
		if err = w.tree.renameNew(temp, key); !absent(err) {
			return err
		}
		if err := w.tree.makeAll(path.Dir(key)); err != nil && !raced(err) {
			return err
		}
	}
	return err
}
