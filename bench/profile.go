package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profile lists the functions in which the case of a target spends its time.
func profile(w *benchWorker, operation string) (string, error) {
	dir, err := os.MkdirTemp("", "guardian-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cpu")
	question := task{Operation: operation, Shape: targetShape, Size: targetSize, Turn: 3 * time.Second, Profile: path}
	if _, err := w.Ask(question); err != nil {
		return "", err
	}
	list, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=12", path).CombinedOutput() //nolint:gosec,noctx // G204: the path is our own; it ends by itself
	if err != nil {
		return "", fmt.Errorf("reading the profile: %w: %s", err, list)
	}
	return string(list), nil
}
