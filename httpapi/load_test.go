package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// stuck blocks the storage calls on one identity until it is released.
type stuck struct {
	identity string
	entered  chan struct{}
	release  chan struct{}
	once     sync.Once
}

func newStuck(t *testing.T, identity string) *stuck {
	s := &stuck{identity: identity, entered: make(chan struct{}, 100), release: make(chan struct{})}
	t.Cleanup(s.free)
	return s
}

func (s *stuck) inject(call backendtest.Call) backendtest.Fault {
	if call.Op == backendtest.OpGet && strings.Contains(call.Key, s.identity) {
		s.entered <- struct{}{}
		<-s.release
	}
	return backendtest.None
}

func (s *stuck) free() { s.once.Do(func() { close(s.release) }) }

func TestOverload(t *testing.T) {
	held := newStuck(t, id)
	p := start(t, held.inject, withMaxRequests(2))
	var calls sync.WaitGroup
	answers := make(chan answer, 2)
	for range 2 {
		calls.Go(func() { answers <- p.post(t, pullRoute, pullBody(id)) })
	}
	<-held.entered
	<-held.entered
	for route, body := range map[string]string{pushRoute: goodPush, pullRoute: pullBody(identity("b"))} {
		got := p.post(t, route, body)
		if got.status != 503 || got.failure(t).Code != "overloaded" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s with all slots taken: %d %s", route, got.status, got.body)
		}
	}
	for _, open := range []string{api.RouteHealthz, api.RouteReadyz, api.RouteV1Health, api.RouteStatus} {
		if got := p.do(t, http.MethodGet, open, "", nil); got.status != 200 {
			t.Errorf("%s is gated: %d", open, got.status)
		}
	}
	held.free()
	calls.Wait()
	for range 2 {
		if got := <-answers; got.status != 404 {
			t.Errorf("a call that had a slot got %d %s", got.status, got.body)
		}
	}
	p.want(t, pushRoute, pushBody(identity("b"), testShare, "1"), 200, `{"status":"stored"}`)
}

func dial(t *testing.T, address, send string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Silent connections, half headers and half bodies, use up no slot, even of
// very few.
func TestSlowClientsDisturbNobody(t *testing.T) {
	p := start(t, nil, withMaxRequests(2))
	for range 150 {
		dial(t, p.address, "")
		dial(t, p.address, "POST "+pushRoute+" HTTP/1.1\r\nHost: x\r\nX-Slow")
		dial(t, p.address, "POST "+pushRoute+" HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"identity\":\"")
	}
	for i := range 20 {
		p.want(t, pushRoute, pushBody(id, testShare, fmt.Sprint(i)), 200, `{"status":"stored"}`)
		if got := p.post(t, pullRoute, pullBody(id)); got.status != 200 {
			t.Errorf("pull among slow clients: %d %s", got.status, got.body)
		}
	}
}

// A body beyond the limit is refused before it was sent.
func TestHugeBodyDisturbsNobody(t *testing.T) {
	p := start(t, nil)
	const size = 2 << 20
	declared := dial(t, p.address, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", pushRoute, size))
	requireStatus(t, declared, http.StatusRequestEntityTooLarge)

	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for v := range 10 {
				p.want(t, pushRoute, pushBody(identity(fmt.Sprint(i)), testShare, fmt.Sprint(v)), 200, `{"status":"stored"}`)
			}
		})
	}
	undeclared := dial(t, p.address, "POST "+pushRoute+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	// Read meanwhile: the server does not wait long for a client that only sends.
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		requireStatus(t, undeclared, http.StatusRequestEntityTooLarge)
	}()
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10))
	for range size / (64 << 10) {
		if _, err := io.WriteString(undeclared, chunk); err != nil {
			break // the server has had enough
		}
	}
	<-refused
	clients.Wait()
}

func requireStatus(t *testing.T, conn net.Conn, status int) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Errorf("got %s, want %d", response.Status, status)
	}
}

// The token is looked at before the body: without one, no body is waited for.
func TestTokenComesBeforeTheBody(t *testing.T) {
	p := start(t, nil, withTokens(t, map[string]string{"default": token}))
	conn := dial(t, p.address, "POST "+pushRoute+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
	requireStatus(t, conn, http.StatusUnauthorized)
}

func TestBodyThatEndsEarly(t *testing.T) {
	p := start(t, nil)
	conn := dial(t, p.address, "POST "+pullRoute+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	requireStatus(t, conn, http.StatusBadRequest)
	if !strings.Contains(p.log.String(), "connection error: ") {
		t.Errorf("not in the log:\n%s", p.log)
	}
}

// The storage has 4 s: a call ends before existing clients give up, and what
// it waited for sees that.
func TestStorageDeadline(t *testing.T) {
	ends := make(chan time.Time, 1)
	p := newPlane(t)
	p.store.Backend = deadlineSpy{p.store.Backend, ends}
	request := newRequest(t, pullRoute, pullBody(id))
	before := time.Now()
	serveDirectly(p, request)
	after := time.Now()
	end := <-ends
	if end.Before(before.Add(4*time.Second)) || end.After(after.Add(4*time.Second)) {
		t.Errorf("the storage had %v to %v", end.Sub(after), end.Sub(before))
	}
}

// A call whose client is gone is not carried on.
func TestClientGone(t *testing.T) {
	p := newPlane(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := serveDirectly(p, newRequest(t, pushRoute, goodPush).WithContext(ctx))
	if got.status != 503 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
