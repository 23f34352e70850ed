package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/envelope"
)

// testStage is a stage for a short text with the real guardians, in a directory
// that the test can look into.
func testStage(t *testing.T) (stage, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	return stage{
		demoFile: demoFile{name: "short.txt", secret: []byte("a short text")},
		out:      out, parent: t.TempDir(), binary: filepath.Join(binaries, guardianBinary),
		token: randomHex(), before: func(string) {}, guardians: make([]*process, demoGuardians),
	}, out
}

func testDemo(t *testing.T) (*demo, *bytes.Buffer) {
	t.Helper()
	t.Parallel()
	s, out := testStage(t)
	return newDemo(s), out
}

func TestDemo(t *testing.T) {
	d, out := testDemo(t)
	d.name, d.secret = "opticks.txt", opticks
	if err := d.run(t.Context(), false); err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	wantShape(t, out.String(), []string{ // a busy machine stores more than one version in a step
		`opticks\.txt: 431021 bytes, version \d, stored by 5 guardians .*`, `5 +x = 5 .*`, `.* identical to the original`,
		`.* integrity check failed`, `4 of 5 shares are those that the manifest names, .*`,
		`all five refuse version \d: .*`, `all five refuse version \d: .*`,
		`.* share not found`, `All of it held\.`, `Next:`,
	})
	wantNothingLeft(t, &d.stage)
}

func TestDemoKeeps(t *testing.T) {
	d, out := testDemo(t)
	if err := d.run(t.Context(), true); err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	recovered, err := os.ReadFile(filepath.Join(d.dir, "recovered-short.txt"))
	if err != nil || !bytes.Equal(recovered, d.secret) {
		t.Errorf("the recovered file: %q, %v", recovered, err)
	}
	if !strings.Contains(out.String(), "GUARDIAN_STORAGE="+d.storage(4)) {
		t.Errorf("the output does not say how to start the guardians again:\n%s", out)
	}
	for _, p := range d.started {
		wantEnded(t, p)
	}
}

func wantNothingLeft(t *testing.T, s *stage) {
	t.Helper()
	if _, err := os.Lstat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory %s is left: %v", s.dir, err)
	}
	for _, p := range s.started {
		wantEnded(t, p)
	}
}

func wantEnded(t *testing.T, p *process) {
	t.Helper()
	select {
	case <-p.exited:
	default:
		t.Errorf("process %d is left", p.pid())
	}
}

// Each way to break a step must end the demo at that very step.
func TestDemoNoticesABrokenStep(t *testing.T) {
	for _, test := range []struct {
		name, step string
		sabotage   func(t *testing.T, d *demo)
	}{
		{"a guardian that cannot be started", "start", func(_ *testing.T, d *demo) { d.binary += "-missing" }},
		{"a guardian that ends at once", "start", func(t *testing.T, d *demo) { d.binary = script(t, "exit 0") }},
		{"a guardian that listens elsewhere", "start", func(t *testing.T, d *demo) {
			d.binary = script(t, "echo GUARDIAN_LISTEN_ADDR=127.0.0.1:1; exec sleep 60")
		}},
		{"too few guardians", "store", func(_ *testing.T, d *demo) { d.guardians[0].kill(); d.guardians[1].kill() }},
		{"a store that only says so", "holdings", func(t *testing.T, d *demo) {
			root, err := envelope.FromKeyFile(make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			d.root = root
		}},
		{"a share too short", "holdings", func(_ *testing.T, d *demo) { d.secret = append([]byte("x"), d.secret...) }},
		{"a third guardian that is gone", "stop", func(_ *testing.T, d *demo) { d.guardians[0].kill() }},
		{"guardians that were not stopped", "stop", func(_ *testing.T, d *demo) {
			// Their places are taken by others, which are stopped instead.
			d.guardians[firstStopped], d.guardians[0] = d.guardians[0], d.guardians[firstStopped]
		}},
		{"too few shares", "recover", func(_ *testing.T, d *demo) { d.guardians[0].kill() }},
		{"another file", "recover", func(_ *testing.T, d *demo) { d.secret = []byte("another text") }},
		{"a file already there", "recover", func(_ *testing.T, d *demo) {
			_ = os.WriteFile(filepath.Join(d.dir, "recovered-"+d.name), nil, 0o600)
		}},
		{"no more guardians", "restart", func(_ *testing.T, d *demo) { d.binary += "-missing" }},
		{"guardians that lost their storage", "restart", func(_ *testing.T, d *demo) {
			_ = removeTree(d.storage(firstStopped))
		}},
		{"a bit that did not change", "tamper", func(_ *testing.T, d *demo) { d.flip = func(string) error { return nil } }},
		{"a disk without shares", "tamper", func(_ *testing.T, d *demo) { _ = removeTree(d.storage(tampered)) }},
		{"a replay that is taken", "rollback", func(t *testing.T, d *demo) { d.lie(t, api.RoutePush, okWhen(isReplay(d))) }},
		{"a delete that only says so", "delete", func(t *testing.T, d *demo) {
			d.lie(t, api.RouteDelete, func(*http.Request) string { return `{"status":"deleted"}` })
		}},
		{"a replay after the delete", "replay", func(t *testing.T, d *demo) {
			d.lie(t, api.RoutePush, func(*http.Request) string { return `{"status":"stored"}` })
		}},
		{"a file that comes back", "replay", func(t *testing.T, d *demo) {
			d.lie(t, api.RoutePull, pullsOf(d))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, out := testDemo(t)
			d.before = func(step string) {
				if step == test.step {
					test.sabotage(t, d)
				}
			}
			err := d.run(t.Context(), false)
			if err == nil || !strings.Contains(err.Error(), "("+test.step+")") {
				t.Fatalf("the demo ended with %v, not in step %s:\n%s", err, test.step, out)
			}
			if code := advised(err).code; code == exitOK {
				t.Errorf("exit code %d", code)
			}
			wantNothingLeft(t, &d.stage)
		})
	}
}

// script is a program in place of the guardian.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fake-guardian")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// lie puts a server before each guardian that answers a route by itself,
// whenever it has an answer. It listens where the guardian did, as proofs of
// ownership name that; the guardian is started again elsewhere.
func (d *demo) lie(t *testing.T, route string, answer func(*http.Request) string) {
	t.Helper()
	guardian := d.binary
	for i, process := range d.guardians {
		address := process.address
		process.kill()
		d.binary = script(t, fmt.Sprintf("GUARDIAN_AUDIENCES=%s exec %s", address, guardian))
		if err := d.startOne(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.guardians[i].address})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == route {
				if text := answer(r); text != "" {
					fmt.Fprint(w, text)
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}))
		server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		d.guardians[i].address = address
	}
	d.binary = guardian
	if err := d.reconnect(); err != nil {
		t.Fatal(err)
	}
}

