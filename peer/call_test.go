package peer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

const (
	route   = repair.RouteOffer
	maxBody = 1 << 20
	asJSON  = "application/json"
)

// answerer is what stands behind a route.
type answerer = func(ctx context.Context, from peer.Caller, body []byte) ([]byte, error)

// echoed is the body that came.
func echoed(_ context.Context, _ peer.Caller, body []byte) ([]byte, error) { return body, nil }

// startCalls serves one call besides the heartbeat.
func startCalls(t testing.TB, self node, known *members, limits peer.Limits, answer answerer) *plane {
	t.Helper()
	p := newPlane(self, known, limits, nil, peer.Call{Route: route, MaxBody: maxBody, Answer: answer})
	p.listen(t, "127.0.0.1:0")
	return p
}

// gated answers a call when it is let, and says when one has begun.
type gated struct {
	begun chan context.Context
	let   chan struct{}
}

func newGated() gated { return gated{make(chan context.Context, 100), make(chan struct{})} }

func (g gated) answer(ctx context.Context, _ peer.Caller, _ []byte) ([]byte, error) {
	g.begun <- ctx
	select {
	case <-g.let:
		return []byte("{}"), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	var ran atomic.Int64
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, func(_ context.Context, _ peer.Caller, body []byte) ([]byte, error) {
		ran.Add(1)
		return fmt.Appendf(nil, `{"code":"%d"}`, len(body)), nil
	})
	full := strings.Repeat(" ", maxBody)
	chunked := "POST " + route + " HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"oversized":           {post(route, asJSON, full+" "), 413, "body_too_large"},
		"oversized in chunks": {fmt.Sprintf("%s%x\r\n%s\r\n0\r\n\r\n", chunked, maxBody+1, full+" "), 413, "body_too_large"},
		"cut off in chunks":   {chunked + "zz\r\n", 400, "invalid_json"},
		"a form":              {post(route, "application/x-www-form-urlencoded", "{}"), 415, "unsupported_media_type"},
		"of no type":          {post(route, "", "{}"), 415, "unsupported_media_type"},
		"a route without one": {post(repair.RouteContribute, asJSON, "{}"), 404, "no_route"},
		"another spelling":    {post(strings.ToUpper(route), asJSON, "{}"), 404, "no_route"},
		"another method":      {strings.Replace(post(route, asJSON, "{}"), "POST", "GET", 1), 405, "method_not_allowed"},
	} {
		status, code, _, err := connect(t, p, friend).send(t, tc.text)
		if status != tc.status || code != tc.code || err != nil {
			t.Errorf("%s: %d %s, %v", name, status, code, err)
		}
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("the handler ran %d times", n)
	}
	for _, body := range []string{"", "{}", full} {
		status, code, _, err := connect(t, p, friend).send(t, post(route, asJSON, body))
		if status != 200 || code != fmt.Sprint(len(body)) || err != nil {
			t.Errorf("%d bytes: %d %s, %v", len(body), status, code, err)
		}
	}
}

// Whoever is no member gets nothing on any route.
func TestCallsOfStrangers(t *testing.T) {
	t.Parallel()
	self, friend, gone, stranger := newNode(t, "self"), newNode(t, "friend"), newNode(t, "gone"), newNode(t, "stranger")
	var routes []string
	for _, r := range repair.Routes() {
		routes = append(routes, r.Path)
	}
	var ran atomic.Int64
	var calls []peer.Call
	for _, r := range routes {
		calls = append(calls, peer.Call{Route: r, MaxBody: maxBody, Answer: func(context.Context, peer.Caller, []byte) ([]byte, error) {
			ran.Add(1)
			return []byte("{}"), nil
		}})
	}
	known := membersOf(self, friend, gone)
	p := newPlane(self, known, peer.Limits{}, nil, calls...)
	p.listen(t, "127.0.0.1:0")
	for _, r := range routes {
		kept := connect(t, p, gone)
		if status, _, _, err := kept.send(t, request(gone)); status != 200 {
			t.Fatal(status, err)
		}
		known.set("gone", nil)
		if got := answered(kept.conn, post(r, asJSON, "{}")); got != "" {
			t.Errorf("%s: a removed member got %q", r, got)
		}
		known.set("gone", gone.key.PublicKey())
		for name, as := range map[string]node{"a stranger": stranger, "another key": {"friend", stranger.key}, "another name": {"self", friend.key}} {
			certificate := as.certificate(t, nil)
			if conn, err := dial(t, p.address, &certificate, nil); err == nil {
				if got := answered(conn, post(r, asJSON, "{}")); got != "" {
					t.Errorf("%s: %s got %q", r, name, got)
				}
			}
		}
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("a handler ran %d times", n)
	}
	for _, r := range routes {
		if got := answered(connect(t, p, friend).conn, post(r, asJSON, "{}")); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s: a member got %q", r, got)
		}
	}
}

