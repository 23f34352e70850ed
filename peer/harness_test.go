package peer_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/peer"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

var discard = slog.New(slog.DiscardHandler)

// node is a guardian with a key, whoever knows it.
type node struct {
	id  string
	key *integrity.NodeKey
}

func newNode(t testing.TB, id string) node {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return node{id, key}
}

func (n node) beat() cluster.Heartbeat {
	return cluster.Heartbeat{NodeID: n.id, Shares: 7, ListEpoch: 1 << 63, TimeNS: 1_800_000_000_000_000_000}
}

// template is the certificate of a node before it is signed.
func (n node) template() *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: n.id},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

// certificate signs the node's template, after change, with its key.
func (n node) certificate(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := n.template()
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, n.key.Public(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
}

// members is a Members that tests change.
type members struct {
	mu   sync.Mutex
	keys map[string]ed25519.PublicKey
}

func membersOf(nodes ...node) *members {
	m := &members{keys: map[string]ed25519.PublicKey{}}
	for _, n := range nodes {
		m.set(n.id, n.key.PublicKey())
	}
	return m
}

// set with a nil key removes the member.
func (m *members) set(id string, key ed25519.PublicKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[id] = key
	if key == nil {
		delete(m.keys, id)
	}
}

func (m *members) KeyOf(id string) (ed25519.PublicKey, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.keys[id]
	return key, ok
}

func (m *members) NodeOf(key ed25519.PublicKey) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, known := range m.keys {
		if known.Equal(key) {
			return id, true
		}
	}
	return "", false
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

// plane is the peer plane of one node on a port of its own.
type plane struct {
	node
	address string
	members *members
	server  *peer.Server
	log     *logBuffer
	conns   *countingListener
	beats   atomic.Int64 // that reached the handler
}

// start serves for the node until the test ends. A nil answer is that of a
// node in good health.
func start(t testing.TB, self node, known *members, limits peer.Limits, answer func(from string, beat cluster.Heartbeat) (cluster.Heartbeat, error)) *plane {
	t.Helper()
	p := newPlane(self, known, limits, answer)
	p.listen(t, "127.0.0.1:0")
	return p
}

// newPlane does not listen yet.
func newPlane(self node, known *members, limits peer.Limits, answer func(from string, beat cluster.Heartbeat) (cluster.Heartbeat, error), calls ...peer.Call) *plane {
	p := &plane{node: self, members: known, log: &logBuffer{}}
	p.server = peer.NewServer(peer.ServerConfig{
		Key: self.key, NodeID: self.id, Members: known, Limits: limits, Calls: calls,
		Logger: slog.New(slog.NewTextHandler(p.log, nil)),
		Heartbeat: func(from string, beat cluster.Heartbeat) (cluster.Heartbeat, error) {
			p.beats.Add(1)
			if answer != nil {
				return answer(from, beat)
			}
			return self.beat(), nil
		},
	})
	return p
}

func (p *plane) listen(t testing.TB, address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.conns = &countingListener{Listener: listener}
	p.address = listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- p.server.Serve(p.conns) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// member is the plane's node as others have it.
func (p *plane) member() cluster.Member { return memberAt(p.node, p.address) }

func memberAt(n node, address string) cluster.Member {
	return cluster.Member{
		NodeID: n.id, Index: 1, PublicKey: n.key.PublicKey(),
		ClientURL: "http://" + address, PeerURL: "https://" + address,
	}
}

// clientOf calls others as the node, until the test ends.
func clientOf(t testing.TB, n node, timeout time.Duration) *peer.Client {
	t.Helper()
	c := peer.NewClient(peer.ClientConfig{Key: n.key, NodeID: n.id, Timeout: timeout})
	t.Cleanup(c.Close)
	return c
}

// countingListener counts the connections that are open.
type countingListener struct {
	net.Listener
	open, accepted atomic.Int64
	narrow         atomic.Bool // little fits into the buffers of a connection
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.narrow.Load() {
		_ = conn.(*net.TCPConn).SetWriteBuffer(4096)
	}
	l.open.Add(1)
	l.accepted.Add(1)
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
