package peer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	answer := cluster.Heartbeat{NodeID: "self", Shares: 1<<63 - 1, ListEpoch: 1<<64 - 1, TimeNS: 1<<63 - 1}
	p := start(t, self, membersOf(self, friend), peer.Limits{}, func(from string, beat cluster.Heartbeat) (cluster.Heartbeat, error) {
		if from != "friend" || beat != friend.beat() {
			t.Errorf("from %s: %+v", from, beat)
		}
		return answer, nil
	})
	c := clientOf(t, friend, 0)
	for range 10 {
		if got, err := c.Heartbeat(t.Context(), p.member(), friend.beat()); err != nil || got != answer {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := p.conns.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	self, friend, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "stranger")
	p := start(t, self, membersOf(self, friend), peer.Limits{RequestsPerMinute: 2}, nil)
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	call := func(as, to node, address string, beat cluster.Heartbeat) error {
		_, err := clientOf(t, as, 0).Heartbeat(t.Context(), memberAt(to, address), beat)
		return err
	}
	plain := memberAt(self, p.address)
	plain.PeerURL = "http://" + p.address
	_, errPlain := clientOf(t, friend, 0).Heartbeat(t.Context(), plain, friend.beat())
	for _, tc := range []struct {
		name      string
		err, want error
	}{
		{"for another", call(friend, self, p.address, stranger.beat()), cluster.ErrWrongNode},
		{"not admitted", call(stranger, self, p.address, stranger.beat()), peer.ErrNotAdmitted},
		{"another key", call(friend, node{"self", stranger.key}, p.address, friend.beat()), peer.ErrWrongKey},
		{"another name", call(friend, node{"other", self.key}, p.address, friend.beat()), peer.ErrWrongKey},
		{"without TLS", errPlain, cluster.ErrInvalidMember},
		{"a good one", call(friend, self, p.address, friend.beat()), nil},
		{"over its rate", call(friend, self, p.address, friend.beat()), api.ErrRateLimited},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: %v", tc.name, tc.err)
		}
	}
	if err := call(friend, self, closed.Addr().String(), friend.beat()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

// impostor stands where a member should be. It counts what it is told once its
// handshake is done.
func impostor(t *testing.T, config *tls.Config) (address string, told *atomic.Int64) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told = new(atomic.Int64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			_ = raw.SetDeadline(time.Now().Add(patience))
			conn := raw
			if config != nil {
				conn = tls.Server(raw, config)
			}
			heard, _ := io.ReadAll(conn)
			if config != nil || bytes.Contains(heard, []byte("HTTP")) {
				told.Add(int64(len(heard)))
			}
			_ = raw.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().String(), told
}

// A server that has not the key of the member learns nothing of the request.
func TestNothingIsSentToOthers(t *testing.T) {
	t.Parallel()
	self, friend, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "stranger")
	with := func(certificate tls.Certificate, change func(*tls.Config)) *tls.Config {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert}
		if change != nil {
			change(config)
		}
		return config
	}
	good := self.certificate(t, nil)
	for name, tc := range map[string]struct {
		config *tls.Config
		want   error
	}{
		"another key":         {with(stranger.certificate(t, func(c *x509.Certificate) { c.Subject.CommonName = "self" }), nil), peer.ErrWrongKey},
		"another member":      {with(stranger.certificate(t, nil), nil), peer.ErrWrongKey},
		"another name":        {with(self.certificate(t, func(c *x509.Certificate) { c.Subject.CommonName = "other" }), nil), peer.ErrWrongKey},
		"our own key":         {with(friend.certificate(t, nil), nil), peer.ErrWrongKey},
		"without the key":     {with(tls.Certificate{Certificate: good.Certificate, PrivateKey: stranger.key}, nil), nil},
		"expired":             {with(self.certificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-2 * time.Second) }), nil), nil},
		"another kind of key": {with(*ecdsaCertificate(t, "self"), nil), nil},
		"TLS 1.2":             {with(good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), nil},
		"no ML-KEM":           {with(good, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }), nil},
		"plain HTTP":          {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, told := impostor(t, tc.config)
			c := peer.NewClient(peer.ClientConfig{Key: friend.key, NodeID: friend.id, Timeout: time.Second})
			_, err := c.Heartbeat(t.Context(), memberAt(self, address), friend.beat())
			c.Close()
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v", err)
			}
			if n := told.Load(); n != 0 {
				t.Errorf("it was told %d bytes", n)
			}
		})
	}
	address, told := impostor(t, with(good, nil))
	if _, err := clientOf(t, friend, time.Second).Heartbeat(t.Context(), memberAt(self, address), friend.beat()); err == nil {
		t.Error("an answer of a server that gives none")
	}
	eventually(t, "who has key and name is told", func() bool { return told.Load() > 0 })
}