func TestErrorsOfCalls(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	var answer func() ([]byte, error)
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, func(context.Context, peer.Caller, []byte) ([]byte, error) { return answer() })
	failing := func(err error) func() ([]byte, error) { return func() ([]byte, error) { return []byte("unsent"), err } }
	for name, tc := range map[string]struct {
		answer func() ([]byte, error)
		status int
		text   string
		logged bool
	}{
		"a refusal":             {failing(&repair.RefusedError{Code: repair.CodeNoShare, Text: "none of <that> record"}), 403, `{"error":"none of <that> record","code":"no_share"}`, false},
		"a refusal, wrapped":    {failing(fmt.Errorf("unquoted: %w", &repair.RefusedError{Code: repair.CodeBusy, Text: "later"})), 403, `{"error":"later","code":"busy"}`, false},
		"an error with its row": {failing(fmt.Errorf("unquoted: %w", api.ErrStorageUnavailable)), 503, `{"error":"` + api.ErrStorageUnavailable.Error() + `","code":"storage_unavailable"}`, false},
		"an error of its own":   {failing(errors.New("unquoted")), 500, `{"error":"internal server error","code":"internal"}`, true},
		"a panic":               {func() ([]byte, error) { panic("unquoted") }, 500, `{"error":"internal server error","code":"internal"}`, true},
		"too long an answer":    {func() ([]byte, error) { return make([]byte, 2<<20+1), nil }, 500, `{"error":"internal server error","code":"internal"}`, true},
		"no member after all":   {failing(cluster.ErrNotMember), 0, "", false},
	} {
		answer = tc.answer
		p.log.text.Reset()
		got := answered(connect(t, p, friend).conn, post(route, asJSON, "{}"))
		header, body, _ := strings.Cut(got, "\r\n\r\n")
		if tc.status == 0 {
			if got != "" {
				t.Errorf("%s: got %q", name, got)
			}
			continue
		}
		if !strings.HasPrefix(header, fmt.Sprintf("HTTP/1.1 %d ", tc.status)) || !sameJSON(body, tc.text) {
			t.Errorf("%s: got %q", name, got)
		}
		if logged := strings.Contains(p.log.String(), "level=ERROR"); logged != tc.logged {
			t.Errorf("%s: the log is\n%s", name, p.log)
		}
	}
}

func sameJSON(a, b string) bool {
	var left, right any
	if json.Unmarshal([]byte(a), &left) != nil || json.Unmarshal([]byte(b), &right) != nil {
		return false
	}
	return fmt.Sprint(left) == fmt.Sprint(right)
}

// Heartbeats and calls have a budget each.
func TestBudgetOfCalls(t *testing.T) {
	t.Parallel()
	self, eager, friend := newNode(t, "self"), newNode(t, "eager"), newNode(t, "friend")
	p := startCalls(t, self, membersOf(self, eager, friend), peer.Limits{RequestsPerMinute: 2, CallsPerMinute: 3}, echoed)
	call := post(route, asJSON, "{}")
	odd := strings.Replace(call, "POST", "PUT", 1)
	for i, step := range []struct {
		as     node
		text   string
		status int
	}{
		{eager, call, 200},
		{eager, odd, 405},
		{eager, call, 200},
		{eager, call, 429},
		{eager, odd, 429},
		{eager, request(eager), 200},
		{eager, post("/peer/v1/nothing", asJSON, "{}"), 404},
		{eager, request(eager), 429},
		{eager, post("/peer/v1/nothing", asJSON, "{}"), 429},
		{friend, call, 200},
		{friend, request(friend), 200},
	} {
		status, code, header, err := connect(t, p, step.as).send(t, step.text)
		if status != step.status || err != nil || status == 429 && (code != "rate_limited" || header.Get("Retry-After") == "") {
			t.Errorf("step %d: %d %s %v, %v", i, status, code, header, err)
		}
	}
}

