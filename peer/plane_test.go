package peer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
)

// wire is a connection of a member that is not a peer.Client.
type wire struct {
	conn *tls.Conn
	from *bufio.Reader
}

func connect(t testing.TB, p *plane, as node) *wire {
	t.Helper()
	certificate := as.certificate(t, nil)
	conn, err := dial(t, p.address, &certificate, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &wire{conn, bufio.NewReader(conn)}
}

// send writes text and reads one answer.
func (w *wire) send(t testing.TB, text string) (status int, code string, header http.Header, err error) {
	t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		return 0, "", nil, err
	}
	response, err := http.ReadResponse(w.from, nil)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	var body api.ErrorResponse
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Errorf("%d without JSON: %v", response.StatusCode, err)
	}
	return response.StatusCode, body.Code, response.Header, nil
}

func post(route, contentType, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: peer\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", route, contentType, len(body), body)
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	self, friend, other := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other")
	p := start(t, self, membersOf(self, friend, other), peer.Limits{}, nil)
	const json = "application/json"
	good := `{"node_id":"friend","shares":7,"list_epoch":1,"time_ns":1}`
	for name, tc := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"of another node":    {post(peer.RouteHeartbeat, json, strings.Replace(good, "friend", "other", 1)), 403, "wrong_node"},
		"of the server":      {post(peer.RouteHeartbeat, json, strings.Replace(good, "friend", "self", 1)), 403, "wrong_node"},
		"of nobody":          {post(peer.RouteHeartbeat, json, `{"shares":7}`), 403, "wrong_node"},
		"of two":             {post(peer.RouteHeartbeat, json, `{"node_id":"friend","node_id":"other"}`), 403, "wrong_node"},
		"empty":              {post(peer.RouteHeartbeat, json, " \n"), 400, "empty_body"},
		"cut off":            {post(peer.RouteHeartbeat, json, good[:30]), 400, "invalid_json"},
		"an array":           {post(peer.RouteHeartbeat, json, "["+good+"]"), 400, "invalid_json"},
		"two objects":        {post(peer.RouteHeartbeat, json, good+good), 400, "invalid_json"},
		"a number as text":   {post(peer.RouteHeartbeat, json, `{"node_id":"friend","shares":"7"}`), 400, "invalid_json"},
		"too large a number": {post(peer.RouteHeartbeat, json, `{"node_id":"friend","shares":9223372036854775808}`), 400, "invalid_json"},
		"fewer than none":    {post(peer.RouteHeartbeat, json, `{"node_id":"friend","shares":-1}`), 400, "invalid_json"},
		"oversized":          {post(peer.RouteHeartbeat, json, good+strings.Repeat(" ", 4096)), 413, "body_too_large"},
		"oversized in chunks": {
			"POST " + peer.RouteHeartbeat + " HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n" +
				strings.Repeat(" ", 4097) + "\r\n0\r\n\r\n", 413, "body_too_large",
		},
		"a form":         {post(peer.RouteHeartbeat, "application/x-www-form-urlencoded", good), 415, "unsupported_media_type"},
		"of no type":     {post(peer.RouteHeartbeat, "", good), 415, "unsupported_media_type"},
		"another route":  {post("/peer/v1/nothing", json, good), 404, "no_route"},
		"another method": {strings.Replace(post(peer.RouteHeartbeat, json, good), "POST", "PUT", 1), 405, "method_not_allowed"},
	} {
		status, code, _, err := connect(t, p, friend).send(t, tc.text)
		if status != tc.status || code != tc.code || err != nil {
			t.Errorf("%s: %d %s, %v", name, status, code, err)
		}
	}
	if n := p.beats.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
	if status, _, _, err := connect(t, p, friend).send(t, post(peer.RouteHeartbeat, json, good)); status != 200 || p.beats.Load() != 1 {
		t.Errorf("a good one: %d, %v, %d beats", status, err, p.beats.Load())
	}
}

func TestHeaderIsBounded(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := start(t, self, membersOf(self, friend), peer.Limits{}, nil)
	got := answered(connect(t, p, friend).conn, strings.Replace(request(friend), "Host: peer", "Host: peer\r\nX: "+strings.Repeat("x", 64<<10), 1))
	if p.beats.Load() != 0 || strings.HasPrefix(got, "HTTP/1.1 2") {
		t.Errorf("%d beats, got %q", p.beats.Load(), got)
	}
}

