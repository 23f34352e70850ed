package fs

import (
	"errors"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

const (
	// maxSpares bounds what is kept: 64 pushes at a time have two each.
	maxSpares = 128
	// spareRest bounds how long bytes are kept that were dropped, and how long a spare
	// waits to be written anew.
	spareRest = time.Second
	// maxSpareSize is how many bytes a file of a spare may have: larger ones give
	// their place on the disk back.
	maxSpareSize = 64 << 10
)

// spares are what batches have dropped or put something else in place of, which is
// written anew by batches to come. To make files and directories and to remove them
// takes a push more time than all else: on ext4 each that is made is looked for among
// those removed within the last minutes (find_inode_bit; without a journal), or has
// bitmaps and inodes written to the journal.
//
// A file is written anew only when nobody can read by it what was not meant for him:
//
//   - It has been renamed, to a name of its own under .tmp.
//   - That is durable: a syncfs has succeeded that began later. After a loss of
//     power, too, no name leads to it by which something else was stored.
//   - Nobody has it open, in whichever process: the system grants a lease to write
//     it (fcntl(2), F_SETLEASE). And it has one name, so that nobody has made a link
//     to keep it (cp -l).
//   - Who has looked up its old name before, and opens it after, sees that it has
//     that name no more ([beneath.read]).
type spares struct {
	whole  *whole
	remove func(spare)
	mu     sync.Mutex
	kept   []spare // the one kept longest first
	tidies bool    // a timer runs
	ended  bool
}

// spare is a file, or a directory with files in it, under a name of .tmp.
type spare struct {
	name  string
	files []string // in the directory, sorted
	named moment
	kept  time.Time
}

func newSpares(whole *whole, remove func(spare)) *spares {
	return &spares{whole: whole, remove: remove}
}

// keep keeps what was just renamed, no longer than spareRest. Where there is no place,
// another one goes.
func (s *spares) keep(name string, files []string) {
	one := spare{name, files, s.whole.now(), time.Now()}
	if over, ok := s.add(one); ok {
		s.remove(over)
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
		time.AfterFunc(spareRest, s.tidy)
	}
	if s.kept = append(s.kept, one); len(s.kept) <= maxSpares {
		return spare{}, false
	}
	over = s.kept[0]
	s.kept = slices.Delete(s.kept, 0, 1)
	return over, true
}

// tidy removes what has not been used for as long as spareRest.
func (s *spares) tidy() {
	for _, one := range s.expired() {
		s.remove(one)
	}
}

func (s *spares) expired() []spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.kept) && time.Since(s.kept[n].kept) >= spareRest {
		n++
	}
	expired := slices.Clone(s.kept[:n])
	s.kept = slices.Delete(s.kept, 0, n)
	if s.tidies = len(s.kept) > 0; s.tidies {
		time.AfterFunc(spareRest-time.Since(s.kept[0].kept), s.tidy)
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
		s.remove(one)
	}
}

// take returns a spare that has these files. Who takes it uses it or removes it.
func (s *spares) take(files []string) (one spare, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(one spare) bool {
		return slices.Equal(one.files, files) && s.whole.syncedSince(one.named)
	})
	if i < 0 {
		return spare{}, false
	}
	one = s.kept[i]
	s.kept = slices.Delete(s.kept, i, i+1)
	return one, true
}

// keepFile keeps a file that has a name in .tmp, or removes it.
func (w *writer) keepFile(temp string) {
	info, err := w.root.Lstat(temp)
	if err != nil || info.Size() > maxSpareSize {
		w.discard(temp)
		return
	}
	w.spares.keep(temp, nil)
}

// setAside makes a spare of a directory that holds these files and nothing else, and
// reports whether it did.
func (w *writer) setAside(dir string, files []string) bool {
	if !w.whole.can() || !w.tree.holdsOnly(dir, files, maxSpareSize) {
		return false
	}
	aside := tempName()
	if w.tree.rename(dir, aside) != nil {
		return false
	}
	w.settled.drop(dir)
	w.spares.keep(aside, slices.Sorted(slices.Values(files)))
	return true
}

// removeSpare removes what it can. The rest is swept up by a later Open.
func (w *writer) removeSpare(one spare) {
	if one.files == nil {
		w.discard(one.name)
	} else {
		w.tree.removeAll(one.name, one.files)
	}
}

// reuseFile writes data over a spare file, and returns its name, or "" where none is to
// be had.
func (s *staging) reuseFile(data []byte) (temp string) {
	one, ok := s.writer.spares.take(nil)
	if !ok {
		return ""
	}
	file, err := s.writer.overwrite(one.name, one.name, data)
	if err != nil {
		s.writer.removeSpare(one)
		return ""
	}
	s.files, s.made = append(s.files, file), append(s.made, one.name)
	return one.name
}

// reuseDir writes objects over the files of a spare directory, and gives it the name of
// theirs. It reports whether it did; if not, nothing is there of them.
func (s *staging) reuseDir(objects []backend.Object) bool {
	dir, names := onlyDir(objects)
	if dir == "" {
		return false
	}
	one, ok := s.writer.spares.take(names)
	if !ok {
		return false
	}
	files, err := s.writer.overwriteAll(one.name, objects)
	if err == nil {
		err = s.writer.renameDir(one.name, dir)
	}
	if err != nil {
		_ = closeAll(files) // nothing that was written is kept
		s.writer.removeSpare(one)
		return false
	}
	s.files = append(s.files, files...)
	for _, object := range objects {
		s.made = append(s.made, object.Key)
	}
	return true
}

// onlyDir returns the one directory of all objects, and what they are called there,
// sorted, or "" where there is no such directory.
func onlyDir(objects []backend.Object) (dir string, names []string) {
	for i, object := range objects {
		if i > 0 && path.Dir(object.Key) != dir {
			return "", nil
		}
		dir, names = path.Dir(object.Key), append(names, path.Base(object.Key))
	}
	slices.Sort(names)
	return dir, names
}

// overwriteAll returns what it could open along with the error.
func (w *writer) overwriteAll(dir string, objects []backend.Object) (files []*os.File, err error) {
	for _, object := range objects {
		file, err := w.overwrite(path.Join(dir, path.Base(object.Key)), object.Key, object.Data)
		if err != nil {
			return files, err
		}
		files = append(files, file)
	}
	return files, nil
}

// overwrite has a spare file hold data and nothing else.
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

// renameDir makes the directory that dir is to be in if it is not there.
func (w *writer) renameDir(from, dir string) error {
	err := w.tree.rename(from, dir)
	if !absent(err) {
		return err
	}
	if err := w.tree.makeAll(path.Dir(dir)); err != nil {
		return err
	}
	return w.tree.rename(from, dir)
}
