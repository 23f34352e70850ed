package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/api"
)

const patience = 20 * time.Second

// plane is an admin plane on a port of its own.
type plane struct {
	url      string
	registry *prometheus.Registry
	log      *logBuffer
	client   *http.Client
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func reloaded(context.Context) (admin.Reloaded, error) {
	return admin.Reloaded{PrimaryKeyID: "k2"}, nil
}

// start serves a plane over real HTTP. The options change the server before it
// begins.
func start(t *testing.T, reload func(context.Context) (admin.Reloaded, error), options ...func(*http.Server)) *plane {
	t.Helper()
	p := &plane{registry: admin.NewRegistry(), log: &logBuffer{}, client: &http.Client{Timeout: patience, Transport: &http.Transport{}}}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + listener.Addr().String()
	server := admin.NewServer(admin.New(admin.Config{Registry: p.registry, Reload: reload, Logger: log}), log)
	for _, o := range options {
		o(server)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
	})
	return p
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) failure(t *testing.T) api.ErrorResponse {
	t.Helper()
	var body api.ErrorResponse
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Error == "" {
		t.Errorf("answer %d is no error of ours: %.100q", a.status, a.body)
	}
	return body
}

// refused fails unless the answer is an error of that status and code.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	if body := a.failure(t); a.status != status || body.Code != code {
		t.Errorf("answered %d %.100q, want %d %s", a.status, a.body, status, code)
	}
}

func (p *plane) do(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := p.client.Do(request)
	if err != nil {
		t.Errorf("%s %s: %v", request.Method, request.URL, err)
		return answer{}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s %s: reading the answer: %v", request.Method, request.URL, err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func (p *plane) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func (p *plane) get(t *testing.T, path string) answer {
	t.Helper()
	return p.do(t, p.request(t, http.MethodGet, path, ""))
}

func (p *plane) reload(t *testing.T) answer {
	t.Helper()
	return p.do(t, p.request(t, http.MethodPost, "/admin/reload", ""))
}
