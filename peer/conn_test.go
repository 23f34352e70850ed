package peer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

// dialConn returns a Conn that is closed at the end of the test.
func dialConn(t testing.TB, c *peer.Client, to cluster.Member) *peer.Conn {
	t.Helper()
	conn := c.Dial(to)
	t.Cleanup(conn.Close)
	return conn
}

func call(t testing.TB, conn *peer.Conn) error {
	t.Helper()
	_, err := conn.Call(t.Context(), route, []byte("{}"))
	return err
}

// A Conn has one connection for all its calls, and the next Conn has it then.
func TestConn(t *testing.T) {
	t.Parallel()
	self, friend, other := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other")
	p := startCalls(t, self, membersOf(self, friend, other), peer.Limits{}, func(_ context.Context, from peer.Caller, body []byte) ([]byte, error) {
		if from.NodeID != "friend" || !from.Key.Equal(friend.key.PublicKey()) {
			t.Errorf("from %+v", from)
		}
		return body, nil
	})
	c := clientOf(t, friend, 0)
	for range 3 {
		conn := c.Dial(p.member())
		for _, size := range []int{0, 1, 4 << 10, maxBody} {
			body := strings.Repeat("\x00", size)
			if got, err := conn.Call(t.Context(), route, []byte(body)); err != nil || string(got) != body {
				t.Errorf("%d bytes: %d came, %v", size, len(got), err)
			}
		}
		conn.Close()
		conn.Close()
		if err := call(t, conn); !errors.Is(err, net.ErrClosed) {
			t.Errorf("behind Close: %v", err)
		}
	}
	if n := p.conns.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if _, err := c.Heartbeat(t.Context(), p.member(), friend.beat()); err != nil {
		t.Error(err)
	}
}

// Conns that are open at the same time share nothing, and of what they leave
// behind only some is kept.
func TestKeptConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, echoed)
	c := peer.NewClient(peer.ClientConfig{Key: friend.key, NodeID: friend.id})
	const many, kept = 7, 4
	open := func(n int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d connections are open", n), func() bool { return p.conns.open.Load() == n })
	}
	for round := range 2 {
		var conns []*peer.Conn
		for range many {
			conn := c.Dial(p.member())
			if err := call(t, conn); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		if n := p.conns.accepted.Load(); n != many+int64(round)*(many-kept) {
			t.Errorf("round %d: %d connections", round, n)
		}
		open(many)
		for _, conn := range conns {
			conn.Close()
		}
		open(kept)
	}
	late := c.Dial(p.member())
	if err := call(t, late); err != nil {
		t.Error(err)
	}
	c.Close()
	open(1)
	if err := call(t, late); err != nil {
		t.Errorf("a Conn behind the Close of its Client: %v", err)
	}
	late.Close()
	open(0)
}

// balancer hands each connection to the next of the replicas.
type balancer struct {
	net.Listener
	next atomic.Int64
	mu   sync.Mutex
	ways []net.Conn
	work sync.WaitGroup
}

func startBalancer(t testing.TB, replicas ...*plane) *balancer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{Listener: listener}
	b.work.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := new(net.Dialer).DialContext(t.Context(), "tcp", replicas[b.next.Add(1)%int64(len(replicas))].address)
			if err != nil {
				_ = from.Close()
				continue
			}
			b.join(from, to)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		b.cut()
		b.work.Wait()
	})
	return b
}

func (b *balancer) join(from, to net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ways = append(b.ways, from, to)
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		b.work.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
}

// cut closes all connections.
func (b *balancer) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, way := range b.ways {
		_ = way.Close()
	}
	b.ways = nil
}

