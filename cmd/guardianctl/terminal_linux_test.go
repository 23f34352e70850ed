package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// console is the real program on a terminal of its own.
type console struct {
	t              *testing.T
	cmd            *exec.Cmd
	dir            string // where it runs, with its HOME and TMPDIR
	ours, terminal *os.File
	before         unix.Termios
	mu             sync.Mutex
	screen         bytes.Buffer
	ended          chan error
}

// startConsole starts a command line in an empty directory. All three streams
// are the terminal; it is the controlling one unless detached.
func startConsole(t *testing.T, detached bool, urls []string, args ...string) *console {
	t.Helper()
	c := &console{t: t, dir: t.TempDir(), ended: make(chan error, 1)}
	c.ours, c.terminal = openTerminal(t)
	c.before = c.mode()
	c.cmd = exec.Command(filepath.Join(binaries, "guardianctl"), args...)
	c.cmd.Dir = c.dir
	c.cmd.Env = []string{"HOME=" + c.dir, "TMPDIR=" + c.dir, "PATH=" + os.Getenv("PATH"), guardiansVariable + "=" + strings.Join(urls, ",")}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = c.terminal, c.terminal, c.terminal
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: !detached}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	go c.watch()
	return c
}

// watch keeps what the terminal shows until that is closed.
func (c *console) watch() {
	for buffer := make([]byte, 4096); ; {
		n, err := c.ours.Read(buffer)
		c.mu.Lock()
		c.screen.Write(buffer[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *console) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

func (c *console) await(text string) {
	c.t.Helper()
	eventually(c.t, "showing "+text, func() bool { return strings.Contains(c.shown(), text) })
}

func (c *console) typed(text string) {
	c.t.Helper()
	if _, err := c.ours.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) mode() unix.Termios {
	c.t.Helper()
	mode, err := unix.IoctlGetTermios(int(c.terminal.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return *mode
}

// ends waits for the end and returns the exit code. The terminal must then be
// what it was.
func (c *console) ends() int {
	c.t.Helper()
	err := <-c.ended
	const end = "\x04" // behind all that was shown
	if _, err := c.terminal.WriteString(end); err != nil {
		c.t.Fatal(err)
	}
	c.await(end)
	if after := c.mode(); after != c.before {
		c.t.Errorf("the terminal is left in another mode: %+v, not %+v", after, c.before)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return exitOK
}

// proc is a file of the kernel's about the process.
func (c *console) proc(name string) string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), name))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// files are all that there are below the directory, with what is in them.
func (c *console) files() map[string]string {
	c.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(c.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return found
}

func (c *console) wantNoFiles() {
	c.t.Helper()
	for path := range c.files() {
		c.t.Errorf("%s is left", path)
	}
}
