package peer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/repair"
)

const (
	// callTimeout bounds one call of a Conn for callers with more patience. It
	// is longer than a Server with the default limits takes.
	callTimeout = time.Minute
	// maxRefusal bounds the text of a refusal, in bytes.
	maxRefusal = 200
)

// ErrConnectionLost reports that the connection of a Conn broke, and with it all
// that was begun on it: another connection may lead to another replica, which
// knows nothing of it. Whoever wants to begin anew dials anew.
var ErrConnectionLost = errors.New("the connection is lost, and what was begun on it")

// Conn makes calls to one replica of one member, all over one connection. It is
// for one goroutine.
type Conn struct {
	member  string
	link    *link
	invalid error // of the member

	conn   *http.ClientConn // nil before the first call and behind Close
	begun  bool             // a call went over conn
	closed bool
}

var _ repair.Conn = (*Conn)(nil)

// Dial returns a Conn to the member, whose key is the pin as it is for
// Heartbeat. It does not wait: the first call connects, or takes a connection
// that another Conn gave back. Close it in the end.
func (c *Client) Dial(to cluster.Member) *Conn {
	conn := &Conn{member: to.NodeID, invalid: to.Check()}
	if conn.invalid == nil { // else an http:// URL would go without TLS
		conn.link = c.linkTo(to)
	}
	return conn
}

// Close gives the connection back for Conns to come. No call may follow it.
func (c *Conn) Close() {
	if c.conn != nil {
		c.link.kept.put(c.conn)
	}
	c.conn, c.closed = nil, true
}

// Call posts body, which is JSON, and returns the answer, of at most 2 MiB. It
// takes a minute at most. The first call of a Conn may reach the member twice:
// a connection that was kept may turn out to be closed. No other call is ever
// repeated. Errors: a *repair.RefusedError with a text that is printable and
// short whatever the member sent, ErrConnectionLost, and those of Heartbeat.
// After a refusal the Conn goes on.
func (c *Conn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	answer, err := c.call(ctx, route, body)
	if err != nil {
		return nil, fmt.Errorf("calling %q: %w", c.member, err)
	}
	return answer, nil
}

func (c *Conn) call(ctx context.Context, route string, body []byte) ([]byte, error) {
	switch {
	case c.invalid != nil:
		return nil, c.invalid
	case c.closed:
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errSilent)
	defer cancel()
	request, err := c.link.newRequest(ctx, route, body)
	if err != nil {
		return nil, err
	}
	first := !c.begun
	status, data, err := c.exchange(ctx, request)
	switch {
	case err != nil && first:
		return nil, err
	case err != nil: // whatever it was took the connection with it
		return nil, fmt.Errorf("%w: %w", ErrConnectionLost, err)
	case status != http.StatusOK:
		return nil, refusalOf(status, data)
	}
	return data, nil
}

func (c *Conn) exchange(ctx context.Context, request *http.Request) (status int, data []byte, err error) {
	response, err := c.send(ctx, request)
	if err != nil {
		return 0, nil, transportError(ctx, c.causeOf(err))
	}
	data, err = readAnswer(ctx, response, maxAnswer)
	return response.StatusCode, data, err
}

// causeOf prefers the alert by which the member closed the connection: writing
// can fail before it is read.
func (c *Conn) causeOf(err error) error {
	if c.conn != nil && alertIn(c.conn.Err()) != nil {
		return c.conn.Err()
	}
	return err
}

// send connects for the first call, and sends that again when the connection was
// one that was kept, and is no more.
func (c *Conn) send(ctx context.Context, request *http.Request) (*http.Response, error) {
	if c.begun {
		return c.conn.RoundTrip(request)
	}
	if kept := c.link.kept.take(); kept != nil {
		response, err := c.begin(kept, request)
		if err == nil || ctx.Err() != nil {
			return response, err
		}
		c.conn, c.begun = nil, false
		_ = kept.Close()
		request.Body, _ = request.GetBody() // of a bytes.Reader: cannot fail
	}
	conn, err := c.link.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.begin(conn, request)
}

// begin makes conn the connection of this Conn. A RoundTripper, unlike an
// http.Client, follows no redirect, and one of a single connection repeats
// nothing.
func (c *Conn) begin(conn *http.ClientConn, request *http.Request) (*http.Response, error) {
	c.conn, c.begun = conn, true
	return conn.RoundTrip(request)
}

// codeForm is what a code looks like; newer guardians may have more of them.
var codeForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// refusalOf is failureOf for calls.
func refusalOf(status int, data []byte) error {
	var refusal api.ErrorResponse
	if status != http.StatusForbidden || json.Unmarshal(data, &refusal) != nil ||
		refusal.Code == codeWrongNode || !codeForm.MatchString(refusal.Code) {
		return failureOf(status, data)
	}
	return &repair.RefusedError{Code: refusal.Code, Text: cmp.Or(printable(refusal.Error), refusal.Code)}
}

// printable is the beginning of a text of the other side, fit for a log and a
// terminal.
func printable(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxRefusal)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
