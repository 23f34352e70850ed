package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/limit"
)

const (
	token      = "the-token-itself"
	testKey    = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	testShare  = "dGVzdCBzaGFyZSBkYXRh"
	patience   = 20 * time.Second
	pushRoute  = api.RoutePush
	pullRoute  = api.RoutePull
	deleteCall = api.RouteDelete
)

func identity(digit string) string { return strings.Repeat(digit, api.IdentityDigits) }

// plane is a client plane on a port of its own.
type plane struct {
	url     string
	address string
	handler http.Handler
	store   *backendtest.Faulty
	monitor *httpapi.Monitor
	node    *guardian.Node
	log     *logBuffer
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

// option changes the plane's configuration before it is made.
type option func(*httpapi.Config, *slog.LevelVar)

func withTokens(t testing.TB, tokenOf map[string]string) option {
	tokens, err := auth.NewTokens(tokenOf)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *httpapi.Config, _ *slog.LevelVar) {
		c.Tokens, c.Unauthenticated = auth.NewTokenSet(tokens), false
	}
}

func withMaxRequests(n int) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.MaxRequests = n }
}

func withOwnership(mode guardian.Ownership) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.Ownership = mode }
}

func withOldestProof(version int) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.OldestProof = version }
}

func withLimits(of limit.Config) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.Limits = limit.New(of) }
}

func withTrustedProxies(proxies ...string) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) {
		for _, proxy := range proxies {
			c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(proxy))
		}
	}
}

func atDebug(_ *httpapi.Config, level *slog.LevelVar) { level.Set(slog.LevelDebug) }

// setup is what a plane is made over. Its zero value is a node of its own over
// a fresh in-memory storage.
type setup struct {
	inject   func(backendtest.Call) backendtest.Fault
	store    backend.Backend
	nodeID   string
	keyring  string
	now      func() time.Time
	maxBytes int64
}

func (s setup) withDefaults() setup {
	if s.store == nil {
		s.store = backendtest.NewMemory()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.nodeID = cmp.Or(s.nodeID, "local")
	s.keyring = cmp.Or(s.keyring, testKey)
	return s
}

// newPlane makes a plane over a fresh in-memory storage.
func newPlane(t testing.TB, options ...option) *plane {
	t.Helper()
	return newPlaneOver(t, setup{}, options...)
}

func newPlaneOver(t testing.TB, from setup, options ...option) *plane {
	t.Helper()
	from = from.withDefaults()
	p := &plane{log: &logBuffer{}, store: &backendtest.Faulty{Backend: from.store}}
	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: level}))
	sealer := newSealer(t, from.nodeID, from.keyring, log)
	cfg := httpapi.Config{
		Tokens: auth.NewTokenSet(nil), Unauthenticated: true,
		Verifier: newVerifier(t, from.now), Sessions: auth.NewSessions(sealer, from.now), Limits: limit.New(limit.Config{}),
		Storage:    "fs",
		ClientPort: 7500, Cluster: newCluster(t, cluster.Config{
			Self: cluster.Member{NodeID: from.nodeID, ClientURL: "http://" + audience}, Logger: log,
		}),
		MaxRequests: 100, Logger: log,
	}
	for _, o := range options {
		o(&cfg, level)
	}
	p.node = newNodeWith(t, p.store, sealer, guardian.Config{Ownership: cfg.Ownership, MaxBytes: from.maxBytes, Logger: log})
	p.store.SetInject(from.inject)
	p.monitor = httpapi.NewMonitor(p.node.Check, time.Minute)
	p.monitor.Probe(t.Context())
	cfg.Node, cfg.Health = p.node, p.monitor
	p.handler = httpapi.New(cfg)
	return p
}

func newSealer(t testing.TB, nodeID, keyring string, log *slog.Logger) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), nodeID, integrity.InlineSource{Text: keyring}, log)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func newCluster(t testing.TB, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	known, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// audience is what the planes of the tests are dialled by.
const audience = "guardian.example:7500"

func newVerifier(t testing.TB, now func() time.Time) *auth.Verifier {
	t.Helper()
	verifier, err := auth.NewVerifier([]string{audience}, now)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func newNode(t testing.TB, store backend.Backend, keyring string, log *slog.Logger) *guardian.Node {
	t.Helper()
	return newNodeWith(t, store, newSealer(t, "local", keyring, log), guardian.Config{Logger: log})
}

func newNodeWith(t testing.TB, store backend.Backend, sealer *integrity.Sealer, cfg guardian.Config) *guardian.Node {
	t.Helper()
	cfg.Retain, cfg.RequestTimeout = 2, 30*time.Second
	node, err := guardian.Open(t.Context(), store, sealer, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(context.Background()); err != nil {
			t.Errorf("closing node: %v", err)
		}
	})
	return node
}

// start serves a plane over real HTTP and a fresh in-memory storage; inject may
// be nil.
func start(t testing.TB, inject func(backendtest.Call) backendtest.Fault, options ...option) *plane {
	t.Helper()
	return startOver(t, setup{inject: inject}, options...)
}

func startOver(t testing.TB, from setup, options ...option) *plane {
	t.Helper()
	p := newPlaneOver(t, from, options...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = listener.Addr().String()
	p.url = "http://" + p.address
	server := httpapi.NewServer(p.handler, 30*time.Second, slog.New(slog.NewTextHandler(p.log, nil)))
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) failure(t testing.TB) api.ErrorResponse {
	t.Helper()
	var body api.ErrorResponse
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("answer %d is not JSON: %q", a.status, a.body)
	}
	return body
}

func (p *plane) do(t testing.TB, method, route, body string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+route, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

func (p *plane) post(t testing.TB, route, body string) answer {
	t.Helper()
	return p.do(t, http.MethodPost, route, body, nil)
}

// want posts and fails unless the answer is exactly as wanted.
func (p *plane) want(t testing.TB, route, body string, status int, answer string) {
	t.Helper()
	got := p.post(t, route, body)
	if text := strings.TrimSpace(string(got.body)); got.status != status || text != answer {
		t.Errorf("%s answered %d %s, want %d %s", route, got.status, text, status, answer)
	}
}

func pushBody(identity, share, version string) string {
	return `{"identity":"` + identity + `","share":"` + share + `","version":` + version + `}`
}

func pullBody(identity string) string { return `{"identity":"` + identity + `"}` }
