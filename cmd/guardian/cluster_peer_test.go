package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/peer"
)

// What is no member gets nothing, and does no harm.
func TestStrangers(t *testing.T) {
	t.Parallel()
	registry := filepath.Join(t.TempDir(), "a", "registry") // which is made
	g := newGuardians(t, 3, registry)
	strange := writeStrangeRecords(t, registry)
	g.startAll(t)
	g.allSee(t, g.states(nobody, ""))
	g.wantOneList(t, 3, 2)
	t.Run("peer port", func(t *testing.T) { wantPeerPortClosed(t, g) })
	t.Run("many", func(t *testing.T) { wantNothingLeft(t, g.all[0]) })
	t.Run("members", func(t *testing.T) { wantMembersLetIn(t, g) })
	t.Run("impostor", func(t *testing.T) { wantImpostorRefused(t, g) })
	t.Run("degraded", func(t *testing.T) { wantDegraded(t, g) })
	for _, n := range g.all {
		for _, node := range strange {
			if lines := n.logged("level=WARN", "ignored a record of the registry", "node_id="+node); len(lines) != 1 {
				t.Errorf("%s logs of %s: %q", n.id, node, lines)
			}
		}
	}
	g.wantNoSecrets(t, 2)
	t.Run("call at the end", func(t *testing.T) { wantCallFinished(t, g) })
	g.wantCleanEnd(t, 0, 2)
}

// recordOf is a guardian's record in a bucket, as it is stored.
func recordOf(node string, index int, key []byte, host string) string {
	return fmt.Sprintf(`{"node_id":%q,"share_index":%d,"client_url":"http://%s","peer_url":"https://%[3]s","public_key":%q,"registered_ns":1}`,
		node, index, host, base64.StdEncoding.EncodeToString(key))
}

// writeStrangeRecords fills a registry with what no guardian writes, and returns
// under which names that is to be reported.
func writeStrangeRecords(t *testing.T, registry string) (nodes []string) {
	t.Helper()
	store, err := fs.Open(registry)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for node, text := range map[string]string{
		"empty": "", "cut": `{"node_id":"cut","share_i`, "array": "[]", "huge": `{"node_id":"` + strings.Repeat("a", 1<<20) + `"}`,
		"zero": recordOf("zero", 0, make([]byte, 32), "h:1"), "byte": recordOf("byte", 256, make([]byte, 32), "h:1"),
		"another": recordOf("g1", 1, make([]byte, 32), "h:1"), "lines": recordOf("a\nlevel=ERROR msg=hacked", 7, make([]byte, 32), "h:1"),
		"nobody": recordOf("nobody", 9, make([]byte, 32), "h:1"), "password": recordOf("password", 8, make([]byte, 32), "hunter2@h:1"),
	} {
		if _, err := store.Put(t.Context(), "guardians/"+node, []byte(text), backend.Revision{}); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	for _, key := range []string{"guardians/UPPER", "indices/256", "indices/1"} {
		if _, err := store.Put(t.Context(), key, []byte("g1"), backend.Revision{}); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, key)
	}
	return nodes
}

// certificateOf is one that a node makes of its key, after change.
func certificateOf(t *testing.T, node string, key *integrity.NodeKey, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: node}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// heartbeat is one that says it is from node, as it goes over the wire.
func heartbeat(node string) string {
	body := fmt.Sprintf(`{"node_id":%q,"shares":7,"list_epoch":1,"time_ns":1}`, node)
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		peer.RouteHeartbeat, len(body), body)
}

// dialPeer connects to a peer port, over TLS unless config is nil. It returns nil
// where the handshake fails.
func dialPeer(t *testing.T, n *neighbour, config *tls.Config) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", n.printed("GUARDIAN_PEER_LISTEN_ADDR"), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if config == nil {
		return conn
	}
	secured := tls.Client(conn, config)
	if secured.Handshake() != nil {
		return nil
	}
	return secured
}

