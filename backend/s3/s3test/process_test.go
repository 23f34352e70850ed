package s3test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStartTakesAnotherPort(t *testing.T) {
	for name, command := range map[string]serverCommand{"versitygw": versityCommand, "minio": minioCommand} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tried []string
			server := newServer()
			binary := findProgram(t, name, "GUARDIAN_TEST_"+strings.ToUpper(name))
			server.start(t, binary, func(t testing.TB, binary string, s *Server, address string) *exec.Cmd {
				if tried = append(tried, address); len(tried) == 1 {
					take(t, address)
				}
				return command(t, binary, s, address)
			})
			if len(tried) < 2 || server.Endpoint == "http://"+tried[0] {
				t.Errorf("tried %v, serves %s", tried, server.Endpoint)
			}
			server.NewBucket(t)
		})
	}
}

// take listens on the address, and lets all that connect wait. Who has it for a
// moment only is waited for: nobody would be there when the server starts.
func take(t testing.TB, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	for range 500 {
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		listener, err = net.Listen("tcp", address)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE): // somebody else came first, which is as well
	case err != nil:
		t.Fatal(err)
	default:
		t.Cleanup(func() { _ = listener.Close() })
	}
}

// verdict is a test that ends without a mark on the one it is part of.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Fatalf(format string, args ...any) { v.end("fail", format, args) }
func (v *verdict) Skipf(format string, args ...any)  { v.end("skip", format, args) }

func (v *verdict) end(as, format string, args []any) {
	v.said = as + ": " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// judge returns how f ended the test: "" if it did not.
func judge(t *testing.T, f func(t testing.TB)) string {
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(v)
	}()
	<-done
	return v.said
}

func TestFailedStartShowsWhy(t *testing.T) {
	notInQuickLoop(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho out of order >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GUARDIAN_TEST_VERSITYGW", broken)
	said := judge(t, func(t testing.TB) { Versity(t) })
	for _, want := range []string{"fail:", "out of order", "exit status 3"} {
		if !strings.Contains(said, want) {
			t.Errorf("start said %q, which lacks %q", said, want)
		}
	}
}

func TestFindProgram(t *testing.T) {
	root := t.TempDir()
	write := func(path string, age time.Duration) string {
		path = filepath.Join(root, path)
		modified := time.Now().Add(-age)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
		return path
	}
	find := func() (path, said string) {
		said = judge(t, func(t testing.TB) { path = findProgram(t, "tool", "GUARDIAN_TEST_TOOL") })
		return path, said
	}
	write("go.mod", 0)
	write("a/b/c.go", 0)
	t.Chdir(filepath.Join(root, "a", "b"))

	if _, said := find(); !strings.HasPrefix(said, "fail: ") || !strings.Contains(said, "make tools") {
		t.Errorf("without a program: %q", said)
	}
	t.Setenv("GUARDIAN_TEST_ALLOW_SKIP", "1")
	if _, said := find(); !strings.HasPrefix(said, "skip: ") {
		t.Errorf("without a program, but with leave to skip: %q", said)
	}
	write(".tools/tool-v1.9.0/tool", 2*time.Hour)
	newest := write(".tools/tool-v1.10.0/tool", time.Hour)
	if got, said := find(); got != newest {
		t.Errorf("found %s, %q, want %s", got, said, newest)
	}
	t.Setenv("GUARDIAN_TEST_TOOL", "named")
	if got, said := find(); got != "named" {
		t.Errorf("found %s, %q, want what the variable names", got, said)
	}
}