// Two replicas of one node stand behind one address. What was begun with one is
// never continued with the other.
func TestConnStaysWithOneReplica(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	known := membersOf(self, friend)
	replica := func(name string) (*plane, *atomic.Int64) {
		calls := new(atomic.Int64)
		return startCalls(t, self, known, peer.Limits{}, func(context.Context, peer.Caller, []byte) ([]byte, error) {
			calls.Add(1)
			return []byte(name), nil
		}), calls
	}
	one, callsOfOne := replica("one")
	two, callsOfTwo := replica("two")
	b := startBalancer(t, one, two)
	c := clientOf(t, friend, 0)
	to := memberAt(self, b.Addr().String())
	answer := func(conn *peer.Conn) string {
		t.Helper()
		got, err := conn.Call(t.Context(), route, []byte("{}"))
		if err != nil {
			t.Error(err)
		}
		return string(got)
	}
	first, second := dialConn(t, c, to), dialConn(t, c, to)
	of, ofOther := answer(first), answer(second)
	if of == ofOther {
		t.Fatalf("both are with %q", of)
	}
	for range 5 {
		if answer(first) != of || answer(second) != ofOther {
			t.Error("a Conn went over to the other replica")
		}
	}
	before := callsOfOne.Load() + callsOfTwo.Load()
	b.cut()
	for range 3 {
		for _, conn := range []*peer.Conn{first, second} {
			if err := call(t, conn); !errors.Is(err, peer.ErrConnectionLost) {
				t.Errorf("behind the cut: %v", err)
			}
		}
	}
	if n := callsOfOne.Load() + callsOfTwo.Load(); n != before {
		t.Errorf("%d calls came through behind the cut", n-before)
	}
	first.Close()
	if got := answer(dialConn(t, c, to)); got == "" {
		t.Error("a new Conn has no answer")
	}
}

// What a member does to a connection between two calls and in a call.
func TestConnectionIsLost(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	for name, tc := range map[string]struct {
		status int
		header string
		want   string // of the first call
		calls  int64
	}{
		"closed behind the answer": {200, "Connection: close\r\nContent-Length: 2\r\n\r\n{}", "", 1},
		"closed in the answer":     {200, "Content-Length: 3\r\n\r\n{}", "EOF", 1},
		"too long an answer":       {200, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2<<20+1, strings.Repeat(" ", 2<<20+1)), "longer than 2097152 bytes", 1},
		"closed without an answer": {0, "", "EOF", 1},
	} {
		var calls atomic.Int64
		address := startOdd(t, self, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			raw, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer raw.Close()
			if tc.status != 0 {
				_, _ = fmt.Fprintf(raw, "HTTP/1.1 %d Odd\r\n%s", tc.status, tc.header)
			}
		})
		conn := dialConn(t, clientOf(t, friend, 0), memberAt(self, address))
		err := call(t, conn)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || errors.Is(err, peer.ErrConnectionLost)) {
			t.Errorf("%s: the first call: %v", name, err)
		}
		for range 2 {
			if err := call(t, conn); !errors.Is(err, peer.ErrConnectionLost) {
				t.Errorf("%s: another call: %v", name, err)
			}
		}
		if n := calls.Load(); n != tc.calls {
			t.Errorf("%s: %d calls came", name, n)
		}
	}
}

