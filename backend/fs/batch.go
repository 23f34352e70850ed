package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/internal/disk"
)

// GetEach implements [backend.Batcher].
func (f *FS) GetEach(ctx context.Context, keys ...string) []backend.Got {
	found, err := disk.Do(ctx, f.busy, func() ([]backend.Got, error) {
		all := make([]backend.Got, len(keys))
		for i, key := range keys {
			all[i] = f.got(key)
		}
		return all, nil
	})
	if err != nil {
		return backend.NothingGot(err, keys)
	}
	return found
}

func (f *FS) got(key string) backend.Got {
	if !backend.ValidKey(key) {
		return backend.Got{Err: invalid("getting", key)}
	}
	found, err := f.read(key)
	if err != nil {
		return backend.Got{Err: fmt.Errorf("getting %s: %w", key, err)}
	}
	return backend.Got{Data: found.data, Rev: found.rev}
}

// Apply implements [backend.Batcher].
func (f *FS) Apply(ctx context.Context, batch backend.Batch) (backend.Revision, error) {
	if err := batch.Check(); err != nil {
		return backend.Revision{}, err
	}
	batch = clone(batch) // a write that is left behind may outlast the caller's use of it
	now, err := disk.Abandonable(ctx, func() (backend.Revision, error) {
		return revisionOf(batch.Put.Data), f.apply(ctx, batch)
	})
	if err != nil {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", batch.Put.Key, err)
	}
	return now, nil
}

func clone(batch backend.Batch) backend.Batch {
	batch.Put.Data = bytes.Clone(batch.Put.Data)
	create := make([]backend.Object, len(batch.Create))
	for i, object := range batch.Create {
		create[i] = backend.Object{Key: object.Key, Data: bytes.Clone(object.Data)}
	}
	batch.Create = create
	return batch
}

// apply waits for the disk twice, however much is in the batch: first everything
// is made durable that may not be missing once the name is there, side by side,
// and the bytes under that name with it; then the name.
func (f *FS) apply(ctx context.Context, batch backend.Batch) error {
	key := batch.Put.Key
	failures := f.writer.whole.begin()
	var temp string
	err := f.busy.Hold(ctx, func() (err error) {
		temp, err = f.writer.prepare(ctx, batch, failures)
		return err
	})
	if err != nil {
		return err
	}
	var exchanged bool
	err = f.exclusively(ctx, key, func() error {
		now, err := f.current(key, batch.Rev)
		if err != nil || now != batch.Rev {
			return conflictOr(err)
		}
		if now.IsZero() || now.IsAny() { // a directory may be there, with what is in it
			return f.writer.rename(ctx, temp, key)
		}
		exchanged, err = f.writer.replace(ctx, temp, key)
		return err
	})
	if err != nil || exchanged && !f.writer.setAside(temp, failures) {
		f.writer.discard(temp)
	}
	if err != nil {
		return err
	}
	// Out of the lock: who sees the name meanwhile, and puts another in its place,
	// makes durable that this one was there with it.
	return f.busy.Hold(ctx, func() error {
		if f.writer.whole.sync(failures) != nil {
			if err := f.writer.persist(path.Dir(key)); err != nil {
				return err
			}
		}
		if len(batch.Create) > 0 {
			f.writer.retire(batch.Drop)
		} else { // it deletes
			f.writer.drop(batch.Drop)
		}
		return nil
	})
}

// staging is what of a batch is written, and not durable yet.
type staging struct {
	writer *writer
	files  []*os.File
	made   []string // what is removed when it comes to nothing
}

// prepare writes what a batch creates, and what it puts in a temporary file, whose
// name it returns, and makes all of that durable. The objects get their names at
// once: nobody looks for them before what names them is there.
func (w *writer) prepare(ctx context.Context, batch backend.Batch, failures int64) (temp string, err error) {
	if err := w.mayWrite(ctx); err != nil {
		return "", err
	}
	s := &staging{writer: w}
	dirs := make(map[string]bool)
	for _, object := range batch.Create {
		dirs[path.Dir(object.Key)] = true
		if !s.addSpare(object.Key, object.Data) {
			err = errors.Join(err, s.add(object))
		}
	}
	temp, errTemp := s.temp(batch.Put.Data)
	err = errors.Join(err, errTemp)
	if err == nil && w.whole.sync(failures) != nil {
		err = s.sync(dirs)
	}
	if err = errors.Join(err, closeAll(s.files)); err != nil {
		s.undo()
	}
	return temp, err
}

// add writes an object that is to be created.
func (s *staging) add(object backend.Object) error {
	err := s.write(object.Key, object.Data, s.writer.createIn)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	file, err := s.writer.root.Open(object.Key)
	if err != nil {
		return err
	}
	s.files = append(s.files, file)
	stored, err := readAll(file, int64(len(object.Data))+1)
	if err == nil && !bytes.Equal(stored.data, object.Data) {
		err = errors.New("something else is there already")
	}
	return err
}

// temp writes data to a temporary file, and returns its name.
func (s *staging) temp(data []byte) (string, error) {
	temp := tempName()
	// Under a name of its own, which no guardian that starts takes for a spare.
	if s.addSpare(temp, data) {
		return temp, nil
	}
	return temp, s.write(temp, data, s.writer.createTemp)
}

func (s *staging) write(name string, data []byte, create func(name string) (*os.File, error)) error {
	file, err := create(name)
	if err != nil {
		return err
	}
	s.files, s.made = append(s.files, file), append(s.made, name)
	_, err = file.Write(data)
	return err
}

// sync makes the files durable, and the directories' entries, one by one.
func (s *staging) sync(dirs map[string]bool) error {
	errs := make([]error, len(s.files))
	var group sync.WaitGroup
	for i, file := range s.files {
		group.Go(func() { errs[i] = s.writer.syncFile(file) })
	}
	var errDirs []error
	for dir := range dirs {
		errDirs = append(errDirs, s.writer.persistOnce(dir))
	}
	group.Wait()
	return errors.Join(append(errDirs, errs...)...)
}

// undo removes what was written, also of an object a part.
func (s *staging) undo() {
	s.writer.drop(s.made)
}
