package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/peer"
)

// relayed is a guardian whose key the demonstration has.
type relayed struct {
	node string
	seed string // of the node key, in hex
}

// relay stands before the peer plane of one guardian with the key of that
// guardian, passes on what the others say with the keys of those, and writes it
// down. Only who has all their keys can do that.
type relay struct {
	self     int
	keys     []*integrity.NodeKey
	nodes    []string
	listener net.Listener
	server   *http.Server
	ways     []*http.Transport // to the guardian, one for each caller

	mu       sync.Mutex
	upstream string
	said     []message
}

// message is what one guardian said to another, before encryption.
type message struct {
	from, to, route string
	answer          bool
	head            string // what goes before the body: target or status, and headers
	body            []byte
}

// maxRelayed bounds a message, in bytes: more than any guardian takes.
const maxRelayed = 4 << 20

// relayPatience is longer than guardians have with each other.
const relayPatience = time.Minute

func newRelay(self int, known []relayed) (*relay, error) {
	r := &relay{self: self}
	for _, k := range known {
		key, err := integrity.ParseNodeKey([]byte(k.seed))
		if err != nil {
			return nil, err
		}
		r.keys, r.nodes = append(r.keys, key), append(r.nodes, k.node)
	}
	for caller := range known {
		r.ways = append(r.ways, &http.Transport{TLSClientConfig: r.tlsAs(caller, r.self), MaxConnsPerHost: 1})
	}
	config := r.tlsAs(self, -1)
	config.ClientAuth = tls.RequireAnyClientCert
	plain, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the relay: %w", err)
	}
	r.listener = tls.NewListener(plain, config)
	r.server = &http.Server{
		Handler: r, ReadHeaderTimeout: relayPatience,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // guardians log what fails
	}
	go r.server.Serve(r.listener) //nolint:errcheck // it ends with close
	return r, nil
}

// tlsAs is TLS with the certificate of one guardian toward another, or toward
// any where that is -1.
func (r *relay) tlsAs(own, toward int) *tls.Config {
	certificate := func() (*tls.Certificate, error) {
		made, err := peer.Certificate(r.keys[own], r.nodes[own])
		return &made, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		InsecureSkipVerify:   true, //nolint:gosec // the key is compared below, as guardians do
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate() },
		VerifyConnection: func(state tls.ConnectionState) error {
			if who := r.who(state.PeerCertificates); who < 0 || toward >= 0 && who != toward {
				return errors.New("the relay does not know this key")
			}
			return nil
		},
	}
}

// who has shown a certificate; -1 for nobody known.
func (r *relay) who(shown []*x509.Certificate) int {
	if len(shown) != 1 {
		return -1
	}
	key, _ := shown[0].PublicKey.(ed25519.PublicKey)
	return slices.IndexFunc(r.keys, func(k *integrity.NodeKey) bool { return k.PublicKey().Equal(key) })
}

func (r *relay) url() string { return "https://" + r.listener.Addr().String() }

// to tells where the guardian listens.
func (r *relay) to(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.upstream = address
}

// ServeHTTP passes one request on, and its answer back. What breaks off in the
// middle was said, too.
func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	caller := r.who(request.TLS.PeerCertificates)
	if caller < 0 {
		panic(http.ErrAbortHandler)
	}
	said := message{from: r.nodes[caller], to: r.nodes[r.self], route: request.URL.Path, head: headOf(request.RequestURI, request.Header)}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxRelayed))
	said.body = body
	r.note(said)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer, err := r.pass(request, caller, body)
	if answer != nil {
		r.note(message{
			from: said.to, to: said.from, route: said.route, answer: true,
			head: headOf(http.StatusText(answer.status), answer.header), body: answer.body,
		})
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.status)
	w.Write(answer.body) //nolint:errcheck // the caller asks again
}

// relayedAnswer is what a guardian answered.
type relayedAnswer struct {
	status int
	header http.Header
	body   []byte
}

// pass returns the answer, also with the error of reading its body.
func (r *relay) pass(request *http.Request, caller int, body []byte) (*relayedAnswer, error) {
	r.mu.Lock()
	target := "https://" + r.upstream + request.RequestURI
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(request.Context(), relayPatience)
	defer cancel()
	onward, err := http.NewRequestWithContext(ctx, request.Method, target, bytes.NewReader(body)) //nolint:gosec // the host is the guardian's
	if err != nil {
		return nil, err
	}
	onward.Header = request.Header.Clone()
	response, err := r.ways[caller].RoundTrip(onward)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxRelayed))
	return &relayedAnswer{response.StatusCode, response.Header, data}, err
}

func headOf(first string, header http.Header) string {
	var head strings.Builder
	head.WriteString(first + "\n")
	header.Write(&head) //nolint:errcheck // into memory
	return head.String()
}

func (r *relay) note(m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, m)
}

func (r *relay) overheard() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

func (r *relay) close() {
	r.server.Close()
	for _, way := range r.ways {
		way.CloseIdleConnections()
	}
}