// startOdd is a member with its key that answers oddly.
func startOdd(t *testing.T, self node, answer http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http sees the end of a connection only behind the body
		answer(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{self.certificate(t, nil)}, ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestOddAnswers(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	elsewhere := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	writing := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"of another node":   {writing(200, `{"node_id":"other"}`), cluster.ErrWrongNode.Error()},
		"of us":             {writing(200, `{"node_id":"friend"}`), cluster.ErrWrongNode.Error()},
		"of nobody":         {writing(200, `{}`), cluster.ErrWrongNode.Error()},
		"no JSON":           {writing(200, "<html>"), api.ErrInvalidJSON.Error()},
		"nothing":           {writing(200, ""), api.ErrEmptyBody.Error()},
		"too long":          {writing(200, `{"node_id":"self"}`+strings.Repeat(" ", 4096)), "longer than 4096 bytes"},
		"not found":         {writing(404, `{"error":"\u001b[2J","code":"no_route"}`), api.ErrNoRoute.Error()},
		"an unknown code":   {writing(418, `{"error":"\u001b[2J","code":"\u001b[2J"}`), "HTTP 418"},
		"no code":           {writing(500, "\x1b[2J"), "HTTP 500"},
		"no content":        {writing(204, ""), "HTTP 204"},
		"a redirect":        {http.RedirectHandler("https://"+elsewhere.address+peer.RouteHeartbeat, http.StatusTemporaryRedirect).ServeHTTP, "HTTP 307"},
		"a very long field": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 64<<10)) }, "exceeded"},
		"never":             {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "did not answer in time"},
		"half of it": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"node_id"`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := patience
			if strings.Contains(tc.want, "in time") {
				timeout = 500 * time.Millisecond
			}
			c := clientOf(t, friend, timeout)
			got, err := c.Heartbeat(t.Context(), memberAt(self, startOdd(t, self, tc.answer)), friend.beat())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\x1b") || got != (cluster.Heartbeat{}) {
				t.Errorf("%+v, %q", got, err)
			}
			c.Close()
		})
	}
	if n := elsewhere.beats.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	begun := make(chan struct{})
	address := startOdd(t, self, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := fmt.Errorf("the member was removed")
	go func() {
		<-begun
		cancel(why)
	}()
	if _, err := clientOf(t, friend, patience).Heartbeat(ctx, memberAt(self, address), friend.beat()); !errors.Is(err, why) {
		t.Error(err)
	}
}

// A member with another URL or another key is dialled anew, and what was open
// to the old one is closed.
func TestChangedMember(t *testing.T) {
	t.Parallel()
	self, friend, other := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other")
	known := membersOf(self, friend)
	before, moved := start(t, self, known, peer.Limits{}, nil), start(t, self, known, peer.Limits{}, nil)
	rekeyed := start(t, node{"self", other.key}, known, peer.Limits{}, nil)
	c := clientOf(t, friend, 0)
	call := func(to cluster.Member) error {
		_, err := c.Heartbeat(t.Context(), to, friend.beat())
		return err
	}
	if err := errors.Join(call(before.member()), call(moved.member())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection to the old URL is closed", func() bool { return before.conns.open.Load() == 0 })
	stolen := moved.member()
	stolen.PublicKey = other.key.PublicKey()
	if err := call(stolen); !errors.Is(err, peer.ErrWrongKey) {
		t.Errorf("the old server under the new key: %v", err)
	}
	eventually(t, "the connection under the old key is closed", func() bool { return moved.conns.open.Load() == 0 })
	if err := call(rekeyed.member()); err != nil {
		t.Error(err)
	}
	// Key and slice are the caller's: changing them later changes no pin.
	to := before.member()
	if err := call(to); err != nil {
		t.Fatal(err)
	}
	clear(to.PublicKey)
	if err := call(before.member()); err != nil {
		t.Error(err)
	}
}

// A member that restarts has closed the connections that we keep.
func TestMemberRestarts(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	c := clientOf(t, friend, 0)
	p := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	for range 5 {
		if _, err := c.Heartbeat(t.Context(), p.member(), friend.beat()); err != nil {
			t.Fatal(err)
		}
		if err := p.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		address := p.address
		p = restart(t, p, address)
	}
}

// restart is a new Server for the same node at the same address.
func restart(t *testing.T, old *plane, address string) *plane {
	t.Helper()
	p := &plane{node: old.node, members: old.members, log: old.log}
	p.server = peer.NewServer(peer.ServerConfig{
		Key: p.key, NodeID: p.id, Members: p.members, Logger: discard,
		Heartbeat: func(string, cluster.Heartbeat) (cluster.Heartbeat, error) { return p.beat(), nil },
	})
	p.listen(t, address)
	return p
}

// A removed member's client is told, on a connection that it kept, by the
// handshake that follows.
func TestRemovedMemberIsTold(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	known := membersOf(self, friend)
	p := start(t, self, known, peer.Limits{}, nil)
	c := clientOf(t, friend, 0)
	if _, err := c.Heartbeat(t.Context(), p.member(), friend.beat()); err != nil {
		t.Fatal(err)
	}
	known.set("friend", nil)
	if _, err := c.Heartbeat(t.Context(), p.member(), friend.beat()); !errors.Is(err, peer.ErrNotAdmitted) {
		t.Error(err)
	}
	if n := p.beats.Load(); n != 1 {
		t.Errorf("the handler ran %d times", n)
	}
}

// Many members at once, of which some come and go, for the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	self, fickle := newNode(t, "self"), newNode(t, "fickle")
	known := membersOf(self, fickle)
	p := start(t, self, known, peer.Limits{}, nil)
	done := make(chan error)
	const callers, calls = 8, 20
	for i := range callers {
		friend := newNode(t, fmt.Sprintf("friend-%d", i))
		known.set(friend.id, friend.key.PublicKey())
		c := clientOf(t, friend, 0)
		go func() {
			var err error
			for range calls {
				_, failed := c.Heartbeat(t.Context(), p.member(), friend.beat())
				err = errors.Join(err, failed)
			}
			done <- err
		}()
	}
	c := clientOf(t, fickle, 0)
	for range calls {
		known.set("fickle", nil)
		_, _ = c.Heartbeat(t.Context(), p.member(), fickle.beat())
		known.set("fickle", fickle.key.PublicKey())
		_, _ = c.Heartbeat(t.Context(), p.member(), fickle.beat())
	}
	for range callers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
