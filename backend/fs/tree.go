package fs

import (
	"errors"
	"os"
	"path"
	"syscall"
)

// tree is what lies under the directory. By no name and no link does anything lead
// out of it.
//
// Where the system looks a whole path up by itself it is asked to (openat2, Linux
// 5.6): [os.Root] opens and closes each directory on the way, which made a hundred
// system calls of a push.
type tree struct {
	root  *os.Root
	here  syscall.RawConn // root, open
	walks bool            // the system does not
}

// newTree takes root both as it is and open.
func newTree(root *os.Root, opened *os.File) (*tree, error) {
	here, err := opened.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, here: here}
	err = here.Control(func(fd uintptr) { t.walks = !beneath(fd).works() })
	return t, err
}

// either runs direct, with root open, or walking where that cannot be had.
func (t *tree) either(direct func(beneath) error, walking func() error) (err error) {
	if t.walks {
		return walking()
	}
	if errClosed := t.here.Control(func(fd uintptr) { err = direct(beneath(fd)) }); errClosed != nil {
		return errClosed
	}
	return err
}

// open opens a file for reading that has this name once it is open: see [spares].
func (t *tree) open(key string) (file source, err error) {
	err = t.either(
		func(b beneath) (err error) { file, err = b.read(key); return err },
		func() error {
			// Without O_NONBLOCK, opening a named pipe would wait for its writer.
			file, err = t.openWalking(key)
			return err
		},
	)
	return file, err
}

func (t *tree) openWalking(key string) (source, error) {
	for range publishAttempts {
		file, err := t.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		opened, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		found, err := t.root.Stat(key)
		if err == nil && os.SameFile(opened, found) {
			return rootFile{file}, nil
		}
		_ = file.Close() // opened for reading: nothing to lose
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	return nil, &os.PathError{Op: "open", Path: key, Err: syscall.ESTALE}
}

// overwrite opens a file to be written anew if nobody else has it open and it has one
// name, and returns its size in bytes.
func (t *tree) overwrite(name, key string) (file *os.File, size int64, err error) {
	err = t.either(
		func(b beneath) (err error) {
			file, size, err = b.overwrite(name, path.Join(t.root.Name(), key))
			return err
		},
		unsupported,
	)
	return file, size, err
}

// exchange has two files change their names.
func (t *tree) exchange(one, other string) error {
	return t.either(func(b beneath) error { return b.exchange(one, other) }, unsupported)
}

// renameNew gives a file another name, that nothing has.
func (t *tree) renameNew(from, to string) error {
	return t.either(func(b beneath) error { return b.renameNew(from, to) }, unsupported)
}

func unsupported() error { return errors.ErrUnsupported }

// create makes a file that is not there yet, for writing.
func (t *tree) create(key string) (file *os.File, err error) {
	err = t.either(
		func(b beneath) (err error) { file, err = b.create(key, path.Join(t.root.Name(), key)); return err },
		func() (err error) {
			file, err = t.root.OpenFile(key, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
			return err
		},
	)
	return file, err
}

// makeAll makes a directory, and those it is in, as far as they are not there.
func (t *tree) makeAll(dir string) error {
	walking := func() error { return t.root.MkdirAll(dir, dirMode) }
	err := t.either(func(b beneath) error { return b.mkdir(dir) }, walking)
	if err != nil {
		return walking()
	}
	return nil
}

// rename gives a file another name, also where there is a file of that name.
func (t *tree) rename(from, to string) error {
	return t.either(
		func(b beneath) error { return b.rename(from, to) },
		func() error { return t.root.Rename(from, to) },
	)
}

// remove removes a file or an empty directory.
func (t *tree) remove(name string) error {
	return t.either(
		func(b beneath) error { return b.remove(name) },
		func() error { return t.root.Remove(name) },
	)
}

// removeAll removes files of a directory, and the directory if it is empty then, which
// it reports. What cannot be removed stays.
func (t *tree) removeAll(dir string, names []string) (emptied bool) {
	err := t.either(
		func(b beneath) error { return b.removeAll(dir, names) },
		func() error {
			for _, name := range names {
				_ = t.root.Remove(path.Join(dir, name))
			}
			return t.root.Remove(dir)
		},
	)
	return err == nil
}
