package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile puts data at path, 0600, whole or not at all: a temporary file
// beside it is written and synced first. Without replace the last step is a
// link, which fails where a rename would overwrite; with it, a rename. The
// directory is synced so that the name survives a crash.
func writeFile(path string, data []byte, replace bool) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, ".guardianctl-*") // 0600
	if err != nil {
		return writing(path, err)
	}
	defer func() {
		if removing := os.Remove(temp.Name()); err == nil && !replace {
			err = removing
		}
	}()
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return writing(path, err)
	}
	place := os.Link
	if replace {
		place = os.Rename
	}
	if err := place(temp.Name(), path); err != nil {
		return writing(path, err)
	}
	return syncDir(dir)
}

// writing names the file that was to be written instead of the temporary one.
func writing(path string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	} else if inner, ok := errors.AsType[*os.LinkError](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("writing %s: %w", path, err)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
