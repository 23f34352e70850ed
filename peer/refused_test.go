package peer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/peer"
)

// dial is a caller of the plane that is not a peer.Client; change may break
// what it does.
func dial(t testing.TB, address string, certificate *tls.Certificate, change func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	raw, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}}
	if change != nil {
		change(config)
	}
	conn := tls.Client(raw, config)
	return conn, conn.HandshakeContext(t.Context())
}

// request is a heartbeat as it goes over the wire.
func request(from node) string {
	body, _ := json.Marshal(from.beat())
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		peer.RouteHeartbeat, len(body), body)
}

// answered sends a request and returns what comes back until the other side
// closes, or closing is asked for.
func answered(conn net.Conn, text string) string {
	_, _ = io.WriteString(conn, strings.Replace(text, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	got, _ := io.ReadAll(conn)
	return string(got)
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	self, friend, other, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other"), newNode(t, "stranger")
	good := friend.certificate(t, nil)
	changed := func(n node, change func(*x509.Certificate)) *tls.Certificate {
		made := n.certificate(t, change)
		return &made
	}
	for name, tc := range map[string]struct {
		certificate *tls.Certificate
		change      func(*tls.Config)
		reason      string
	}{
		"no certificate": {nil, nil, "didn't provide a certificate"},
		"a key of nobody": {
			changed(stranger, nil), nil, "its key is not that of a member",
		},
		"a key of nobody with a member's name": {
			changed(stranger, func(c *x509.Certificate) { c.Subject.CommonName = "friend" }), nil, "its key is not that of a member",
		},
		"a member's key with another's name": {
			changed(friend, func(c *x509.Certificate) { c.Subject.CommonName = "other" }), nil, "another member than it says",
		},
		"a member's key with nobody's name": {
			changed(friend, func(c *x509.Certificate) { c.Subject.CommonName = "stranger" }), nil, "another member than it says",
		},
		"a member's key with no name": {
			changed(friend, func(c *x509.Certificate) { c.Subject = pkix.Name{} }), nil, "not a node id",
		},
		"a member's key with a name of another form": {
			changed(friend, func(c *x509.Certificate) { c.Subject.CommonName = "Friend\n" }), nil, "not a node id",
		},
		"a member's key with two names": {
			changed(friend, func(c *x509.Certificate) {
				c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{
					{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "other"},
					{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "friend"},
				}
			}), nil, "not a node id",
		},
		"expired": {
			changed(friend, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-2 * time.Second) }), nil, "it expired at",
		},
		"not yet valid": {
			changed(friend, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), nil, "it is valid from",
		},
		"a member's certificate without its key": {
			&tls.Certificate{Certificate: good.Certificate, PrivateKey: stranger.key}, nil, "invalid signature by the client certificate",
		},
		"two certificates": {
			&tls.Certificate{Certificate: append(changed(other, nil).Certificate, good.Certificate...), PrivateKey: other.key}, nil, "2 were shown",
		},
		"a member's key, signed by another": {signedBy(t, friend, stranger), nil, "not signed with its own key"},
		"another kind of key":               {ecdsaCertificate(t, "friend"), nil, "not Ed25519"},
		"TLS 1.2":                           {&good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "unsupported versions"},
		"key exchange without ML-KEM": {
			&good, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }, "key exchange",
		},
		"HTTP/2 alone": {&good, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "application protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, self, membersOf(self, friend, other), peer.Limits{}, nil)
			conn, err := dial(t, p.address, tc.certificate, tc.change)
			if err == nil { // a client ends the handshake before the server does
				if got := answered(conn, request(friend)); got != "" {
					t.Errorf("got %q", got)
				}
			}
			eventually(t, "the log says "+tc.reason, func() bool { return strings.Contains(p.log.String(), tc.reason) })
			if n := p.beats.Load(); n != 0 {
				t.Errorf("the handler ran %d times", n)
			}
		})
	}
}

// The log says why, once for an address.
func TestReasonsAreLogged(t *testing.T) {
	t.Parallel()
	self, friend, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "stranger")
	p := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	certificate := stranger.certificate(t, nil)
	for range 20 {
		if conn, err := dial(t, p.address, &certificate, nil); err == nil {
			answered(conn, request(stranger))
		}
	}
	eventually(t, "all connections are gone", func() bool { return p.conns.open.Load() == 0 && p.conns.accepted.Load() == 20 })
	log := p.log.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "its key is not that of a member") || !strings.Contains(log, "127.0.0.1:") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	for name, text := range map[string]string{
		"plain HTTP":   request(friend),
		"HTTP/2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"SSLv2":        "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00",
		"nothing":      "",
		"zeros":        strings.Repeat("\x00", 1<<16),
		"a long hello": "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + strings.Repeat("a", 1<<14-4),
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(conn)
		_ = conn.Close()
		// An alert of TLS is all that may come.
		if len(got) > 7 || len(got) > 0 && got[0] != 0x15 {
			t.Errorf("%s: got %s", name, hex.EncodeToString(got))
		}
	}
	if n := p.beats.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	certificate := friend.certificate(t, nil)
	sessions := tls.NewLRUClientSessionCache(8)
	for range 2 {
		conn, err := dial(t, p.address, &certificate, func(c *tls.Config) { c.ClientSessionCache, c.ServerName = sessions, "self" })
		if err != nil {
			t.Fatal(err)
		}
		if got := answered(conn, request(friend)); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, `"node_id":"self"`) {
			t.Fatalf("got %q", got)
		}
		state := conn.ConnectionState()
		if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 || state.DidResume {
			t.Errorf("version %x, key exchange %v, resumed %v", state.Version, state.CurveID, state.DidResume)
		}
		if _, ok := sessions.Get("self"); ok {
			t.Error("a ticket was handed out")
		}
	}
	if n := p.beats.Load(); n != 2 {
		t.Errorf("the handler ran %d times", n)
	}
}

// signedBy has the names and the key of n, and the signature of signer.
func signedBy(t testing.TB, n, signer node) *tls.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, n.template(), signer.template(), n.key.Public(), signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
}

func ecdsaCertificate(t testing.TB, id string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := node{id: id}.template()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