// Whoever is slow in a handshake, a header or a body holds nothing but its own
// connection, and that not for long.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := start(t, self, membersOf(self, friend), peer.Limits{Timeout: time.Second}, nil)
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(silent, "\x16\x03\x01\x02\x00\x01") // the beginning of a hello
	t.Cleanup(func() { _ = silent.Close() })
	header, body := connect(t, p, friend), connect(t, p, friend)
	full := request(friend)
	_, _ = io.WriteString(header.conn, full[:40])
	_, _ = io.WriteString(body.conn, full[:len(full)-5])
	eventually(t, "all connections are closed", func() bool { return p.conns.accepted.Load() == 3 && p.conns.open.Load() == 0 })
	if n := p.beats.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
}

// dialFrom connects from 127.0.0.<last> and says nothing.
func dialFrom(t testing.TB, p *plane, last byte) net.Conn {
	t.Helper()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
	conn, err := from.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Strangers who never say anything keep no member out, neither one at another
// address nor one at theirs, and give their places back.
func TestHandshakesAreBounded(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := start(t, self, membersOf(self, friend), peer.Limits{Handshakes: 4, Timeout: time.Second}, nil)
	for i := range 20 {
		dialFrom(t, p, byte(10+i%8))
	}
	eventually(t, "all but four are closed", func() bool { return p.conns.accepted.Load() == 20 && p.conns.open.Load() <= 4 })
	certificate := friend.certificate(t, nil)
	for _, last := range []byte{2, 10} {
		conn := tls.Client(dialFrom(t, p, last), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}})
		_ = conn.SetDeadline(time.Now().Add(patience))
		if got := answered(conn, request(friend)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("from 127.0.0.%d: %q", last, got)
		}
		_ = conn.Close()
	}
	eventually(t, "the four are closed", func() bool { return p.conns.open.Load() == 0 })
	if got := answered(connect(t, p, friend).conn, request(friend)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("afterwards: %q", got)
	}
	if !strings.Contains(p.log.String(), "too many handshakes at once") {
		t.Errorf("the log is\n%s", p.log)
	}
}

// Many members may be behind one address and call at one moment.
func TestMembersBehindOneAddress(t *testing.T) {
	t.Parallel()
	self := newNode(t, "self")
	known := membersOf(self)
	p := start(t, self, known, peer.Limits{Timeout: patience}, nil)
	const many = 40
	var calls errgroup.Group
	for i := range many {
		n := newNode(t, fmt.Sprintf("m%d", i))
		known.set(n.id, n.key.PublicKey())
		c := clientOf(t, n, patience)
		calls.Go(func() error {
			_, err := c.Heartbeat(t.Context(), p.member(), n.beat())
			return err
		})
	}
	if err := calls.Wait(); err != nil || p.conns.accepted.Load() != many {
		t.Errorf("after %d connections: %v", p.conns.accepted.Load(), err)
	}
}

func TestConnectionsOfAMemberAreBounded(t *testing.T) {
	t.Parallel()
	self, greedy, friend := newNode(t, "self"), newNode(t, "greedy"), newNode(t, "friend")
	p := start(t, self, membersOf(self, greedy, friend), peer.Limits{ConnectionsPerMember: 2}, nil)
	kept := []*wire{connect(t, p, greedy), connect(t, p, greedy)}
	for _, w := range kept {
		if status, _, _, err := w.send(t, request(greedy)); status != 200 {
			t.Fatal(status, err)
		}
	}
	if got := answered(connect(t, p, greedy).conn, request(greedy)); got != "" {
		t.Errorf("one too many: %q", got)
	}
	if status, _, _, err := connect(t, p, friend).send(t, request(friend)); status != 200 {
		t.Errorf("another member: %d, %v", status, err)
	}
	_ = kept[0].conn.Close()
	eventually(t, "there is a place again", func() bool {
		return strings.HasPrefix(answered(connect(t, p, greedy).conn, request(greedy)), "HTTP/1.1 200 ")
	})
}

func TestRateIsBounded(t *testing.T) {
	t.Parallel()
	self, eager, friend := newNode(t, "self"), newNode(t, "eager"), newNode(t, "friend")
	p := start(t, self, membersOf(self, eager, friend), peer.Limits{RequestsPerMinute: 3}, nil)
	one, another := connect(t, p, eager), connect(t, p, eager)
	for _, w := range []*wire{one, another, one} {
		if status, _, _, err := w.send(t, request(eager)); status != 200 {
			t.Fatal(status, err)
		}
	}
	for _, text := range []string{request(eager), post("/peer/v1/nothing", "application/json", "{}")} {
		status, code, header, err := another.send(t, text)
		if status != 429 || code != "rate_limited" || header.Get("Retry-After") == "" || err != nil {
			t.Errorf("%d %s %v, %v", status, code, header, err)
		}
	}
	if status, _, _, err := connect(t, p, friend).send(t, request(friend)); status != 200 || p.beats.Load() != 4 {
		t.Errorf("another member: %d, %v; %d beats", status, err, p.beats.Load())
	}
}

