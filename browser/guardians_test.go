package browser

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// build makes the program once for a test.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "guardian")
	command := exec.Command("go", "build", "-o", program, "./cmd/guardian")
	command.Dir = ".."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return program
}

// guardian is a process with an admin plane.
type guardian struct {
	url string
	cmd *exec.Cmd
}

// launch starts a guardian in dir and returns once it has printed where its admin
// plane is.
func launch(t *testing.T, program, dir, name string, variables ...string) *guardian {
	t.Helper()
	cmd := exec.Command(program, "--unauthenticated", "--storage", name, "--node-id", name, "--bind", "127.0.0.1:0")
	cmd.Dir = dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GUARDIAN_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(append(cmd.Env, "GUARDIAN_ADMIN_BIND=127.0.0.1:0"), variables...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &guardian{cmd: cmd}
	t.Cleanup(g.kill)
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "GUARDIAN_ADMIN_LISTEN_ADDR="); ok {
			g.url = "http://" + address + "/"
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return g
		}
	}
	t.Fatalf("%s does not say where its admin plane is", name)
	return nil
}

func (g *guardian) kill() {
	_ = g.cmd.Process.Kill()
	_, _ = g.cmd.Process.Wait()
}

// fiveGuardians share a registry and are quick to miss each other.
func fiveGuardians(t *testing.T, program string) []*guardian {
	t.Helper()
	dir := t.TempDir()
	var all []*guardian
	for i := range 5 {
		all = append(all, launch(t, program, dir, fmt.Sprintf("g%d", i+1), "GUARDIAN_REGISTRY=registry", "GUARDIAN_PEER_BIND=127.0.0.1:0",
			fmt.Sprintf("GUARDIAN_FAILURE_DOMAIN=region-%d", i%3+1), "GUARDIAN_SCRUB_INTERVAL=5s",
			"GUARDIAN_HEARTBEAT_INTERVAL=500ms", "GUARDIAN_HEARTBEAT_SUSPECT_AFTER=3s", "GUARDIAN_HEARTBEAT_DEAD_AFTER=6s"))
	}
	return all
}
