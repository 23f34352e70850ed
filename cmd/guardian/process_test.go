package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// process is a guardian process that listens.
type process struct {
	cmd     *exec.Cmd
	address string
	stdout  *lockedBuffer // what follows its address
	stderr  *lockedBuffer
	exited  chan struct{} // closed once it has
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// launch starts a guardian and returns once it has printed its address.
func launch(binary, dir string, environ []string, args ...string) (*process, error) {
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = dir, environ
	return launchCommand(cmd)
}

func launchCommand(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, exited: make(chan struct{})}
	cmd.Stderr = p.stderr
	stdout, writer := io.Pipe()
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // the exit code is in ProcessState
		_ = writer.Close()
		close(p.exited)
	}()
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	go func() { _, _ = io.Copy(p.stdout, lines) }()
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "GUARDIAN_LISTEN_ADDR=")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("it did not say where it listens but %q (exit code %d):\n%s", line, cmd.ProcessState.ExitCode(), p.stderr)
	}
	p.address = address
	return p, nil
}

// printed is what it has printed behind NAME= on a line of its own, "" as long
// as it has not.
func (p *process) printed(name string) string {
	for line := range strings.Lines(p.stdout.String()) {
		if value, ok := strings.CutPrefix(line, name+"="); ok && strings.HasSuffix(value, "\n") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kill ends it without a chance to do anything, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// wait returns the exit code: -1 when a signal ended it.
func (p *process) wait() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		p.kill()
		return 0, errors.New("it does not end")
	}
}

func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// bareEnvironment is that of the tests without a guardian's variables.
func bareEnvironment(extra ...string) []string {
	var environ []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, prefix) {
			environ = append(environ, variable)
		}
	}
	return append(environ, extra...)
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
