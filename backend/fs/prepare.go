package fs

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"time"
)

// tempAge is far above the time that any caller waits for a write.
const tempAge = time.Hour

// Exists reports whether dir has been opened as a storage before. Unlike Open
// it changes nothing.
func Exists(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, lockDir))
	return err == nil && info.IsDir()
}

// sweepTemporary removes what writers that died have left, and no file of one
// that may still be at work, but for spares: who misses one makes a file. No writer
// leaves a directory there.
func sweepTemporary(root *os.Root) error {
	if err := makeDir(root, tempDir); err != nil {
		return err
	}
	names, err := readNames(root, tempDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := root.Lstat(path.Join(tempDir, name))
		if err != nil || info.IsDir() || !isSpare(name) && time.Since(info.ModTime()) < tempAge {
			continue
		}
		if err := root.Remove(path.Join(tempDir, name)); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

func readNames(root *os.Root, dir string) ([]string, error) {
	file, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Readdirnames(-1)
}

func makeDir(root *os.Root, dir string) error {
	if err := root.Mkdir(dir, dirMode); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