// isReplay tells a request that pushes captured shares by their split.
func isReplay(d *demo) func(*http.Request) bool {
	split := d.captured[0].Split
	return func(r *http.Request) bool {
		body := &bytes.Buffer{}
		_, _ = body.ReadFrom(r.Body)
		r.Body = readCloser{body}
		return strings.Contains(body.String(), split)
	}
}

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

func okWhen(condition func(*http.Request) bool) func(*http.Request) string {
	return func(r *http.Request) string {
		if condition(r) {
			return `{"status":"stored"}`
		}
		return ""
	}
}

// pullsOf answers every pull with the share captured of the first guardian.
func pullsOf(d *demo) func(*http.Request) string {
	captured := d.captured[0]
	return func(*http.Request) string {
		return fmt.Sprintf(`{"share":%q,"version":%d,"threshold":%d,"split":%q}`,
			captured.Share, *captured.Version, captured.Threshold, captured.Split)
	}
}

func TestDemoEndsWithItsContext(t *testing.T) {
	for _, step := range []string{"store", "recover", "delete"} {
		t.Run(step, func(t *testing.T) {
			d, _ := testDemo(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			d.before = func(name string) {
				if name == step {
					cancel()
				}
			}
			if err := d.run(ctx, false); !errors.Is(err, context.Canceled) {
				t.Fatalf("the demo ended with %v", err)
			}
			wantNothingLeft(t, &d.stage)
		})
	}
}

func TestDemoShowsNamesSafely(t *testing.T) {
	d, out := testDemo(t)
	d.name = "a\x1b[2Jb c"
	if err := d.run(t.Context(), false); err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	if strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), `"a\x1b[2Jb c": 12 bytes`) {
		t.Errorf("the output is %q", out)
	}
}

func TestDemoSaysWhereLogsAre(t *testing.T) {
	for name, test := range map[string]struct {
		keep bool
		want string
	}{
		"removed": {false, "run it again with --keep"},
		"kept":    {true, "in the directory named above"},
	} {
		t.Run(name, func(t *testing.T) {
			d, out := testDemo(t)
			d.binary = script(t, "exit 0")
			err := d.run(t.Context(), test.keep)
			if err == nil {
				t.Fatalf("the demo succeeds:\n%s", out)
			}
			if advice := advised(err).advice; !strings.Contains(advice, test.want) {
				t.Errorf("the advice is %q", advice)
			}
		})
	}
}
