package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/repair"
)

// TestMain is also the process that fill starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-fill" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestFilledAsPushed: what fill stores is what pushes would have, a guardian gives
// it, and a scrub finds it good.
func TestFilledAsPushed(t *testing.T) {
	const shares = 40
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "./cmd/guardian")
	build.Dir = "../.." // another module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range []storage{inDirectory, inOneFile} {
		t.Run(s.name, func(t *testing.T) {
			b := &benchmark{plan: plan{guardian: filepath.Join(dir, "guardian")}, dir: t.TempDir(), out: io.Discard, token: "a-token"}
			t.Cleanup(b.stopAll)
			full, err := s.open(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.fill(t.Context(), full.url, shares); err != nil {
				t.Fatal(err)
			}
			guardian, err := b.startGuardian(t.Context(), full.url)
			if err != nil {
				t.Fatal(err)
			}
			b.givesAll(t, guardian, shares)
			findsAllGood(t, guardian, shares)
			if err := guardian.stop(); err != nil {
				t.Fatal(err)
			}
			filled := stored(t, full.url)

			other, guardian, err := b.startOn(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			all, err := b.newPullers(guardian, shares)
			if err != nil {
				t.Fatal(err)
			}
			if err := all.push(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := guardian.stop(); err != nil {
				t.Fatal(err)
			}
			if pushed := stored(t, other.url); len(filled) < 3*shares || !slices.Equal(filled, pushed) {
				t.Errorf("fill stored\n%s\nand pushes\n%s", strings.Join(filled, "\n"), strings.Join(pushed, "\n"))
			}
		})
	}
}

func (b *benchmark) givesAll(t *testing.T, guardian *server, shares int) {
	t.Helper()
	all, err := b.newPullers(guardian, shares)
	if err != nil {
		t.Fatal(err)
	}
	for number := range shares {
		if err := all.pull(t.Context(), all.guardians[0], number); err != nil {
			t.Error(err)
		}
	}
}

// findsAllGood waits for the scrub that a guardian begins with.
func findsAllGood(t *testing.T, guardian *server, shares int64) {
	t.Helper()
	var found repair.ScrubProgress
	err := until(t.Context(), func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, guardian.admin+"/admin/scrub", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
			return err
		}
		if found.Last.FinishedNS == 0 {
			return fmt.Errorf("no scrub has ended: %s", response.Status)
		}
		return nil
	})
	if err != nil || found.Last.Slots != shares || found.Last.Good != shares || found.Last.Orphaned != 0 {
		t.Errorf("%+v, %v", found.Last, err)
	}
}

var ofAttempt = regexp.MustCompile(`\b1-[0-9a-f]{12}\b|[0-9a-f]{64}\n$`)

// stored is all there is of shares, a line each, without what is drawn by chance or
// says when it was; on a directory with the modes.
func stored(t *testing.T, url string) (lines []string) {
	t.Helper()
	at, err := location.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	if at.Kind() == location.KindDirectory {
		lines = modes(t, at.Path())
	}
	store, err := at.Open(t.Context(), location.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, prefix := range []string{"shares/", "vaults/", "quarantine/", "audit/"} {
		for entry, err := range store.List(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			data, _, err := store.Get(t.Context(), entry.Key)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprint(ofAttempt.ReplaceAllString(entry.Key, "1-x"), " ", entry.Size, " ", said(t, entry.Key, data)))
		}
	}
	return lines
}

// said is what an object says, but for shares.
func said(t *testing.T, key string, data []byte) string {
	t.Helper()
	switch filepath.Base(key) {
	case "share.bin":
		return ""
	case "version":
		return ofAttempt.ReplaceAllString(string(data), "x")
	}
	const tag = 32
	statement := map[string]any{}
	if err := json.Unmarshal(data[tag:], &statement); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"attempt", "sha256", "created_ns", "updated_ns"} {
		if statement[own] == nil {
			t.Errorf("a statement without %s: %v", own, statement)
		}
		delete(statement, own)
	}
	return fmt.Sprint(statement)
}

// modes are those of all files and directories, links to none among them.
func modes(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		name := strings.TrimPrefix(path, dir)
		if err == nil && !strings.HasPrefix(name, "/queue") { // of its scrubs
			lines = append(lines, info.Mode().String()+" "+ofAttempt.ReplaceAllString(name, "1-x"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
