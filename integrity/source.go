package integrity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySource is where a node's keyring comes from. It is asked at start, on
// reload, and when something names a key id that is not known yet.
type KeySource interface {
	// Keyring fetches the keyring as it is now. Errors wrap
	// ErrSourceUnavailable when it cannot be read, ErrKeyRefused when there is
	// none or it makes no sense.
	Keyring(ctx context.Context) (*Keyring, error)
}

// maxKeyringSize bounds a file with keys, in bytes.
const maxKeyringSize = 64 << 10

// FileSource reads the keyring from a file.
type FileSource struct {
	Path string
	// Create makes a keyring with one fresh key, mode 0600, when the file is
	// absent. Set it only over storage that holds nothing: a new key over
	// existing data would make all of it look corrupt.
	Create bool
}

// Keyring implements KeySource. Once the file is there, copies of keys that
// processes killed while making it have left beside it are removed.
func (s FileSource) Keyring(ctx context.Context) (*Keyring, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSourceUnavailable, err)
	}
	text, err := readBounded(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.absent()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading key file: %w", ErrSourceUnavailable, err)
	}
	removeLeftovers(s.Path)
	ring, err := ParseKeyring(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", s.Path, err)
	}
	return ring, nil
}

func (s FileSource) absent() (*Keyring, error) {
	if !s.Create {
		return nil, fmt.Errorf("%w: key file %s is missing, but the storage holds data sealed under a key; put the key file back", ErrKeyRefused, s.Path)
	}
	key := make([]byte, KeySize)
	rand.Read(key) // never fails: it aborts the process instead
	ring, err := newKeyring("k1", map[string][]byte{"k1": key})
	if err != nil {
		return nil, err
	}
	text, err := ring.marshal()
	if err != nil {
		return nil, err
	}
	if err := writeOnce(s.Path, text); err != nil {
		return nil, fmt.Errorf("%w: creating key file: %w", ErrSourceUnavailable, err)
	}
	// Another process may have been first: what the file says counts.
	return FileSource{Path: s.Path}.Keyring(context.Background())
}

// writeOnce makes path appear whole, durable and for the first time: write a
// temporary file, fsync it, link(2) it to its name (which fails if the name is
// taken), fsync the directory. Losing to another process is no error: it has
// linked its own, and may have removed ours.
func writeOnce(path string, text []byte) error {
	dir, prefix := tempNames(path)
	temp, err := os.CreateTemp(dir, prefix+"*") // 0600 by contract of CreateTemp
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// tempNames is where files that are to become the one at path are, and what
// their names have before the digits of CreateTemp. No two paths share any: such
// a file may go only once path is there.
func tempNames(path string) (dir, prefix string) {
	return filepath.Dir(path), "." + filepath.Base(path) + "."
}

// removeLeftovers is best effort: a directory may be read-only.
func removeLeftovers(path string) {
	dir, prefix := tempNames(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if random, ok := strings.CutPrefix(entry.Name(), prefix); ok && strings.Trim(random, "0123456789") == "" {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyringSize {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, maxKeyringSize)
	}
	return os.ReadFile(path)
}

// InlineSource is a keyring given as text, as in an environment variable.
type InlineSource struct{ Text string }

// Keyring implements KeySource.
func (s InlineSource) Keyring(context.Context) (*Keyring, error) {
	return ParseKeyring([]byte(s.Text))
}
