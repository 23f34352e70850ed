package fs

import (
	"errors"
	"io"
	"io/fs"
	"os"

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

func (f *FS) read(key string) (state, error) {
	file, err := f.tree.open(key)
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

// readAll reads a file of which size bytes were there when it was opened. It may be
// shorter by now: somebody else may write it who is no guardian.
func readAll(file io.Reader, size int64) (state, error) {
	data := make([]byte, size)
	n, err := io.ReadFull(file, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return state{}, err
	}
	return state{data[:n], revisionOf(data[:n])}, nil
}
