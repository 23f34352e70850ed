package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardiantest"
)

// listing makes the first guardian of a cluster name all of them, with indices.
func listing(t *testing.T, cluster *guardiantest.Cluster) (from string) {
	t.Helper()
	var list api.GuardiansResponse
	for i, url := range cluster.URLs() {
		key := sha256.Sum256([]byte(url))
		list.Guardians = append(list.Guardians, api.GuardianInfo{
			NodeID: fmt.Sprintf("node-%d", i), Index: i + 1, URL: url, NodeKey: hex.EncodeToString(key[:]), State: "alive",
		})
	}
	cluster.Front(0, func(own http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteGuardians {
				own.ServeHTTP(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(list)
		})
	})
	return cluster.URLs()[0]
}

const confirmation = "Are they the ones your operator names? Type yes: "

// The words and one URL bring everything back: the list is shown and confirmed
// before anybody is asked for the words.
func TestListIsConfirmedOnATerminal(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 4)
	words, from := storedByWords(t, cluster), listing(t, cluster)
	c := startConsole(t, false, nil, "recover", "--mnemonic", "-o", "out.txt", "--guardians-from", from)
	c.await(confirmation)
	for i, url := range cluster.URLs() {
		if row := fmt.Sprintf("%d      node-%d  %s  ", i+1, i, url); !strings.Contains(c.shown(), row) {
			t.Errorf("%q is not shown in %q", row, c.shown())
		}
	}
	if strings.Contains(c.shown(), "24 words") {
		t.Errorf("it asks for the words first: %q", c.shown())
	}
	c.typed("yes\n")
	c.await("The 24 words (not shown): ")
	c.typed(words + "\r")
	if code := c.ends(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, c.shown())
	}
	files := c.files()
	if got := files[filepath.Join(c.dir, "out.txt")]; got != storedSecret {
		t.Errorf("recovered %q", got)
	}
	if kept := files[filepath.Join(c.dir, ".config/guardian/guardians.json")]; !strings.Contains(kept, from) {
		t.Errorf("the list is not kept: %v", files)
	}
	wantWithout(t, "the terminal", c.shown(), append(pairs(words), storedSecret)...)
}

// Without a yes nothing is asked of anybody, and nothing is kept.
func TestListIsNotConfirmed(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 4)
	from := listing(t, cluster)
	for name, test := range map[string]struct {
		end  func(c *console)
		want string
	}{
		"no":      {func(c *console) { c.typed("no\n") }, "not confirmed, nothing was done"},
		"y":       {func(c *console) { c.typed("y\n") }, "not confirmed, nothing was done"},
		"nothing": {func(c *console) { c.typed("\n") }, "next: ask the operator for the list"},
		"Ctrl-D":  {func(c *console) { c.typed("\x04") }, "not confirmed, nothing was done"},
		"Ctrl-C":  {func(c *console) { c.typed("\x03") }, "next: interrupted"},
		"SIGTERM": {func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGTERM) }, "next: interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startConsole(t, false, nil, "recover", "--mnemonic", "-o", "out.txt", "--guardians-from", from)
			c.await(confirmation)
			test.end(c)
			if code := c.ends(); code != exitFailure || !strings.Contains(c.shown(), test.want) {
				t.Errorf("exit code %d: %q", code, c.shown())
			}
			c.wantNoFiles()
		})
	}
}

func TestListIsAcceptedOnATerminal(t *testing.T) {
	t.Parallel()
	from := listing(t, guardiantest.New(t, 3))
	c := startConsole(t, false, nil, "guardians", "--accept", "--from", from)
	c.await(confirmation)
	c.typed("yes\n")
	if code := c.ends(); code != exitOK || !strings.Contains(c.shown(), "confirmed: 3 guardians") {
		t.Errorf("exit code %d: %q", code, c.shown())
	}
	if len(c.files()) != 2 { // and a lock
		t.Errorf("left are %v", c.files())
	}
}

// On a terminal each look takes the place of the one before, until Ctrl-C.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	c := startConsole(t, false, cluster.URLs(), "status", "--watch=100ms")
	eventually(t, "looking three times", func() bool { return strings.Count(c.shown(), eraseScreen) >= 3 })
	cluster.Stop(1)
	c.await(stateUnreachable)
	c.typed("\x03")
	if code := c.ends(); code != exitOK {
		t.Errorf("exit code %d: %q", code, c.shown())
	}
}
