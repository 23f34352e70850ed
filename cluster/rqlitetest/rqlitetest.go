// Package rqlitetest stands in for a cluster of rqlite nodes, whose server
// cannot be had from Go's module proxy. It answers over HTTP on loopback as
// rqlite 10 does, its errors included, and a test can take nodes and leaders
// away and spoil answers. Run with the build tag rqlite, its own tests hold it
// against a real rqlited.
//
// It knows the calls /db/execute and /db/query with the parameters level and
// transaction, and of SQL: CREATE TABLE IF NOT EXISTS with types TEXT and
// INTEGER, NOT NULL, UNIQUE and PRIMARY KEY of one column; INSERT of one row of
// parameters; UPDATE, DELETE and SELECT of named columns of one table, with
// parameters that are compared by = and joined by AND; ORDER BY one column, and
// LIMIT. There are no expressions, joins, blobs, named parameters, queued
// writes, associative answers or redirects. Nodes share one database, so a read
// is never stale at any level, and elections are the test's to hold.
package rqlitetest

import (
	"crypto/subtle"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options are what a cluster is made with. The zero Options want neither
// password nor TLS.
type Options struct {
	User, Password string
	TLS            bool
}

// Cluster is a cluster of nodes, all of which run, the first as the leader. It
// ends with its test and is safe for concurrent use.
type Cluster struct {
	options Options

	// Inject decides what becomes of a request that got past authentication;
	// nil lets all through. It is set before the first request. It is called by
	// the goroutine of the request, without a lock held, so it may also block.
	Inject func(Call) Fault
	// Elsewhere is the URL that the fault Redirect leads to. It is set before
	// the first request.
	Elsewhere string

	mu       sync.Mutex // guards what follows
	nodes    []*node
	leader   int // -1 if there is none
	database database
	calls    []Call
}

// node is one server of a cluster.
type node struct {
	address string
	server  *httptest.Server // nil while it is stopped
	paused  chan struct{}    // closed to go on; nil while it answers
}

// New starts a cluster of n nodes.
func New(t testing.TB, n int, options Options) *Cluster {
	t.Helper()
	c := &Cluster{options: options, nodes: make([]*node, n)}
	for i := range c.nodes {
		c.nodes[i] = &node{address: "127.0.0.1:0"}
		c.start(t, i)
		t.Cleanup(func() { c.Stop(i) })
	}
	return c
}

// URL is the cluster's, in the form of GUARDIAN_REGISTRY, with all nodes and the
// credentials.
func (c *Cluster) URL() string {
	scheme := "rqlite+http://"
	if c.options.TLS {
		scheme = "rqlite+https://"
	}
	if c.options.User != "" {
		scheme += url.UserPassword(c.options.User, c.options.Password).String() + "@"
	}
	return scheme + strings.Join(c.Addresses(), ",")
}

// Addresses returns host:port of every node, which they keep.
func (c *Cluster) Addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.address)
	}
	return all
}

// CAFile writes the certificate authority of a cluster with TLS to a file.
func (c *Cluster) CAFile(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	block := pem.Block{Type: "CERTIFICATE", Bytes: c.nodes[0].server.Certificate().Raw}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Leader returns the number of the leader, or -1.
func (c *Cluster) Leader() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// Elect makes node i the leader, or -1 none, as during an election. Without a
// majority of the nodes the leader is not found either way.
func (c *Cluster) Elect(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = i
}

// Stop ends node i as a kill does: its connections are cut, and its port refuses
// new ones. If it was the leader, the others go on forwarding to it until
// Elect. Stopping twice is no error.
func (c *Cluster) Stop(i int) {
	c.mu.Lock()
	server := c.nodes[i].server
	c.nodes[i].server = nil
	c.mu.Unlock()
	c.Resume(i)
	if server != nil {
		server.CloseClientConnections()
		server.Close()
	}
}

// Start starts node i again at its address.
func (c *Cluster) Start(t testing.TB, i int) {
	t.Helper()
	c.start(t, i)
}

func (c *Cluster) start(t testing.TB, i int) {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(i, w, r) })
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	c.mu.Lock()
	address := c.nodes[i].address
	c.mu.Unlock()
	server.Listener = listen(t, address)
	if c.options.TLS {
		server.StartTLS()
	} else {
		server.Start()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i].address, c.nodes[i].server = server.Listener.Addr().String(), server
}

// listen takes an address, which the system may take a moment to give back.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		listener, err := net.Listen("tcp", address) //nolint:noctx // returns at once
		if err == nil {
			return listener
		}
		if time.Now().After(deadline) {
			t.Fatalf("listening on %s: %v", address, err)
		}
	}
}

// Pause has node i take requests and not answer them, as a stopped process
// does, until Resume. Requests that came meanwhile are then lost.
func (c *Cluster) Pause(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[i].paused == nil {
		c.nodes[i].paused = make(chan struct{})
	}
}

// Resume ends a Pause. Stopping a paused node ends it too.
func (c *Cluster) Resume(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[i].paused != nil {
		close(c.nodes[i].paused)
		c.nodes[i].paused = nil
	}
}

// Calls returns the requests so far that got past authentication, in the order
// of their N.
func (c *Cluster) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Call(nil), c.calls...)
}

// Execute carries a statement out on the database, whatever the state of the
// nodes.
func (c *Cluster) Execute(t testing.TB, sql string, parameters ...any) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range parameters {
		if n, isInt := p.(int); isInt {
			parameters[i] = int64(n)
		}
	}
	if _, err := c.database.run(statement{sql, parameters}, false); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// state is what a node finds where it looks for the leader.
type state int

const (
	leads    state = iota // it can have the request carried out
	noLeader              // there is none, or no majority
	refuses               // the leader's port refuses connections
	silent                // the leader does not answer
)

// leadership is the state as node i sees it.
func (c *Cluster) leadership(i int) state {
	running := 0
	for _, n := range c.nodes {
		if n.server != nil && n.paused == nil {
			running++
		}
	}
	switch {
	case c.leader < 0 || 2*running <= len(c.nodes):
		return noLeader
	case c.leader != i && c.nodes[c.leader].server == nil:
		return refuses
	case c.leader != i && c.nodes[c.leader].paused != nil:
		return silent
	}
	return leads
}

func (c *Cluster) admits(r *http.Request) bool {
	if c.options.User == "" {
		return true
	}
	user, password, ok := r.BasicAuth()
	return ok && user == c.options.User && subtle.ConstantTimeCompare([]byte(password), []byte(c.options.Password)) == 1
}
