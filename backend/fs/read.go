package fs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/vault-guardian/guardian/backend"
)

// source is an open file that is read.
type source interface {
	io.ReadCloser
	// info returns its type, and its size in bytes.
	info() (kind fs.FileMode, size int64, err error)
}

// rootFile is a source opened by [os.Root].
type rootFile struct{ *os.File }

func (f rootFile) info() (kind fs.FileMode, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return info.Mode().Type(), info.Size(), nil
}

func (f *FS) open(key string) (source, error) {
	if !f.walks.Load() {
		file, err := openBeneath(f.here, key)
		if !errors.Is(err, errors.ErrUnsupported) {
			return file, err
		}
		f.walks.Store(true)
	}
	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	file, err := f.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return rootFile{file}, nil
}

func (f *FS) read(key string) (state, error) {
	file, err := f.open(key)
	if err != nil {
		return state{}, notFoundOr(err)
	}
	defer file.Close()
	kind, size, err := file.info()
	switch {
	case err != nil:
		return state{}, err
	case kind.IsDir():
		return state{}, backend.ErrNotFound
	case !kind.IsRegular():
		return state{}, errors.New("not a regular file")
	case size > backend.MaxObjectSize:
		return state{}, backend.ErrTooLarge
	}
	return readAll(file, size)
}

// readAll does not trust size: it may change under a writer that is no
// guardian.
func readAll(file io.Reader, size int64) (state, error) {
	buffer := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := buffer.ReadFrom(io.LimitReader(file, backend.MaxObjectSize+1)); err != nil {
		return state{}, err
	}
	if buffer.Len() > backend.MaxObjectSize {
		return state{}, backend.ErrTooLarge
	}
	return state{buffer.Bytes(), revisionOf(buffer.Bytes())}, nil
}
