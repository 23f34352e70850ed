package main

import (
	"errors"
	"fmt"
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
		return err
	}
	defer func() {
		if removing := os.Remove(temp.Name()); err == nil && !replace {
			err = removing
		}
	}()
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	place := os.Link
	if replace {
		place = os.Rename
	}
	if err := place(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