// A member with all the calls at once that it may have keeps nobody out, and
// has its heartbeats still.
func TestCallsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	self, greedy, friend := newNode(t, "self"), newNode(t, "greedy"), newNode(t, "friend")
	working := newGated()
	p := startCalls(t, self, membersOf(self, greedy, friend), peer.Limits{CallsAtOnce: 3}, func(ctx context.Context, from peer.Caller, body []byte) ([]byte, error) {
		if len(body) == 0 { // asks whether there is a place, and is not to take one for long
			return []byte("{}"), nil
		}
		return working.answer(ctx, from, body)
	})
	call := post(route, asJSON, "{}")
	answers := make(chan string)
	for range 2 {
		w := connect(t, p, greedy)
		go func() { answers <- answered(w.conn, call) }()
		<-working.begun
	}
	slow := connect(t, p, greedy) // has a place from the first byte of its body on
	_, _ = io.WriteString(slow.conn, call[:len(call)-1])
	eventually(t, "there is no place", func() bool {
		status, code, header, err := connect(t, p, greedy).send(t, post(route, asJSON, ""))
		return status == 429 && code == "rate_limited" && header.Get("Retry-After") == "1" && err == nil
	})
	if status, _, _, err := connect(t, p, greedy).send(t, request(greedy)); status != 200 {
		t.Errorf("its heartbeat: %d, %v", status, err)
	}
	other := connect(t, p, friend)
	go func() { answers <- answered(other.conn, call) }()
	<-working.begun
	close(working.let)
	for range 3 {
		if got := <-answers; !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("got %q", got)
		}
	}
	if status, _, _, err := slow.send(t, call[len(call)-1:]); status != 200 {
		t.Errorf("the slow one: %d, %v", status, err)
	}
	eventually(t, "all places are free", func() bool {
		status, _, _, _ := connect(t, p, greedy).send(t, call)
		return status == 200
	})
}

// Who sends a body slowly, or takes an answer slowly, loses its place.
func TestSlowCallersLoseTheirPlace(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	for name, sent := range map[string]func(call string) string{
		"the body":   func(call string) string { return call[:len(call)-1] },
		"the answer": func(call string) string { return call },
	} {
		p := newPlane(self, membersOf(self, friend), peer.Limits{Timeout: 4 * time.Second, CallsAtOnce: 1}, nil, peer.Call{
			Route: route, MaxBody: maxBody, Answer: func(_ context.Context, _ peer.Caller, body []byte) ([]byte, error) {
				if string(body) == `"briefly"` { // by others, who are not to take longer than a place may be had
					return body, nil
				}
				return make([]byte, 2<<20), nil
			},
		})
		p.listen(t, "127.0.0.1:0")
		p.conns.narrow.Store(true)
		slow, call := connect(t, p, friend), post(route, asJSON, "{}")
		_ = slow.conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
		_, _ = io.WriteString(slow.conn, sent(call))
		for _, status := range []string{"429", "200"} {
			eventually(t, name+": another call is answered with "+status, func() bool {
				return strings.HasPrefix(answered(connect(t, p, friend).conn, post(route, asJSON, `"briefly"`)), "HTTP/1.1 "+status+" ")
			})
		}
		_ = slow.conn.NetConn().Close()
	}
}

