//go:build rqlite

package rqlitetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// realNode is one process of rqlited, and its place.
type realNode struct {
	id, dir, log string
	http, raft   string // addresses

	mu      sync.Mutex // guards what follows
	process *exec.Cmd
	exited  chan struct{} // closed when the process has
	paused  bool
}

const (
	running = "running"
	paused  = "paused"
	stopped = "stopped"
)

func newRealNodes(t testing.TB, count int) []*realNode {
	t.Helper()
	nodes := make([]*realNode, count)
	for i := range nodes {
		dir := t.TempDir()
		nodes[i] = &realNode{
			id: fmt.Sprintf("n%d", i), dir: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"),
			http: freeAddress(t), raft: freeAddress(t),
		}
		t.Cleanup(nodes[i].stop)
	}
	return nodes
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener := listen(t, "127.0.0.1:0")
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).String()
}

// start starts the process. However the test binary ends, the process ends too,
// where the system can do that.
func (n *realNode) start(t testing.TB, binary string, arguments []string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil && !n.hasExited() {
		return
	}
	output, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(binary, arguments...) //nolint:gosec,noctx // stopped by the test's cleanup
	cmd.Stdout, cmd.Stderr = output, output
	dieWithParent(cmd)
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The parent that the process dies with is this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting rqlited: %v", err)
	}
	n.process, n.exited, n.paused = cmd, exited, false
}

func (n *realNode) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		_ = n.process.Process.Kill() // it may have exited already
		<-n.exited
	}
}

func (n *realNode) pause() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused = n.process.Process.Signal(syscall.SIGSTOP) == nil
}

func (n *realNode) resume() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused = false
	_ = n.process.Process.Signal(syscall.SIGCONT) // it may have exited
}

func (n *realNode) state() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.hasExited():
		return stopped
	case n.paused:
		return paused
	}
	return running
}

func (n *realNode) hasExited() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// output is the end of what the process wrote.
func (n *realNode) output(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[max(0, len(text)-4096):])
}
