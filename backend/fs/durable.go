package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	tempDir = ".tmp"
	// publishAttempts bounds how often a directory may be removed between its
	// making and the rename into it; each time takes another delete that
	// hits those few microseconds.
	publishAttempts = 100
)

// writer is the one place that changes the objects. A write is
//
//	open(.tmp/x, O_CREAT|O_EXCL), write, fsync, close
//	                       the bytes are on disk under a name nobody reads
//	rename(.tmp/x, key)    readers see the old object or the new one
//	fsync(directory)       a rename is durable only with the directory
//	                       that holds it
//	fsync(its parent), ... where a directory on the way is new, for it is
//	                       itself an entry of its parent
//
// and a removal is unlink, rmdir of what that left empty, and fsync of the
// lowest directory left. Callers hold the lock of the key for all but the
// first step. What a batch drops may become one of its [spares].
type writer struct {
	root    *os.Root
	tree    *tree
	settled *settled
	rounds  *rounds
	whole   *whole
	spares  *spares
	// The two are fields so that tests can see and fail them.
	syncFile, syncDir func(*os.File) error
	failure           atomic.Pointer[error]
}

func newWriter(tree *tree, whole *whole) *writer {
	w := &writer{
		root: tree.root, tree: tree, settled: newSettled(), rounds: newRounds(), whole: whole,
		syncFile: (*os.File).Sync, syncDir: (*os.File).Sync,
	}
	w.spares = newSpares(whole, w.discard)
	return w
}

// stage writes data to a temporary file and returns its name.
func (w *writer) stage(data []byte) (string, error) {
	if err := w.stopped(); err != nil {
		return "", err
	}
	name := tempName()
	file, err := w.createTemp(name)
	if err != nil {
		return "", err
	}
	if err := w.fill(file, data); err != nil {
		w.discard(name)
		return "", err
	}
	return name, nil
}

func tempName() string { return path.Join(tempDir, rand.Text()) }

// createTemp makes the directory again that somebody may have tidied away.
func (w *writer) createTemp(temp string) (*os.File, error) {
	file, err := w.tree.create(temp)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if err := makeDir(w.root, tempDir); err != nil {
		return nil, err
	}
	return w.tree.create(temp)
}

// createIn makes the directories of key as rename does.
func (w *writer) createIn(key string) (file *os.File, err error) {
	for range publishAttempts {
		if file, err = w.tree.create(key); !errors.Is(err, os.ErrNotExist) {
			return file, err
		}
		if err := w.tree.makeAll(path.Dir(key)); err != nil && !raced(err) {
			return nil, err
		}
	}
	return nil, err
}

func (w *writer) fill(file *os.File, data []byte) error {
	_, err := file.Write(data)
	if err == nil {
		err = w.syncFile(file)
	}
	return errors.Join(err, file.Close())
}

// discard removes a temporary file. One that cannot be removed now is swept up
// by a later Open.
func (w *writer) discard(temp string) { _ = w.tree.remove(temp) }

// publish gives the temporary file temp the name key, durably.
func (w *writer) publish(ctx context.Context, temp, key string) error {
	if err := w.rename(ctx, temp, key); err != nil {
		return err
	}
	return w.persist(path.Dir(key))
}

// rename makes the directories of key when they turn out to be absent, and
// again when a delete elsewhere removes them as empty before the rename.
func (w *writer) rename(ctx context.Context, temp, key string) error {
	var err error
	for range publishAttempts {
		if err := w.mayWrite(ctx); err != nil {
			return err
		}
		if err = w.tree.rename(temp, key); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := w.tree.makeAll(path.Dir(key)); err != nil && !raced(err) {
			return err
		}
	}
	return err
}

// replace is rename where a file has the name, and reports whether that is called temp now.
func (w *writer) replace(ctx context.Context, temp, key string) (exchanged bool, err error) {
	if err := w.mayWrite(ctx); err != nil {
		return false, err
	}
	if w.canReuse() && w.tree.exchange(temp, key) == nil {
		return true, nil
	}
	return false, w.rename(ctx, temp, key)
}

// raced reports what making directories runs into when one that was there
// moments ago is removed: the next step misses it, or this one was told first
// that it exists and then cannot find it.
func raced(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrExist) }

// persist makes the entries of dir durable, and dir itself: the object just
// renamed into it keeps anybody from removing it.
func (w *writer) persist(dir string) error {
	files, err := w.openUnsettled(dir)
	if err == nil {
		err = w.syncUp(dir, files)
	}
	if err != nil {
		return errors.Join(err, closeAll(files))
	}
	last := len(files) - 1
	for _, file := range files[:last] {
		w.settled.add(dir, file)
		dir = path.Dir(dir)
	}
	return files[last].Close()
}

