package bolt

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

const fullDir = "GUARDIAN_TEST_BOLT_FULL"

// A disk that is full fails writes, and is no reason to stop: what was there is
// there, and later there is room again. It takes a process that may not make a
// file larger than a limit.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(fullDir); dir != "" {
		fillUp(t, filepath.Join(dir, "guardian.db"))
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	child.Env = append(os.Environ(), fullDir+"="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func fillUp(t *testing.T, path string) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	b := opened(t, path)
	var unlimited syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 2 << 20, Max: unlimited.Max}))
	data := strings.Repeat("x", 100_000)
	stored := 0
	for ; stored < 100; stored++ {
		if _, err := b.Put(t.Context(), fmt.Sprint(stored), []byte(data), backend.Revision{}); err != nil {
			break
		}
	}
	if stored == 0 || stored == 100 {
		t.Fatalf("%d were stored: that was no test", stored)
	}
	for n := range stored {
		holds(t, b, fmt.Sprint(n), data)
	}
	if _, _, err := b.Get(t.Context(), fmt.Sprint(stored)); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("what failed: %v", err)
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited))
	for n := range 2 * stored {
		put(t, b, fmt.Sprint(n), data)
	}
}
