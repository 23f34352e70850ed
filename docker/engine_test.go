//go:build image

// Package image_test runs the container image, with a real container engine
// and over a real S3 server.
package image_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// theEngine is found once for all tests.
var theEngine *engine

// engine is the program that runs containers here.
type engine struct {
	name    string   // docker or podman
	image   string   // what is tested
	environ []string // of every command
	dir     string   // gone after the tests
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "guardian-image-")
	if err == nil {
		theEngine, err = findEngine(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "looking for a container engine:", err)
	} else {
		fmt.Printf("testing %s with %s\n", theEngine.image, theEngine.name)
		code = m.Run()
		_, _ = theEngine.run("rmi", standinImage) // not there if no test needed it
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// findEngine asks docker/engine.sh, and sees a container run. GUARDIAN_TEST_IMAGE
// names another image than the one of `make image`.
func findEngine(dir string) (*engine, error) {
	find := exec.Command("./engine.sh", "run")
	find.Stderr = os.Stderr
	name, err := find.Output()
	if err != nil {
		return nil, err
	}
	e := &engine{
		name:    strings.TrimSpace(string(name)),
		image:   cmp.Or(os.Getenv("GUARDIAN_TEST_IMAGE"), "guardian:latest"),
		environ: os.Environ(),
		dir:     dir,
	}
	_, err = e.run("run", "--rm", e.image, "--version")
	if err != nil && e.name == "podman" {
		err = e.confine()
	}
	return e, err
}

// Where podman itself runs in a container it may not raise limits, nor may
// every runtime do all it wants.
const confined = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
`

func (e *engine) confine() error {
	conf := filepath.Join(e.dir, "containers.conf")
	if err := os.WriteFile(conf, []byte(confined), 0o600); err != nil {
		return err
	}
	e.environ = append(e.environ, "CONTAINERS_CONF="+conf)
	_, err := e.run("run", "--rm", e.image, "--version")
	return err
}

func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.name, args...)
	cmd.Env = e.environ
	cmd.WaitDelay = time.Second
	return cmd
}

// run returns what a command prints on stdout. Its error has what was on
// stderr, and is an *exec.ExitError below that.
func (e *engine) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := e.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", e.name, strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

func (e *engine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.run(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// hardened are the flags of a container without anything it does not need.
func (e *engine) hardened() []string {
	flags := []string{"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"}
	if e.name == "podman" { // which would mount a /tmp that can be written
		flags = append(flags, "--read-only-tmpfs=false")
	}
	return flags
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
