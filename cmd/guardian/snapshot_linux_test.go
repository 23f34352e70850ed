package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backup/hot"
)

// hasCopy reports whether a process has a copy of its database open, which has no
// name.
func hasCopy(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir)
	for _, file := range files {
		if to, _ := os.Readlink(filepath.Join(dir, file.Name())); strings.Contains(to, ".guardian.db.tmp-") && strings.HasSuffix(to, "(deleted)") {
			return true
		}
	}
	return false
}

// A guardian that is killed while it makes a copy, or while it sends one, leaves
// nothing of it behind, and everything else.
func TestKilledWhileItIsCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "guardian.db")
	const shares = 60
	first := launchFile(t, path)
	first.fill(t, 'k', shares)
	first.kill()
	for range 3 {
		c, killed := launchFile(t, path), make(chan struct{})
		asked := c.request(t)
		go func() {
			// It may be cut off, or not be fetched as long as the guardian lives.
			if response, err := http.Post("http://"+c.admin+hot.Path, "application/json", bytes.NewReader(asked)); err == nil {
				<-killed
				_ = response.Body.Close()
			}
		}()
		eventually(t, "there is a copy", func() bool { return hasCopy(c.cmd.Process.Pid) })
		c.kill()
		close(killed)
		again := launchFile(t, path)
		for i := range shares {
			if got, err := again.pull(identityOfFill('k', i)); err != nil || got.version != uint64(i) {
				t.Fatalf("%d is %d, %v", i, got.version, err)
			}
		}
		again.kill()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := entry.Name(); name != "guardian.db" && name != "integrity.key" {
				t.Errorf("there is %s", name)
			}
		}
	}
}

// TestNoRoomForACopy asks a guardian on a small file system. To mount one without
// being root it runs in namespaces of its own.
func TestNoRoomForACopy(t *testing.T) {
	t.Parallel()
	if !mayMount() {
		if !mountingAgain(t) {
			t.Log("not tried: admin.TestNoSnapshot tells how it is answered")
		}
		return
	}
	c := launchFile(t, filepath.Join(smallDisk(t, "16m"), "guardian.db"))
	c.fill(t, 'r', 2)
	c.refuses(t, http.StatusInsufficientStorage, "no_room")
	c.fill(t, 's', 2)
}
