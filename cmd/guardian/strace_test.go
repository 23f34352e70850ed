//go:build linux && strace

// Run by make test-disk, as strace is not on every machine.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	waits    = "fsync,fdatasync,syncfs"
	straceIs = "strace, of Debian's package strace, which root or kernel.yama.ptrace_scope=0 lets attach to a process"
)

// tampering is strace at a running process.
type tampering struct {
	args []string
	mu   sync.Mutex
	cmd  *exec.Cmd
	said bytes.Buffer
}

// inject has strace do something to system calls: man strace, "Tampering".
func inject(calls, what string, paths ...string) *tampering {
	s := &tampering{args: []string{"-f", "-qq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + what}}
	for _, path := range paths {
		s.args = append(s.args, "-P", path)
	}
	return s
}

// begin returns once it is at each thread of p.
func (s *tampering) begin(t *testing.T, p *process) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return
	}
	s.cmd = exec.Command("strace", append(s.args, "-p", fmt.Sprint(p.cmd.Process.Pid))...)
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		t.Errorf("it takes %s: %v", straceIs, err)
		return
	}
	for deadline := time.Now().Add(patience); !isTraced(p); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
			t.Errorf("it takes %s: %s", straceIs, s.said.String())
			return
		}
	}
}

// end lets go of the process, if that is still there.
func (s *tampering) end(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = s.cmd.Wait() // ends by that signal
	s.cmd = nil
}

func isTraced(p *process) bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return false
	}
	return !slices.ContainsFunc(tasks, func(task string) bool {
		status, err := os.ReadFile(task)
		return err == nil && strings.Contains(string(status), "TracerPid:\t0\n")
	})
}

// tampered is a storage with which a guardian is tampered with.
func tampered(empty func(*testing.T) []string, calls, what string, paths ...string) func(*testing.T) troubled {
	return func(t *testing.T) troubled {
		environ := empty(t)
		_, storage, _ := strings.Cut(environ[0], "=")
		var full []string
		for _, path := range paths {
			full = append(full, filepath.Join(strings.TrimPrefix(storage, "bolt://"), path))
		}
		s := inject(calls, what, full...)
		t.Cleanup(func() { s.end(t) })
		return troubled{environ: environ, strike: s.begin, heal: func(t *testing.T, _ *process) { s.end(t) }}
	}
}

// directories are those that hold what owners have, and the storage itself.
func directories() []string {
	paths := []string{".", "shares"}
	for i := range crashOwners {
		for _, r := range newOwner(i).records {
			paths = append(paths, filepath.Join("shares", r.identity))
		}
	}
	return paths
}

// diskFaults are what a disk may do: be slow, fail, have no room. A push waits for
// it twice, so that with 2 s each the deadline of a call is over. A read of the one
// file is none of these calls, as that is mapped into memory.
func diskFaults() []fault {
	directory := func(calls, what string, paths ...string) func(*testing.T) troubled {
		return tampered(emptyDirectory, calls, what, paths...)
	}
	file := func(calls, what string) func(*testing.T) troubled { return tampered(emptyFile, calls, what) }
	return []fault{
		{name: "directory, slow by 10 ms", acknowledges: true, prepare: directory(waits, "delay_enter=10000")},
		{name: "directory, slow by 200 ms", acknowledges: true, prepare: directory(waits, "delay_enter=200000")},
		{name: "directory, slow by 2 s", prepare: directory(waits, "delay_enter=2000000")},
		// Each file and directory is synced by itself then.
		{name: "directory, syncfs fails", acknowledges: true, prepare: directory("syncfs", "error=EIO")},
		{
			name: "directory, fsync of directories fails", refuses: true, unready: true, stops: true,
			prepare: directory("syncfs,fsync", "error=EIO", directories()...),
		},
		{name: "directory, all waits fail", refuses: true, unready: true, stops: true, prepare: directory(waits, "error=EIO")},
		{name: "directory, no room for directories", refuses: true, prepare: directory("mkdirat", "error=ENOSPC")},
		{name: "directory, no room for names", refuses: true, prepare: directory("renameat,renameat2", "error=ENOSPC")},
		{name: "directory, nothing can be removed", acknowledges: true, prepare: directory("unlinkat", "error=EIO")},

		{name: "file, slow by 10 ms", acknowledges: true, prepare: file(waits, "delay_enter=10000")},
		{name: "file, slow by 200 ms", acknowledges: true, prepare: file(waits, "delay_enter=200000")},
		{name: "file, slow by 2 s", prepare: file(waits, "delay_enter=2000000")},
		{name: "file, read-only", refuses: true, prepare: file("pwrite64", "error=EROFS")},
		// The first wait of a commit is for its data: then there is no second.
		{name: "file, its data fail", refuses: true, prepare: file(waits, "error=EIO")},
		// Every second wait of each thread: now and then that for the head.
		{name: "file, its head fails", refuses: true, unready: true, stops: true, prepare: file(waits, "error=EIO:when=2+2")},
	}
}