// The deadlines for reading and writing do not run while a call is worked on,
// and hold again for the next request.
func TestLongCall(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	const timeout = time.Second // the handshake has it too
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{Timeout: timeout}, func(ctx context.Context, _ peer.Caller, body []byte) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(4 * timeout):
			return body, nil
		}
	})
	w := connect(t, p, friend)
	for range 2 {
		if status, _, _, err := w.send(t, post(route, asJSON, "{}")); status != 200 || err != nil {
			t.Fatalf("%d, %v\n%s", status, err, p.log)
		}
	}
	_, _ = io.WriteString(w.conn, post(route, asJSON, "{}")[:20])
	eventually(t, "a slow header ends it", func() bool { return p.conns.open.Load() == 0 })
}

func TestCallIsGivenUp(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	working := newGated()
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{CallTimeout: 50 * time.Millisecond, CallsAtOnce: 1}, working.answer)
	for range 2 { // the second finds the place of the first
		status, code, _, err := connect(t, p, friend).send(t, post(route, asJSON, "{}"))
		if status != 500 || code != "internal" || err != nil || !strings.Contains(p.log.String(), "deadline exceeded") {
			t.Errorf("%d %s, %v\n%s", status, code, err, p.log)
		}
	}
}

// The work for a caller that went away ends, and is no error to be logged.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	working := newGated()
	p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, working.answer)
	w := connect(t, p, friend)
	_, _ = io.WriteString(w.conn, post(route, asJSON, "{}"))
	ctx := <-working.begun
	_ = w.conn.NetConn().Close()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatal("its context goes on")
	}
	eventually(t, "the connection is closed", func() bool { return p.conns.open.Load() == 0 })
	if log := p.log.String(); log != "" {
		t.Errorf("the log is\n%s", log)
	}
}

// Shutdown lets a call finish, and ends its context when it waits no longer.
func TestShutdownWhileACallRuns(t *testing.T) {
	t.Parallel()
	self, friend := newNode(t, "self"), newNode(t, "friend")
	for name, patient := range map[string]bool{"patient": true, "impatient": false} {
		working := newGated()
		p := startCalls(t, self, membersOf(self, friend), peer.Limits{}, working.answer)
		conn := clientOf(t, friend, 0).Dial(p.member())
		answers := make(chan error)
		go func() {
			_, err := conn.Call(t.Context(), route, []byte("{}"))
			conn.Close()
			answers <- err
		}()
		running := <-working.begun
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		stopped := make(chan error)
		go func() { stopped <- p.server.Shutdown(ctx) }()
		if patient {
			close(working.let)
		} else {
			cancel()
			<-running.Done()
		}
		if err := <-answers; (err == nil) != patient {
			t.Errorf("%s: the call: %v", name, err)
		}
		if err := <-stopped; (err == nil) != patient {
			t.Errorf("%s: shutdown: %v", name, err)
		}
		cancel()
	}
}

// The answer is what was answered, byte for byte, whatever else goes on.
func TestCallsOfManyAtOnce(t *testing.T) {
	t.Parallel()
	self := newNode(t, "self")
	known := membersOf(self)
	p := startCalls(t, self, known, peer.Limits{}, func(_ context.Context, from peer.Caller, body []byte) ([]byte, error) {
		key, ok := known.KeyOf(from.NodeID)
		if !ok || !key.Equal(from.Key) {
			return nil, fmt.Errorf("%s with the key of another", from.NodeID)
		}
		return append([]byte(from.NodeID+" "), body...), nil
	})
	done := make(chan error)
	const callers, conns, calls = 6, 3, 20
	for i := range callers {
		friend := newNode(t, fmt.Sprintf("friend-%d", i))
		known.set(friend.id, friend.key.PublicKey())
		c := clientOf(t, friend, patience)
		for j := range conns {
			go func() {
				var failed error
				for k := range calls {
					conn := c.Dial(p.member())
					for l := range 3 {
						body := bytes.Repeat(fmt.Appendf(nil, "%d %d %d.", j, k, l), 500*l)
						got, err := conn.Call(t.Context(), route, body)
						if err != nil || string(got) != friend.id+" "+string(body) {
							failed = errors.Join(failed, fmt.Errorf("%d bytes: %w", len(got), err))
						}
					}
					conn.Close()
				}
				done <- failed
			}()
		}
	}
	for range callers * conns {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := p.conns.accepted.Load(); n > callers*conns {
		t.Errorf("%d connections", n)
	}
}
