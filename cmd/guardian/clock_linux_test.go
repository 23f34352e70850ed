package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// clockVariable names, to a program of buildWithClock, the file that says by how
// many seconds its wall clock is off: a number of 8 bytes that may change at any
// time. Without it the clock is right.
const clockVariable = "TEST_CLOCK"

// clockSource joins package time in such a program. The file is mapped, as the
// clock is read too often to read a file each time.
const clockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var offBy = mapOffset()

func mapOffset() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	file, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("opening " + path + ": " + err.Error())
	}
	page, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("mapping " + path + ": " + err.Error())
	}
	_ = syscall.Close(file)
	return (*int64)(unsafe.Pointer(&page[0]))
}

func clockOffset() int64 { return atomic.LoadInt64(offBy) }
`

var readsClock = regexp.MustCompile(`(?m)^func Now\(\) Time \{\n\tsec, nsec, mono := runtimeNow\(\)\n`)

// buildWithClock builds a guardian whose wall clock a test can put forward and
// back; monotonic time, and with it timers, goes on as it does when somebody sets
// the clock of a machine. Without it that takes the right to set the clock for
// all who use the machine: Linux has no namespace for it, and libfaketime does not
// reach a program that asks the kernel by itself, as those of Go do.
func buildWithClock(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := readsClock.FindIndex(original)
	if found == nil {
		t.Fatalf("%s: time.Now is not what it was: adapt this test to it", std)
	}
	changed := string(original[:found[1]]) + "\tsec += clockOffset()\n" + string(original[found[1]:])
	return buildOverlaid(t, map[string]string{
		filepath.Join(std, "time.go"):         changed,
		filepath.Join(std, "clock_offset.go"): clockSource,
	})
}

// buildOverlaid builds a guardian in which files have another text, by their path.
func buildOverlaid(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for path, text := range texts {
		replace[path] = writeFile(t, dir, filepath.Base(path), text)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return buildGuardian(t, "-overlay", writeFile(t, dir, "overlay.json", string(overlay)))
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clock is the wall clock of the programs that it is the file of.
type clock struct{ path string }

func newClock(t *testing.T) clock {
	t.Helper()
	return clock{writeFile(t, t.TempDir(), "clock", strings.Repeat("\x00", 8))}
}

func (c clock) environ() string { return clockVariable + "=" + c.path }

// set puts the clock off by that much, from now on.
func (c clock) set(t *testing.T, by time.Duration) {
	t.Helper()
	file, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seconds := binary.NativeEndian.AppendUint64(nil, uint64(int64(by/time.Second)))
	if _, err := file.WriteAt(seconds, 0); err != nil {
		t.Fatal(err)
	}
}
