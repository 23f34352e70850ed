package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var directoryFaults = []fault{
	// As a quota does.
	{name: "no file may grow", refuses: true, prepare: limited(unix.RLIMIT_FSIZE, emptyDirectory)},
	{name: "no file can be opened", refuses: true, unready: true, unreadable: true, prepare: limited(unix.RLIMIT_NOFILE, emptyDirectory)},
	{name: "read-only directory", refuses: true, unready: true, prepare: readOnlyDirectory},
}

// One file is open all the time.
var fileFaults = []fault{
	{name: "it may not be written", refuses: true, prepare: limited(unix.RLIMIT_FSIZE, emptyFile)},
	{name: "no file can be opened", prepare: limited(unix.RLIMIT_NOFILE, emptyFile)},
}

// limited leaves nothing of a resource to a running process on the storage.
func limited(resource int, empty func(*testing.T) []string) func(*testing.T) troubled {
	return func(t *testing.T) troubled {
		limits := limits(resource)
		limits.environ = empty(t)
		return limits
	}
}

func limits(resource int) troubled {
	set := func(t *testing.T, p *process, take bool) {
		t.Helper()
		var limit unix.Rlimit
		err := unix.Prlimit(p.cmd.Process.Pid, resource, nil, &limit)
		if limit.Cur = limit.Max; take {
			limit.Cur = 0
		}
		if err := errors.Join(err, unix.Prlimit(p.cmd.Process.Pid, resource, &limit, nil)); err != nil {
			t.Errorf("setting the limits of a process: %v", err)
		}
	}
	return troubled{
		strike: func(t *testing.T, p *process) { set(t, p, true) },
		heal:   func(t *testing.T, p *process) { set(t, p, false) },
	}
}

// readOnlyDirectory takes the permission to write away. The guardian is nobody
// whom permissions do not bind, even if the test is.
func readOnlyDirectory(t *testing.T) troubled {
	dir := filepath.Join(t.TempDir(), "storage")
	permit := func(t *testing.T, mode os.FileMode) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				return os.Chmod(path, mode)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	s := troubled{
		environ: []string{"GUARDIAN_STORAGE=" + dir},
		strike:  func(t *testing.T, _ *process) { permit(t, 0o500) },
		heal:    func(t *testing.T, _ *process) { permit(t, 0o700) },
	}
	t.Cleanup(func() { permit(t, 0o700) })
	if os.Getuid() == 0 {
		s.system = inNamespace(syscall.CLONE_NEWUSER, os.Getpid())
	}
	return s
}

// inNamespace is for a process in namespaces of its own, where this user has
// another id.
func inNamespace(kinds uintptr, id int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  kinds,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getgid(), Size: 1}},
	}
}

// TestDirectoryFaults is TestBucketFaults for a directory.
func TestDirectoryFaults(t *testing.T) {
	t.Parallel()
	withFaults(t, directoryFaults)
}

// TestFileFaults is TestBucketFaults for one file.
func TestFileFaults(t *testing.T) {
	t.Parallel()
	withFaults(t, fileFaults)
}

// TestFullDisk is TestDirectoryFaults for a small file system that is full.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !mayMount() {
		if !mountingAgain(t) {
			t.Log("not tried: TestDirectoryFaults alone tells what becomes of a write without room")
		}
		return
	}
	withFaults(t, []fault{
		{name: "directory", refuses: true, unready: true, prepare: fullDisk("")},
		{name: "file", refuses: true, unready: true, prepare: fullDisk("bolt://")},
	})
}

func fullDisk(scheme string) func(*testing.T) troubled {
	return func(t *testing.T) troubled {
		dir := smallDisk(t, "16m")
		disk := filling(dir)
		disk.environ = []string{"GUARDIAN_STORAGE=" + scheme + filepath.Join(dir, "storage")}
		return disk
	}
}

// inner is what tells a test that it runs on its own in a mount namespace.
const inner = "TEST_IN_NAMESPACE"

func mayMount() bool { return os.Getenv(inner) != "" }

// mountingAgain runs a test once more, in namespaces of its own where it may
// mount without being root, and reports false where the machine lets nobody.
func mountingAgain(t *testing.T, args ...string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], append(args, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=0")...)
	cmd.Env = append(os.Environ(), inner+"=1")
	cmd.SysProcAttr = inNamespace(syscall.CLONE_NEWUSER|syscall.CLONE_NEWNS, 0)
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(t.Output(), &out)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	if errors.Is(err, os.ErrPermission) || bytes.Contains(out.Bytes(), []byte(errNoMount.Error())) {
		t.Logf("this machine lets nobody mount in a namespace: %v", err)
		return false
	}
	if err != nil {
		t.Error(err)
	}
	return true
}

var errNoMount = errors.New("no file system can be mounted")

// smallDisk is the directory of a file system in memory that is that large.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("%v: %v", errNoMount, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // it ends with the namespace at the latest
	return dir
}

// filling leaves no byte of the file system of a directory.
func filling(dir string) troubled {
	ballast := filepath.Join(dir, "ballast")
	return troubled{
		strike: func(t *testing.T, _ *process) { fill(t, ballast) },
		heal: func(t *testing.T, _ *process) {
			if err := os.Remove(ballast); err != nil {
				t.Error(err)
			}
		},
	}
}

// fill makes a file as large as can be.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	for block := make([]byte, 4<<10); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("filling the disk: %v", err)
	}
	_ = file.Close()
}
