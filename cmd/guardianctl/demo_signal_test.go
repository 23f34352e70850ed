//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDemo runs the real program until it has printed a line with text, and
// returns it with the directory that its files go to.
func startDemo(t *testing.T, text string, flags ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	temp = t.TempDir()
	cmd = exec.Command(filepath.Join(binaries, "guardianctl"), append([]string{"demo"}, flags...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.Contains(lines.Text(), text) {
			return cmd, temp
		}
	}
	t.Fatalf("the demo ended before it said %q", text)
	return nil, ""
}

// running counts the guardians that store below temp.
func running(t *testing.T, temp string) int {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range environments {
		if environment, err := os.ReadFile(path); err == nil && bytes.Contains(environment, []byte("GUARDIAN_STORAGE="+temp)) {
			count++
		}
	}
	return count
}

func wantNoneRunning(t *testing.T, temp string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); running(t, temp) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d guardians are left", running(t, temp))
		}
	}
}

func TestDemoSignals(t *testing.T) {
	for _, test := range []struct {
		at     string
		signal syscall.Signal
		flags  []string
	}{
		{"guardian 1:", syscall.SIGINT, nil},
		{"4. Stop", syscall.SIGINT, nil},
		{"6. Start", syscall.SIGTERM, nil},
		{"2. Encrypt", syscall.SIGHUP, nil},
		{"guardian-2: pid", syscall.SIGTERM, []string{"--cluster"}},
		{"guardian-3 is suspect", syscall.SIGINT, []string{"--cluster"}}, // it is stopped
		{"4. Wait", syscall.SIGTERM, []string{"--heal"}},
		{"calls itself", syscall.SIGINT, []string{"--cluster"}}, // a sixth process runs
	} {
		t.Run(test.signal.String()+" at "+test.at, func(t *testing.T) {
			t.Parallel()
			cmd, temp := startDemo(t, test.at, test.flags...)
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
			if !ok || exit.ExitCode() != exitFailure {
				t.Errorf("the demo ended with %v, want exit code %d", exit, exitFailure)
			}
			if running(t, temp) != 0 {
				t.Errorf("%d guardians are left", running(t, temp))
			}
			if left, _ := os.ReadDir(temp); len(left) != 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// Nobody reads what it says any more.
func TestDemoUnread(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != exitFailure {
		t.Errorf("the demo ended with %v, want exit code %d", exit, exitFailure)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 || running(t, temp) != 0 {
		t.Errorf("%v is left, and %d guardians", left, running(t, temp))
	}
}

// A connection that the other side has closed is no reason to end; output that
// nobody reads is.
func TestBrokenPipes(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{syscall.EPIPE: true, syscall.ENOSPC: false, nil: false} {
		ended := false
		out := &output{to: failing{err}, unread: func() { ended = true }}
		if _, got := out.Write([]byte("x")); (got == nil) != (err == nil) || ended != want {
			t.Errorf("%v: got %v, ended %v", err, got, ended)
		}
	}
}

type failing struct{ err error }

func (f failing) Write(data []byte) (int, error) {
	if f.err != nil {
		return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: f.err}
	}
	return len(data), nil
}

func TestGuardiansDieWithAKilledDemo(t *testing.T) {
	for at, flags := range map[string][]string{
		"3. Who holds what":     nil, // later steps stop some of the five
		"guardian-3 is suspect": {"--cluster"},
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			cmd, temp := startDemo(t, at, flags...)
			if n := running(t, temp); n != demoGuardians {
				t.Fatalf("%d guardians run", n)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			wantNoneRunning(t, temp)
		})
	}
}
