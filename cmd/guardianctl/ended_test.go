package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

const someIdentity = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// silentGuardians take requests and answer none; asked is called at each.
func silentGuardians(t *testing.T, asked func()) string {
	t.Helper()
	var urls []string
	for range 3 {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection seen
			asked()
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	return strings.Join(urls, ",")
}

func askingCommands(t *testing.T) map[string][]string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if _, err := createKey(key); err != nil {
		t.Fatal(err)
	}
	return map[string][]string{
		"store":   {"store", "--key-file", key},
		"recover": {"recover", "--key-file", key},
		"verify":  {"verify", "--key-file", key},
		"list":    {"list", "--key-file", key},
		"bare":    {"recover", "--identity", someIdentity},
		"delete":  {"delete", "--identity", someIdentity, "--yes"},
		"history": {"history", "--identity", someIdentity},
		"status":  {"status"},
	}
}

func TestInterruptedCommands(t *testing.T) {
	t.Parallel()
	for name, args := range askingCommands(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out, errOut bytes.Buffer
			args := append(args, "--guardians", silentGuardians(t, cancel))
			code := run(ctx, args, streams{strings.NewReader("text"), &out, &errOut})
			if code != exitFailure || !strings.Contains(errOut.String(), "next: interrupted: run the command again") {
				t.Errorf("exit code %d, want %d: %s", code, exitFailure, &errOut)
			}
			if strings.Contains(errOut.String(), "http://") || out.Len() > 0 {
				t.Errorf("guardians are blamed: %s%s", &errOut, &out)
			}
		})
	}
}

func TestCommandsOutOfTime(t *testing.T) {
	t.Parallel()
	for name, args := range askingCommands(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var errOut bytes.Buffer
			args := append(args, "--timeout", "50ms", "--guardians", silentGuardians(t, func() {}))
			code := run(t.Context(), args, streams{strings.NewReader("text"), io.Discard, &errOut})
			if code != exitQuorum {
				t.Errorf("exit code %d, want %d", code, exitQuorum)
			}
			for _, want := range []string{"ran out of time (--timeout 50ms)", "next: pass a longer --timeout"} {
				if !strings.Contains(errOut.String(), want) {
					t.Errorf("%q is not said: %s", want, &errOut)
				}
			}
		})
	}
}

// announcing tells when it is read from.
type announcing struct {
	io.Reader
	read func()
}

func (a announcing) Read(data []byte) (int, error) {
	a.read()
	return a.Reader.Read(data)
}

func TestInterruptedReadingStandardInput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	nothing, end := io.Pipe()
	defer end.Close()
	var errOut bytes.Buffer
	args := []string{"store", "-", "--key-file", askingCommands(t)["store"][2], "--guardians", "http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:3"}
	code := run(ctx, args, streams{announcing{nothing, cancel}, io.Discard, &errOut})
	if code != exitFailure || !strings.Contains(errOut.String(), "next: interrupted") {
		t.Errorf("exit code %d, want %d: %s", code, exitFailure, &errOut)
	}
}
