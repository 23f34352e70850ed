package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/httpapi"
	"github.com/vault-guardian/guardian/limit"
)

const (
	connections = 16
	retained    = 2 // as newNode has it
)

// contest is a guardian next to its baselines, each behind a server that is
// made the same way, with a directory and clients of its own.
type contest struct {
	noop, file, guardian *contestant
	// storage is the guardian's, and drops the number of objects that it
	// removes after each round measured.
	storage *watched
	drops   int
}

// contestant is one server and its clients.
type contestant struct {
	url    string
	client *http.Client
	right  func(got, want []byte) bool
	took   time.Duration
}

// newContest starts all three. The no-op handler gives the one answer to
// everything.
func newContest(b *testing.B, answer []byte) *contest {
	c := &contest{noop: serving(b, noop(answer)), file: serving(b, files{b.TempDir()}.handler())}
	c.noop.right = func(got, want []byte) bool { return len(got) == len(want) }
	handler := c.newGuardian(b)
	c.guardian = serving(b, handler)
	return c
}

// newGuardian logs as it does by default, to nowhere.
func (c *contest) newGuardian(b *testing.B) http.Handler {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	directory, err := fs.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := directory.Close(); err != nil {
			b.Error(err)
		}
	})
	c.storage = &watched{Backend: directory, deleted: make(chan struct{}, objectsPerVersion*requestsPerRound)}
	node := newNode(b, c.storage, testKey, log)
	return httpapi.New(httpapi.Config{
		Node: node, Tokens: auth.NewTokenSet(nil), Unauthenticated: true,
		Verifier: newVerifier(b, time.Now), Sessions: auth.NewSessions(newSealer(b, "local", testKey, log), time.Now), Limits: limit.New(limit.Config{}),
		Health:  httpapi.NewMonitor(node.Check, time.Minute),
		Storage: "fs", MaxRequests: 1000, Logger: log,
	})
}

func serving(b *testing.B, handler http.Handler) *contestant {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := httpapi.NewServer(handler, 30*time.Second, slog.New(slog.DiscardHandler))
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		running.Wait()
	})
	return &contestant{
		url:    "http://" + listener.Addr().String(),
		client: &http.Client{Transport: transport, Timeout: patience},
		right:  bytes.Equal,
	}
}

func (c *contest) all() []*contestant { return []*contestant{c.noop, c.file, c.guardian} }

// measure lets the three take turns in short rounds, so that what else the
// machine does slows all of them, and returns how many rounds there were.
func (c *contest) measure(b *testing.B, unit string, work func(round int) []exchange) (rounds int) {
	for b.Loop() {
		for range roundsPerLap {
			exchanges := work(rounds)
			for _, contestant := range c.all() {
				contestant.took += contestant.round(b, exchanges)
			}
			c.guardian.took += c.storage.awaitDeleted(b, c.drops)
			rounds++
		}
	}
	speed := func(c *contestant) float64 { return float64(rounds*requestsPerRound) / c.took.Seconds() }
	b.ReportMetric(0, "ns/op") // of a lap of all three, which says nothing
	b.ReportMetric(speed(c.guardian), unit)
	b.ReportMetric(speed(c.noop), "noop/s")
	b.ReportMetric(speed(c.file), "file/s")
	b.ReportMetric(speed(c.guardian)/speed(c.noop), "x-noop")
	b.ReportMetric(speed(c.guardian)/speed(c.file), "x-file")
	return rounds
}

func untimed(b *testing.B, exchanges []exchange, contestants ...*contestant) {
	for _, contestant := range contestants {
		contestant.round(b, exchanges)
	}
}

// round carries out the exchanges over all connections and returns how long it
// took.
func (c *contestant) round(b *testing.B, exchanges []exchange) time.Duration {
	var next atomic.Int64
	errs := make([]error, connections)
	var clients sync.WaitGroup
	began := time.Now()
	for i := range connections {
		clients.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(exchanges)) && errs[i] == nil; n = next.Add(1) - 1 {
				errs[i] = c.do(b.Context(), exchanges[n])
			}
		})
	}
	clients.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// do returns an error unless the answer is right.
func (c *contestant) do(ctx context.Context, e exchange) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+e.route, bytes.NewReader(e.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !c.right(got, e.want) {
		return fmt.Errorf("%s answered %d %.200q, want %.200q", e.route, response.StatusCode, got, e.want)
	}
	return nil
}

// watched tells of every object that was removed.
type watched struct {
	backend.Backend
	deleted chan struct{}
}

func (w *watched) Delete(ctx context.Context, key string, rev backend.Revision) error {
	err := w.Backend.Delete(ctx, key, rev)
	w.deleted <- struct{}{}
	return err
}

// awaitDeleted waits for n removals and returns how long it took.
func (w *watched) awaitDeleted(b *testing.B, n int) time.Duration {
	began, tooLong := time.Now(), time.After(patience)
	for range n {
		select {
		case <-w.deleted:
		case <-tooLong:
			b.Fatal("replaced versions are not removed")
		}
	}
	return time.Since(began)
}
