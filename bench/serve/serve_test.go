package main

import (
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// TestBareServers: they keep what they are given, or their figures say nothing.
func TestBareServers(t *testing.T) {
	for kind, open := range map[string]func() (bare, error){
		"file":    func() (bare, error) { return newFiles(t.Context(), filepath.Join(t.TempDir(), "bare")) },
		"bolt":    func() (bare, error) { return newEntries(t.Context(), filepath.Join(t.TempDir(), "bare")) },
		"nothing": func() (bare, error) { return newNothing(t.Context(), "") },
	} {
		store, err := open()
		if err != nil {
			t.Fatal(err)
		}
		f := &front{store: store, versions: map[string]uint64{}}
		server := httptest.NewServer(f.routes())
		t.Cleanup(server.Close)
		guardian, err := client.New(server.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		identity := strings.Repeat("ab", 32)
		for version := range uint64(3) {
			share := base64.StdEncoding.EncodeToString([]byte{byte(version), 7})
			if err := guardian.Push(t.Context(), api.PushRequest{Identity: identity, Share: share, Version: &version}); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			got, err := guardian.Pull(t.Context(), api.PullRequest{Identity: identity})
			if err != nil || got.Share != share || got.Version != version {
				t.Errorf("%s gives %+v, %v", kind, got, err)
			}
		}
		if health, err := guardian.Health(t.Context()); err != nil || health.Status != "ok" {
			t.Errorf("%s is %+v, %v", kind, health, err)
		}
		if err := guardian.Push(t.Context(), api.PushRequest{Identity: identity, Share: "no base64"}); err == nil {
			t.Errorf("%s takes anything", kind)
		}
	}
}

func TestReplace(t *testing.T) {
	document := filepath.Join(t.TempDir(), "document.md")
	for range 2 {
		if err := os.WriteFile(document, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := replace(document, "new\n"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(document)
		if want := "before\n" + beginMark + "\nnew\n\n" + endMark + "after\n"; err != nil || string(text) != want {
			t.Errorf("%q, %v", text, err)
		}
	}
	if err := os.WriteFile(document, []byte("before\n"+endMark+beginMark), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(document, "new\n"); err == nil {
		t.Error("a document without a place was written")
	}
}

// TestTheDocumentHasAPlace: make bench writes to it.
func TestTheDocumentHasAPlace(t *testing.T) {
	text, err := os.ReadFile("../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(text), beginMark); !ok || !strings.Contains(rest, endMark) {
		t.Error("the marks are missing")
	}
}

func TestKernel(t *testing.T) {
	for release, want := range map[string]string{"6.12.9-cloud+deb13-amd64": "6.12.9", "6.18": "6.18", "5.10.0.somebody": "5.10.0"} {
		if got := kernel(release); got != want {
			t.Errorf("%s is %s", release, got)
		}
	}
}