// A member that is removed, or known by another key from now on, is out at
// once: on the connection that it has and on new ones.
func TestRemovedMember(t *testing.T) {
	t.Parallel()
	self, friend, other := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other")
	for name, remove := range map[string]func(*members){
		"removed":     func(m *members) { m.set("friend", nil) },
		"another key": func(m *members) { m.set("friend", other.key.PublicKey()) },
		"renamed":     func(m *members) { m.set("friend", nil); m.set("freund", friend.key.PublicKey()) },
	} {
		known := membersOf(self, friend)
		p := start(t, self, known, peer.Limits{}, nil)
		w := connect(t, p, friend)
		if status, _, _, err := w.send(t, request(friend)); status != 200 {
			t.Fatal(status, err)
		}
		remove(known)
		if got := answered(w.conn, request(friend)); got != "" {
			t.Errorf("%s: on the old connection: %q", name, got)
		}
		if got := answered(connect(t, p, friend).conn, request(friend)); got != "" {
			t.Errorf("%s: on a new connection: %q", name, got)
		}
		if n := p.beats.Load(); n != 1 {
			t.Errorf("%s: the handler ran %d times", name, n)
		}
		known.set("freund", nil)
		known.set("friend", friend.key.PublicKey())
		if got := answered(connect(t, p, friend).conn, request(friend)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s: let in again: %q", name, got)
		}
	}
}

func TestErrorsOfTheHandler(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	var answer func() error
	p := start(t, self, membersOf(self, friend), peer.Limits{}, func(string, cluster.Heartbeat) (cluster.Heartbeat, error) {
		return cluster.Heartbeat{}, answer()
	})
	for name, tc := range map[string]struct {
		answer func() error
		status int
		code   string
	}{
		"its panic":             {func() error { panic("secret of the panic") }, 500, "internal"},
		"a panic of Go":         {func() error { return []error{}[p.beats.Load()] }, 500, "internal"},
		"an error of its own":   {func() error { return errors.New("secret of the error") }, 500, "internal"},
		"no member after all":   {func() error { return fmt.Errorf("it left: %w", cluster.ErrNotMember) }, 0, ""},
		"another node":          {func() error { return cluster.ErrWrongNode }, 403, "wrong_node"},
		"an error with its row": {func() error { return api.ErrOverloaded }, 503, "overloaded"},
	} {
		answer = tc.answer
		status, code, _, err := connect(t, p, friend).send(t, request(friend))
		if status != tc.status || code != tc.code || (err == nil) != (tc.status != 0) {
			t.Errorf("%s: %d %s, %v", name, status, code, err)
		}
	}
	if strings.Contains(p.log.String(), "secret of the panic") || !strings.Contains(p.log.String(), "secret of the error") {
		t.Errorf("the log is\n%s", p.log)
	}
}

// Shutdown lets a request finish, and waits neither for strangers nor for idle
// members.
func TestShutdown(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	begun, finish := make(chan struct{}), make(chan struct{})
	p := start(t, self, membersOf(self, friend), peer.Limits{}, func(string, cluster.Heartbeat) (cluster.Heartbeat, error) {
		close(begun)
		<-finish
		return self.beat(), nil
	})
	stranger, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	answers := make(chan string)
	running := connect(t, p, friend)
	go func() { answers <- answered(running.conn, request(friend)) }()
	<-begun
	stopped := make(chan error)
	go func() { stopped <- p.server.Shutdown(context.WithoutCancel(t.Context())) }()
	eventually(t, "the stranger is gone", func() bool { return p.conns.open.Load() == 1 })
	close(finish)
	if got := <-answers; !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the request that ran: %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address); err == nil {
		_ = conn.Close()
		t.Error("it listens still")
	}
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	begun, finish := make(chan struct{}), make(chan struct{})
	p := start(t, self, membersOf(self, friend), peer.Limits{}, func(string, cluster.Heartbeat) (cluster.Heartbeat, error) {
		close(begun)
		<-finish
		return self.beat(), nil
	})
	answers := make(chan string)
	running := connect(t, p, friend)
	go func() { answers <- answered(running.conn, request(friend)) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := <-answers; got != "" {
		t.Errorf("got %q", got)
	}
	close(finish)
}