// persistOnce is persist for a directory in which nothing else will be made
// durable: it takes nobody's place among those that are settled.
func (w *writer) persistOnce(dir string) error {
	file, err := w.root.Open(dir)
	if err != nil {
		return err
	}
	var above error
	var group sync.WaitGroup
	if dir != "." {
		group.Go(func() { above = w.persist(path.Dir(dir)) })
	}
	err = w.rounds.do(dir, func() error { return w.sync(file) })
	group.Wait()
	return errors.Join(err, above, file.Close())
}

// syncUp makes the entries of dir and its parents durable, side by side, for
// nothing is acknowledged before all of them are.
func (w *writer) syncUp(dir string, files []*os.File) error {
	errs := make([]error, len(files))
	var group sync.WaitGroup
	for i, file := range files {
		name := dir
		group.Go(func() {
			errs[i] = w.rounds.do(name, func() error { return w.sync(file) })
		})
		dir = path.Dir(dir)
	}
	group.Wait()
	return errors.Join(errs...)
}

// openUnsettled opens dir and, as long as the entry of the one before is not
// known to be on disk, its parents.
func (w *writer) openUnsettled(dir string) ([]*os.File, error) {
	var files []*os.File
	for {
		file, err := w.root.Open(dir)
		if err != nil {
			return files, err
		}
		files = append(files, file)
		if dir == "." || w.settled.has(dir, file) {
			return files, nil
		}
		dir = path.Dir(dir)
	}
}

// remove removes key, if it is there, and the directories that this empties.
func (w *writer) remove(ctx context.Context, key string) error {
	if err := w.mayWrite(ctx); err != nil {
		return err
	}
	info, err := w.root.Lstat(key)
	if err == nil && !info.IsDir() {
		err = w.tree.remove(key)
	}
	if err != nil && !absent(err) {
		return err
	}
	return w.persistRemoval(w.prune(path.Dir(key)))
}

// drop removes keys and the directories that this empties, not durably. What
// cannot be removed stays.
func (w *writer) drop(keys []string) {
	dirs := make(map[string][]string)
	for _, key := range keys {
		dirs[path.Dir(key)] = append(dirs[path.Dir(key)], path.Base(key))
	}
	for dir, names := range dirs {
		if isFirstLevel(dir) {
			for _, name := range names {
				_ = w.tree.remove(path.Join(dir, name))
			}
		} else if w.tree.removeAll(dir, names) {
			w.settled.drop(dir)
		}
	}
}

// retire is drop, and keeps spares of what it can.
func (w *writer) retire(keys []string) {
	if w.canReuse() {
		for _, key := range keys {
			_ = w.setAside(key, w.whole.begin()) // else it is dropped
		}
	}
	w.drop(keys)
}

// isFirstLevel: such directories stay when they are empty, for they are few, and every
// writer needs them.
func isFirstLevel(dir string) bool { return !strings.Contains(dir, "/") }

// prune removes dir and its parents as far as they are empty, and returns the
// lowest one left.
func (w *writer) prune(dir string) string {
	for !isFirstLevel(dir) {
		if err := w.tree.remove(dir); err != nil && !absent(err) {
			break
		}
		w.settled.drop(dir)
		dir = path.Dir(dir)
	}
	return dir
}

// persistRemoval makes it durable that an entry under dir is gone. When dir is
// removed meanwhile by another, its own removal is what must be durable.
func (w *writer) persistRemoval(dir string) error {
	for {
		err := w.syncPath(dir)
		if err == nil {
			_, err = w.root.Lstat(dir)
		}
		if dir == "." || !absent(err) {
			return err
		}
		dir = path.Dir(dir)
	}
}

func (w *writer) syncPath(dir string) error {
	file, err := w.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(w.sync(file), file.Close())
}

// sync makes the entries of dir durable.
//
// The first failure ends all writing: the kernel reports it once and may drop
// the pages it could not write, so that a second fsync succeeds over entries
// that are not on disk. Whoever comes out of a successful fsync therefore
// looks whether another has failed.
func (w *writer) sync(dir *os.File) error {
	if err := w.syncDir(dir); err != nil {
		w.failure.CompareAndSwap(nil, &err)
	}
	return w.stopped()
}

// stopped returns why nothing is written any more, or nil.
func (w *writer) stopped() error {
	if failure := w.failure.Load(); failure != nil {
		return fmt.Errorf("writing is stopped, check the disk and restart: fsync of a directory failed: %w", *failure)
	}
	return nil
}

// mayWrite is asked right before each change.
func (w *writer) mayWrite(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.stopped()
}

func closeAll(files []*os.File) error {
	var errs []error
	for _, file := range files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}
