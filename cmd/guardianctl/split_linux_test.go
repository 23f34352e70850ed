package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSignalledSplit interrupts the real program when it has read most of what
// it is to split.
func TestSignalledSplit(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		dir := t.TempDir()
		cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "split", "-", "--shares", "5", "--threshold", "3", "-o", dir)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := input.Write(make([]byte, 4<<20)); err != nil { // far more than a pipe holds
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
		if !ok || exit.ExitCode() != exitFailure || !strings.Contains(errOut.String(), "next: interrupted") {
			t.Errorf("%v: ended with %v: %s", signal, exit, &errOut)
		}
		wantFiles(t, dir)
	}
}

func TestCombineToATerminal(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		code   int
	}{
		"text":             {"Grüße,\n\tworld\n", exitOK},
		"binary":           {"\x00\x01\xff", exitUsage},
		"terminal control": {"a\x1b[2Jb\n", exitUsage},
	} {
		files := shareFileNames(t.TempDir(), 3)
		if _, err := splitInto(t.Context(), files, []byte(test.secret), 2); err != nil {
			t.Fatal(err)
		}
		ours, terminal := openTerminal(t)
		var errOut bytes.Buffer
		args := append([]string{"combine"}, files...)
		if code := run(t.Context(), args, streams{strings.NewReader(""), terminal, &errOut}); code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, test.code, &errOut)
		}
		fmt.Fprint(terminal, "END")
		if shown := readUntil(t, ours, "END"); (shown != "END") != (test.code == exitOK) {
			t.Errorf("%s: the terminal shows %q", name, shown)
		}
	}
}
