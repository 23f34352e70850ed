package s3test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// process is a server of its own that ends with its test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited

	// Once done is closed:
	output bytes.Buffer
	err    error
}

// startProcess starts cmd. However the test binary ends, the process ends
// too, where the system can do that.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The parent that the process dies with is this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", cmd.Path, err)
	}
	t.Cleanup(p.stop)
	return p
}

// stop kills the process and waits for its end. It may be called again.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have exited already
	<-p.done
}

// findProgram returns the path of a server's binary: the one that variable
// names, or else the newest one of `make tools`. Without one the test fails,
// so that no run looks complete that was not.
func findProgram(t testing.TB, name, variable string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	found, err := filepath.Glob(filepath.Join(moduleRoot(t), ".tools", name+"-*", name))
	if err != nil {
		t.Fatalf("looking for %s: %v", name, err)
	}
	newest := newestFile(found)
	switch {
	case newest != "":
	case os.Getenv("GUARDIAN_TEST_ALLOW_SKIP") == "1":
		t.Skipf("no %s: run make tools, or name one in %s", name, variable)
	default:
		t.Fatalf("no %s: run make tools, or name one in %s (GUARDIAN_TEST_ALLOW_SKIP=1 skips instead)", name, variable)
	}
	return newest
}

// newestFile returns the path that was modified last, "" if there is none.
func newestFile(paths []string) string {
	var newest string
	var modified time.Time
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(modified) {
			newest, modified = path, info.ModTime()
		}
	}
	return newest
}

// moduleRoot walks up from the working directory, which is the package's.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
