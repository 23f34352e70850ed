package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/httpapi"
)

// After the signal the guardian says at once that it is not ready, a request
// that runs is finished, and no new connection is taken.
func TestDrain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	monitor := httpapi.NewMonitor(func(context.Context) error { return nil }, time.Hour)
	monitor.Probe(t.Context())
	entered, release := make(chan struct{}), make(chan struct{})
	server := httpapi.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "finished")
	}), patience, log)

	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveUntil(ctx, server, listener, nil, monitor, log) }()
	answered := make(chan string, 1)
	go func() { answered <- fetch("http://" + listener.Addr().String()) }()
	<-entered
	if err := monitor.Ready(); err != nil {
		t.Fatalf("not ready: %v", err)
	}

	stop()
	eventually(t, "not ready any more", func() bool { return monitor.Ready() != nil })
	eventually(t, "new connections refused", func() bool {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-served:
		t.Fatalf("stopped while a request was running: %v", err)
	default:
	}
	close(release)
	if text := <-answered; text != "finished" {
		t.Errorf("the request that was running got %q", text)
	}
	if err := <-served; err != nil {
		t.Errorf("not a clean stop: %v", err)
	}
}

func fetch(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// A second signal does not wait for what is running.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	binary, err := exec.LookPath("guardian")
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(binary, t.TempDir(), bareEnvironment(), "--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST "+api.RoutePush+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ended", func() bool {
		_ = p.signal(syscall.SIGTERM) // fails once it is gone
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); code != -1 {
		t.Errorf("exit code %d instead of death by signal:\n%s", code, p.stderr)
	}
	if !strings.Contains(p.stderr.String(), "draining") {
		t.Errorf("the first signal did nothing:\n%s", p.stderr)
	}
}