// A kept connection that turns out to be closed is no trouble for the first
// call of a Conn.
func TestMemberRestartsBetweenConns(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	known := membersOf(self, friend)
	c := clientOf(t, friend, 0)
	p := startCalls(t, self, known, peer.Limits{}, echoed)
	for range 5 {
		conn, begun := c.Dial(p.member()), c.Dial(p.member())
		if err := errors.Join(call(t, conn), call(t, begun)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := p.server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := newPlane(self, known, peer.Limits{}, nil, peer.Call{Route: route, MaxBody: maxBody, Answer: echoed})
		again.listen(t, p.address)
		p = again
		if err := call(t, begun); !errors.Is(err, peer.ErrConnectionLost) {
			t.Errorf("what was begun: %v", err)
		}
		begun.Close()
	}
}

// The first call of a Conn is sent again when a kept connection gives no answer
// to it, once; any other is not.
func TestFirstCallOverAKeptConnection(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	var calls atomic.Int64
	bodies := make(chan string, 10)
	address := startMute(t, self, func(number int64) bool { return number == 2 || number >= 4 }, &calls, bodies)
	c := clientOf(t, friend, 0)
	first := c.Dial(memberAt(self, address))
	if err := call(t, first); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := dialConn(t, c, memberAt(self, address))
	if err := call(t, second); err != nil || calls.Load() != 3 {
		t.Errorf("the first call: %v after %d", err, calls.Load())
	}
	if err := call(t, second); !errors.Is(err, peer.ErrConnectionLost) || calls.Load() != 4 {
		t.Errorf("the next call: %v after %d", err, calls.Load())
	}
	third := dialConn(t, c, memberAt(self, address))
	if err := call(t, third); err == nil || errors.Is(err, peer.ErrConnectionLost) || calls.Load() != 5 {
		t.Errorf("over a new connection: %v after %d", err, calls.Load())
	}
	close(bodies)
	for body := range bodies {
		if body != "{}" {
			t.Errorf("the body %q came", body)
		}
	}
}

// startMute closes the connection of those calls that it is mute for.
func startMute(t *testing.T, self node, mute func(number int64) bool, calls *atomic.Int64, bodies chan<- string) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{self.certificate(t, nil)}, ClientAuth: tls.RequireAnyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		if mute(calls.Add(1)) {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return listener.Addr().String()
}

// Every refusal comes back as what it was, and the Conn goes on.
func TestRefusalsComeBack(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	var refusal error
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, func(context.Context, peer.Caller, []byte) ([]byte, error) { return nil, refusal })
	conn := dialConn(t, clientOf(t, friend, 0), p.member())
	for _, code := range []string{
		repair.CodeMalformed, repair.CodeNotHolder, repair.CodeNoShare, repair.CodeOffers, repair.CodeSession, repair.CodeBusy,
	} {
		want := repair.RefusedError{Code: code, Text: "wörtlich & <so>: " + code}
		refusal = fmt.Errorf("unquoted: %w", &want)
		got, ok := errors.AsType[*repair.RefusedError](call(t, conn))
		if !ok || *got != want {
			t.Errorf("%s came back as %+v", code, got)
		}
	}
	for _, row := range api.ErrorTable {
		refusal = fmt.Errorf("unquoted: %w", row.Err)
		err := call(t, conn)
		if !errors.Is(err, row.Err) || errors.Is(err, peer.ErrConnectionLost) || strings.Contains(err.Error(), "unquoted") {
			t.Errorf("%s came back as %v", row.Code, err)
		}
	}
	if n := p.conns.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A member can put nothing into our log and onto our terminal.
func TestOddRefusals(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	const evil = `\u001b[2J\u202e\n\u0000`
	for name, tc := range map[string]struct {
		status     int
		body, want string // the text of the refusal, or none
	}{
		"a plain one":         {403, `{"error":"no","code":"busy"}`, "no"},
		"of a later guardian": {403, `{"error":"no","code":"new_code_2","more":[1]}`, "no"},
		"control characters":  {403, `{"error":"` + evil + `é","code":"busy"}`, "?[2J???é"},
		"very long":           {403, `{"error":"` + strings.Repeat("x", 1<<20) + `","code":"busy"}`, strings.Repeat("x", 200)},
		"cut in a letter":     {403, `{"error":"` + strings.Repeat("x", 199) + `é","code":"busy"}`, strings.Repeat("x", 199)},
		"invalid UTF-8":       {403, "{\"error\":\"a\xff\xfeb\",\"code\":\"busy\"}", "a\uFFFD\uFFFDb"},
		"without a text":      {403, `{"code":"busy"}`, "busy"},
		"an odd code":         {403, `{"error":"no","code":"` + evil + `"}`, ""},
		"a long code":         {403, `{"error":"no","code":"` + strings.Repeat("x", 33) + `"}`, ""},
		"without a code":      {403, `{"error":"` + evil + `"}`, ""},
		"no JSON":             {403, "\x1b[2J", ""},
		"another status":      {418, `{"error":"` + evil + `","code":"busy"}`, ""},
		"no content":          {204, "", ""},
		"a redirect":          {307, `{"error":"no","code":"busy"}`, ""},
	} {
		address := startOdd(t, self, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://"+self.id)
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		})
		c := peer.NewClient(peer.ClientConfig{Key: friend.key, NodeID: friend.id})
		conn := c.Dial(memberAt(self, address))
		err := call(t, conn)
		conn.Close()
		c.Close()
		refused, ok := errors.AsType[*repair.RefusedError](err)
		if ok != (tc.want != "") || ok && refused.Text != tc.want {
			t.Errorf("%s: %q", name, err)
		}
		if err == nil || len(err.Error()) > 300 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: %.500q", name, err)
		}
	}
	address := startOdd(t, self, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"no","code":"wrong_node"}`)
	})
	if err := call(t, dialConn(t, clientOf(t, friend, 0), memberAt(self, address))); !errors.Is(err, cluster.ErrWrongNode) {
		t.Errorf("wrong_node: %v", err)
	}
}

// A Conn is pinned as a heartbeat is, and tells nothing to others.
func TestConnErrors(t *testing.T) {
	t.Parallel()
	self, friend, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "stranger")
	known := membersOf(self, friend)
	p := startCalls(t, self, known, peer.Limits{CallsPerMinute: 2}, echoed)
	address, told := impostor(t, &tls.Config{Certificates: []tls.Certificate{stranger.certificate(t, nil)}, ClientAuth: tls.RequestClientCert})
	plain := p.member()
	plain.PeerURL = "http://" + p.address
	for _, tc := range []struct {
		name string
		as   node
		to   cluster.Member
		want error
	}{
		{"not admitted", stranger, p.member(), peer.ErrNotAdmitted},
		{"another key", friend, memberAt(node{"self", stranger.key}, p.address), peer.ErrWrongKey},
		{"another name", friend, memberAt(node{"other", self.key}, p.address), peer.ErrWrongKey},
		{"an impostor", friend, memberAt(self, address), peer.ErrWrongKey},
		{"without TLS", friend, plain, cluster.ErrInvalidMember},
		{"a good one", friend, p.member(), nil},
		{"another route", friend, p.member(), nil},
		{"over its rate", friend, p.member(), api.ErrRateLimited},
	} {
		if err := call(t, dialConn(t, clientOf(t, tc.as, 0), tc.to)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if n := told.Load(); n != 0 {
		t.Errorf("the impostor was told %d bytes", n)
	}
	_, err := dialConn(t, clientOf(t, friend, 0), p.member()).Call(t.Context(), repair.RouteSurvey, []byte("{}"))
	if !errors.Is(err, api.ErrNoRoute) {
		t.Errorf("a route that is not there: %v", err)
	}
}

// A Conn whose first call did not get as far as a connection may try again.
func TestConnTriesAgain(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	known := membersOf(self, friend)
	p := startCalls(t, self, known, peer.Limits{}, echoed)
	if err := p.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := dialConn(t, clientOf(t, friend, 0), p.member())
	if err := call(t, conn); err == nil || errors.Is(err, peer.ErrConnectionLost) {
		t.Errorf("nobody listens: %v", err)
	}
	again := newPlane(self, known, peer.Limits{}, nil, peer.Call{Route: route, MaxBody: maxBody, Answer: echoed})
	again.listen(t, p.address)
	if err := call(t, conn); err != nil {
		t.Error(err)
	}
}

// A call ends with its context, and takes the connection with it.
func TestConnCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	working := newGated()
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, working.answer)
	conn := dialConn(t, clientOf(t, friend, 0), p.member())
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the repair was given up")
	go func() {
		<-working.begun
		cancel(why)
	}()
	if _, err := conn.Call(ctx, route, []byte("{}")); !errors.Is(err, why) {
		t.Error(err)
	}
	if err := call(t, conn); !errors.Is(err, peer.ErrConnectionLost) {
		t.Errorf("the next call: %v", err)
	}
	eventually(t, "the connection is closed", func() bool { return p.conns.open.Load() == 0 })
}

// A member that accepts and says nothing is given up.
func TestConnectingIsBounded(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	address, _ := impostor(t, nil)
	began := time.Now()
	err := call(t, dialConn(t, clientOf(t, friend, 100*time.Millisecond), memberAt(self, address)))
	if err == nil || time.Since(began) > patience/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// A member with another URL or key is dialled anew, and what was kept of the old
// one is closed, at once or with the Conn that has it.
func TestConnOfAChangedMember(t *testing.T) {
	t.Parallel()
	self, friend, other := newNode(t, "self"), newNode(t, "friend"), newNode(t, "other")
	known := membersOf(self, friend)
	before, moved := startCalls(t, self, known, peer.Limits{}, echoed), startCalls(t, self, known, peer.Limits{}, echoed)
	c := clientOf(t, friend, 0)
	kept, used := c.Dial(before.member()), c.Dial(before.member())
	if err := errors.Join(call(t, kept), call(t, used)); err != nil {
		t.Fatal(err)
	}
	kept.Close()
	if err := call(t, dialConn(t, c, moved.member())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was kept is closed", func() bool { return before.conns.open.Load() == 1 })
	if err := call(t, used); err != nil {
		t.Errorf("the Conn to the old URL: %v", err)
	}
	used.Close()
	eventually(t, "what was used is closed", func() bool { return before.conns.open.Load() == 0 })
	rekeyed := moved.member()
	rekeyed.PublicKey = other.key.PublicKey()
	if err := call(t, dialConn(t, c, rekeyed)); !errors.Is(err, peer.ErrWrongKey) {
		t.Errorf("the old server under the new key: %v", err)
	}
}

// A removed member's Conn is lost, and a new one is told why.
func TestConnOfARemovedMember(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	known := membersOf(self, friend)
	p := startCalls(t, self, known, peer.Limits{}, echoed)
	c := clientOf(t, friend, 0)
	kept, used := c.Dial(p.member()), dialConn(t, c, p.member())
	if err := errors.Join(call(t, kept), call(t, used)); err != nil {
		t.Fatal(err)
	}
	kept.Close()
	known.set("friend", nil)
	if err := call(t, used); !errors.Is(err, peer.ErrConnectionLost) {
		t.Errorf("what was begun: %v", err)
	}
	for range 3 {
		if err := call(t, dialConn(t, c, p.member())); !errors.Is(err, peer.ErrNotAdmitted) {
			t.Errorf("a new one: %v", err)
		}
	}
}

// A relay with the node's key can stand in the node's place.
func TestCertificate(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	certificate, err := peer.Certificate(self.key, self.id)
	if err != nil {
		t.Fatal(err)
	}
	address, told := impostor(t, &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn := clientOf(t, friend, 0).Dial(memberAt(self, address))
	if _, err := conn.Call(ctx, route, []byte("{}")); err == nil {
		t.Error("an answer of a server that gives none")
	}
	conn.Close()
	eventually(t, "who shows it is told", func() bool { return told.Load() > 0 })
	p := start(t, friend, membersOf(self, friend), peer.Limits{}, nil)
	shown, err := dial(t, p.address, &certificate, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := answered(shown, request(self)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}

// BenchmarkConn is a Conn with one call, over a connection of its own and over
// one that was kept.
func BenchmarkConn(b *testing.B) {
	self, friend := newNode(b, "self"), newNode(b, "friend")
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%t", kept), func(b *testing.B) {
			p := startCalls(b, self, membersOf(self, friend), peer.Limits{CallsPerMinute: 1 << 30}, echoed)
			c := peer.NewClient(peer.ClientConfig{Key: friend.key, NodeID: friend.id})
			defer func() { c.Close() }()
			for b.Loop() {
				conn := c.Dial(p.member())
				if err := call(b, conn); err != nil {
					b.Fatal(err)
				}
				conn.Close()
				if !kept {
					c.Close()
					c = peer.NewClient(peer.ClientConfig{Key: friend.key, NodeID: friend.id})
				}
			}
		})
	}
}