// say sends text to a peer port and returns what comes back.
func say(t *testing.T, n *neighbour, config *tls.Config, text string) (got string, state tls.ConnectionState) {
	t.Helper()
	conn := dialPeer(t, n, config)
	if conn == nil {
		return "", state
	}
	defer conn.Close()
	if secured, ok := conn.(*tls.Conn); ok {
		state = secured.ConnectionState()
	}
	_, _ = io.WriteString(conn, text)
	answer, _ := io.ReadAll(conn)
	return string(answer), state
}

func showing(certificate *tls.Certificate) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}}
}

func wantPeerPortClosed(t *testing.T, g *guardians) {
	n, member := g.all[0], g.nodeKey(t, 1)
	if address := n.printed("GUARDIAN_PEER_LISTEN_ADDR"); address == "" || address == n.address {
		t.Fatalf("the peer plane listens on %q, the client plane on %q", address, n.address)
	}
	stranger, err := integrity.ParseNodeKey([]byte(testKey('x')))
	if err != nil {
		t.Fatal(err)
	}
	before := n.metric(receivedMetric)
	good := certificateOf(t, "g2", member, nil)
	for name, config := range map[string]*tls.Config{
		"no certificate":                 showing(nil),
		"a key of nobody":                showing(certificateOf(t, "g9", stranger, nil)),
		"a key of nobody, a member":      showing(certificateOf(t, "g2", stranger, nil)),
		"a member's key, another member": showing(certificateOf(t, "g3", member, nil)),
		"a member's key, its own name":   showing(certificateOf(t, "g1", member, nil)),
		"expired":                        showing(certificateOf(t, "g2", member, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })),
		"not yet valid":                  showing(certificateOf(t, "g2", member, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })),
		"a member's certificate alone":   showing(&tls.Certificate{Certificate: good.Certificate, PrivateKey: stranger}),
		"TLS 1.2":                        {InsecureSkipVerify: true, Certificates: []tls.Certificate{*good}, MaxVersion: tls.VersionTLS12},
		"no ML-KEM":                      {InsecureSkipVerify: true, Certificates: []tls.Certificate{*good}, CurvePreferences: []tls.CurveID{tls.X25519}},
	} {
		if got, _ := say(t, n, config, heartbeat("g2")); got != "" {
			t.Errorf("%s: it answers %q", name, got)
		}
	}
	if got, _ := say(t, n, nil, heartbeat("g2")); strings.Contains(got, "HTTP") || len(got) > 7 { // an alert of TLS
		t.Errorf("plain HTTP: it answers %q", got)
	}
	if n.logged("level=WARN", "peer plane: refused a caller") == nil {
		t.Error("nothing is logged")
	}
	response, err := http.Post("http://"+n.address+peer.RouteHeartbeat, "application/json", strings.NewReader(`{"node_id":"g2"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("the client plane answers a heartbeat with %s", response.Status)
	}
	eventually(t, "real heartbeats go on", func() bool { return n.metric(receivedMetric) > before })
	g.allSee(t, g.states(nobody, ""))
}

// wantNothingLeft: connections of strangers leave no goroutine behind.
func wantNothingLeft(t *testing.T, n *neighbour) {
	before := n.metric("go_goroutines")
	for i := range 60 {
		say(t, n, map[bool]*tls.Config{true: showing(nil)}[i%2 == 0], heartbeat("g2"))
	}
	const others = 10 // come and go with heartbeats and our own questions
	eventually(t, fmt.Sprintf("there are not many more than %v goroutines", before), func() bool {
		now := n.metric("go_goroutines")
		return now > 0 && now < before+others
	})
}

// wantMembersLetIn speaks as g2, and for nobody else.
func wantMembersLetIn(t *testing.T, g *guardians) {
	n := g.all[0]
	config := showing(certificateOf(t, "g2", g.nodeKey(t, 1), nil))
	got, state := say(t, n, config, heartbeat("g2"))
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, `"node_id":"g1"`) {
		t.Errorf("it answers a member with %q", got)
	}
	if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 || state.DidResume {
		t.Errorf("TLS version %x, key exchange %v, resumed %v", state.Version, state.CurveID, state.DidResume)
	}
	shown := state.PeerCertificates
	if len(shown) != 1 || !g.nodeKey(t, 0).PublicKey().Equal(shown[0].PublicKey) || shown[0].Subject.CommonName != "g1" {
		t.Errorf("it shows %v", shown)
	}
	for _, other := range []string{"g3", "g1", "g9", ""} {
		if got, _ := say(t, n, config, heartbeat(other)); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, `"code":"wrong_node"`) {
			t.Errorf("it answers g2 that speaks for %q with %q", other, got)
		}
	}
	if shares := n.list()["g3"].ShareCount; shares != 0 {
		t.Errorf("g2 said that g3 had %d shares, and was believed", shares)
	}
}

// wantCallFinished: the call of a member that has begun when g1 is told to stop
// is answered.
func wantCallFinished(t *testing.T, g *guardians) {
	n := g.all[0]
	conn := dialPeer(t, n, showing(certificateOf(t, "g2", g.nodeKey(t, 1), nil)))
	if conn == nil {
		t.Fatal("it refuses g2")
	}
	call := heartbeat("g2")
	half := len(call) - 10
	if _, err := io.WriteString(conn, call[:half]); err != nil {
		t.Fatal(err)
	}
	if err := n.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{n.address, n.printed("GUARDIAN_PEER_LISTEN_ADDR")} {
		eventually(t, "it listens no more at "+address, func() bool {
			other, err := net.DialTimeout("tcp", address, patience)
			if err == nil {
				_ = other.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
	}
	_, _ = io.WriteString(conn, call[half:])
	if got, err := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.1 200 ") {
		t.Errorf("it answers %q, %v", got, err)
	}
	if code, err := n.wait(); code != 0 || err != nil || n.logged("finish in time") != nil {
		t.Errorf("exit code %d, %v:\n%s", code, err, n.stderr)
	}
}

// wantImpostorRefused starts another process with a taken node id and a key of
// its own.
func wantImpostorRefused(t *testing.T, g *guardians) {
	before := g.all[0].list()
	impostor := newGuardians(t, 2, "")
	impostor.environ = g.environ
	impostor.start(t, 1)
	fake := impostor.all[1]
	impostor.allLog(t, []string{"level=ERROR", "the registry refuses this guardian, running in single-node mode", "node id is registered with another key"}, 0)
	if known := fake.list(); len(known) != 1 || known["g2"].NodeKey == before["g2"].NodeKey {
		t.Errorf("the impostor lists %v", known)
	}
	g.allSee(t, g.states(nobody, ""))
	after := g.all[0].list()
	for id := range maps.Keys(before) {
		if after[id].NodeKey != before[id].NodeKey || after[id].URL != before[id].URL || after[id].Index != before[id].Index {
			t.Errorf("%s was %+v, and is %+v", id, before[id], after[id])
		}
	}
	impostor.wantCleanEnd(t, 0)
}

// wantDegraded: what one process has seen of thresholds counts for it alone,
// and fewer than K alive for everybody.
func wantDegraded(t *testing.T, g *guardians) {
	health := func(i int) string { return ask[api.HealthResponse](g.all[i], api.RouteV1Health).Status }
	push := `{"identity":"` + strings.Repeat("a", 64) + `","share":"eA==","version":1,"threshold":4}`
	response, err := http.Post("http://"+g.all[0].address+api.RoutePush, "application/json", strings.NewReader(push))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	eventually(t, "of three guardians, that with a share of threshold 4 is degraded alone", func() bool {
		return health(0) == "degraded" && health(1) == "ok" && health(2) == "ok"
	})
	g.all[2].kill()
	g.allSee(t, g.states(2, "dead"), 2)
	eventually(t, "two of three are degraded", func() bool { return health(0) == "degraded" && health(1) == "degraded" })
}
