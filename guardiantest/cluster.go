// Package guardiantest runs guardians inside a test: the real handlers over
// the real rules, each guardian on a storage in memory of its own.
package guardiantest

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/limit"
)

// Cluster is N guardians, counted from 0. Its methods end the test when they
// fail, and are safe for concurrent use.
type Cluster struct {
	t     testing.TB
	nodes []*node
}

type node struct {
	guardian *guardian.Node
	storage  *backendtest.Memory
	server   *httptest.Server
	handler  http.Handler
	front    atomic.Pointer[http.Handler]
}

// New starts n guardians that let everybody in. They end with the test.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	return start(t, n, nil)
}

// NewWithToken starts n guardians that all want the same bearer token.
func NewWithToken(t testing.TB, n int, token string) *Cluster {
	t.Helper()
	tokens, err := auth.NewTokens(map[string]string{"default": token})
	if err != nil {
		t.Fatalf("making tokens: %v", err)
	}
	return start(t, n, tokens)
}

func start(t testing.TB, n int, tokens *auth.Tokens) *Cluster {
	t.Helper()
	started := &Cluster{t: t}
	for i := range n {
		started.nodes = append(started.nodes, startNode(t, i, tokens))
	}
	return started
}

func startNode(t testing.TB, i int, tokens *auth.Tokens) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	storage := backendtest.NewMemory()
	key := integrity.InlineSource{Text: hex.EncodeToString([]byte(fmt.Sprintf("a key of a test, for node %6d", i)))}
	sealer, err := integrity.NewSealer(t.Context(), fmt.Sprintf("node-%d", i), key, log)
	if err != nil {
		t.Fatalf("making the sealer of guardian %d: %v", i, err)
	}
	opened, err := guardian.Open(t.Context(), storage, sealer, guardian.Config{
		Retain: 2, RequestTimeout: 30 * time.Second, Logger: log,
	})
	if err != nil {
		t.Fatalf("opening guardian %d: %v", i, err)
	}
	started := &node{guardian: opened, storage: storage}
	started.server = httptest.NewServer(started)
	t.Cleanup(func() {
		started.server.CloseClientConnections()
		started.server.Close()
		if err := opened.Close(context.Background()); err != nil {
			t.Errorf("closing guardian %d: %v", i, err)
		}
	})
	health := httpapi.NewMonitor(opened.Check, time.Minute)
	health.Probe(t.Context())
	started.handler = httpapi.New(httpapi.Config{
		Node: opened, Tokens: auth.NewTokenSet(tokens), Unauthenticated: tokens == nil,
		Verifier: verifierOf(t, started.server.URL), Sessions: auth.NewSessions(sealer, time.Now), Limits: limit.New(limit.Config{}),
		Health: health, Storage: "memory",
		Cluster:     alone(t, opened.NodeID(), started.server.URL, log),
		ClientPort:  started.server.Listener.Addr().(*net.TCPAddr).Port,
		MaxRequests: 100, Logger: log,
	})
	started.front.Store(&started.handler)
	return started
}

// alone is what a guardian without a registry knows of others.
func alone(t testing.TB, nodeID, url string, log *slog.Logger) *cluster.Cluster {
	t.Helper()
	known, err := cluster.New(cluster.Config{Self: cluster.Member{NodeID: nodeID, ClientURL: url}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func verifierOf(t testing.TB, url string) *auth.Verifier {
	t.Helper()
	verifier, err := auth.NewVerifier([]string{strings.TrimPrefix(url, "http://")}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// ServeHTTP hands the request to whatever stands in front of the guardian.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if front := n.front.Load(); front != nil {
		(*front).ServeHTTP(w, r)
	}
}

// URLs returns the guardians' base URLs, in order.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		urls[i] = n.server.URL
	}
	return urls
}

// Stop makes a guardian break off every connection without an answer. What it
// stored stays.
func (c *Cluster) Stop(i int) {
	c.Front(i, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
}

// Start undoes Stop and Front.
func (c *Cluster) Start(i int) { c.nodes[i].front.Store(&c.nodes[i].handler) }

// Front puts a handler before a guardian, in place of the one there was; wrap
// gets the guardian's own.
func (c *Cluster) Front(i int, wrap func(http.Handler) http.Handler) {
	front := wrap(c.nodes[i].handler)
	c.nodes[i].front.Store(&front)
}

// Node returns the rules of a guardian, past what stands in front of it.
func (c *Cluster) Node(i int) *guardian.Node { return c.nodes[i].guardian }

// Storage returns what a guardian stores on.
func (c *Cluster) Storage(i int) *backendtest.Memory { return c.nodes[i].storage }

// Corrupt flips a bit in every share that a guardian keeps for an identity.
func (c *Cluster) Corrupt(i int, identity string) {
	c.t.Helper()
	hits := 0
	for key, data := range c.Storage(i).Objects() {
		if !strings.HasPrefix(key, "shares/"+identity+"/") || !strings.HasSuffix(key, "/share.bin") {
			continue
		}
		data[len(data)-1] ^= 1
		if _, err := c.Storage(i).Put(c.t.Context(), key, data, backend.AnyRevision); err != nil {
			c.t.Fatalf("corrupting %s: %v", key, err)
		}
		hits++
	}
	if hits == 0 {
		c.t.Fatalf("guardian %d keeps no share of %s", i, identity)
	}
}