// TestDisk is TestBucketFaults for a directory and one file on a disk that is slow or
// fails. Where it is not known what is on the disk, nothing more is acknowledged until
// there is a restart.
func TestDisk(t *testing.T) {
	withFaults(t, diskFaults())
}

// TestDiskFailsOneWrite is about the fsync of a file: if it fails, so does the write
// that it is for, and no other. A delete waits for that before it changes a directory.
func TestDiskFailsOneWrite(t *testing.T) {
	s := suffering{binary: buildGuardian(t), dir: t.TempDir(), owners: []*owner{newOwner(0)}}
	s.troubled = tampered(emptyDirectory, "fsync", "error=EIO")(t)
	p := s.launch(t)
	client := newCrashClient(p)
	defer client.close()
	s.goOn(t, client)
	for _, r := range s.owners[0].records {
		if r.acked.live {
			r.pending = &state{version: r.acked.version}
			s.strike(t, p)
			if status, body, err := client.send(r.identity, *r.pending); !isUnavailable(status, body) {
				t.Errorf("a delete whose file is not on disk: %d %s, %v", status, body, err)
			}
		}
	}
	s.heal(t, p)
	if status := readiness(client); status != http.StatusOK {
		t.Errorf("it is not ready: %d", status)
	}
	s.goOn(t, client)
}

// TestDiskKilledAtEachStep is TestCrash with guardians that are killed in the middle
// of a system call, mostly.
func TestDiskKilledAtEachStep(t *testing.T) {
	const each = 3
	binary := buildGuardian(t)
	for name, storage := range map[string]struct {
		empty func(*testing.T) []string
		calls []string
	}{
		"directory": {emptyDirectory, []string{"mkdirat", "openat,openat2", "fsync", "syncfs", "renameat,renameat2", "unlinkat"}},
		"file":      {emptyFile, []string{"pwrite64", "fdatasync", "ftruncate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := crashing{binary: binary, dir: t.TempDir(), environ: storage.empty(t), strike: kill}
			for i := range crashOwners {
				c.owners = append(c.owners, newOwner(i))
			}
			for _, calls := range storage.calls {
				for range each {
					p := c.launch(t)
					s := inject(calls, "delay_enter=50000:delay_exit=50000")
					s.begin(t, p)
					c.crashOnce(t, p)
					s.end(t)
					c.settle(t)
					if t.Failed() {
						t.Fatalf("killed in %s", calls)
					}
				}
			}
			t.Logf("%d acknowledged, %d cut off, %d refused", c.acknowledged, c.unanswered, c.refused)
		})
	}
}

// TestDiskOfTwoGuardians has two guardians on one directory, each with owners of its
// own, which they exchange. One cannot sync the file system as a whole.
func TestDiskOfTwoGuardians(t *testing.T) {
	const rounds = 4
	binary, environ, dir := buildGuardian(t), emptyDirectory(t), t.TempDir()
	var both [2]crashing
	for i := range both {
		both[i] = crashing{binary: binary, dir: dir, environ: environ, strike: kill}
		for n := range crashOwners {
			both[i].owners = append(both[i].owners, newOwner(i*crashOwners+n))
		}
	}
	for range rounds {
		whole, apart := both[0].launch(t), both[1].launch(t)
		s := inject("syncfs", "error=EIO")
		s.begin(t, apart)
		var working sync.WaitGroup
		working.Go(func() { both[0].crashOnce(t, whole) })
		working.Go(func() { both[1].crashOnce(t, apart) })
		working.Wait()
		s.end(t)
		both[0].settle(t)
		both[1].settle(t)
		if t.Failed() {
			t.FailNow()
		}
		both[0].owners, both[1].owners = both[1].owners, both[0].owners
	}
	t.Logf("%d and %d acknowledged, %d and %d cut off",
		both[0].acknowledged, both[1].acknowledged, both[0].unanswered, both[1].unanswered)
}
