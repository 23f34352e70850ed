package peer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	defaultCallTimeout = 5 * time.Second
	clientIdleTimeout  = time.Minute
	maxAnswerHeader    = 8 << 10
	// connectionsEach bounds the connections to one member.
	connectionsEach = 8
)

// ErrNotAdmitted reports a member that broke off the handshake: it does not
// know us by our key, or finds our certificate expired by its clock.
var ErrNotAdmitted = errors.New("it does not let us in")

// ClientConfig is what a Client needs.
type ClientConfig struct {
	// Key and NodeID are those of this node.
	Key    *integrity.NodeKey
	NodeID string
	// Timeout bounds a heartbeat with connecting, and the connecting of a Conn;
	// 0 is 5 s.
	Timeout time.Duration
}

// Client calls other guardians. It sends nothing before who answers has proved
// to hold the key of the member, follows no redirect, and uses no proxy,
// whatever HTTPS_PROXY says: that is meant for the way out to AWS, and
// guardians reach each other directly. It is safe for concurrent use.
type Client struct {
	own     *certificates
	timeout time.Duration

	mu    sync.Mutex
	links *simplelru.LRU[string, *link] // by node id
}

var _ cluster.Caller = (*Client)(nil)

// NewClient returns a Client without connections. Close it in the end.
func NewClient(cfg ClientConfig) *Client {
	closeLink := func(_ string, old *link) { old.closeIdle() }
	links, _ := simplelru.NewLRU(cluster.MaxIndex, closeLink) // refuses a size of 0 only
	return &Client{
		own:     &certificates{key: cfg.Key, nodeID: cfg.NodeID},
		timeout: cmp.Or(cfg.Timeout, defaultCallTimeout),
		links:   links,
	}
}

// Close closes the connections that nobody uses; those of calls that go on close
// behind them, and those of a Conn with it. No call may follow it.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links.Purge()
}

// Heartbeat implements cluster.Caller. The key of the member is the pin: the
// caller must have it from the roster or from its own storage. Errors:
// ErrWrongKey, ErrNotAdmitted, cluster.ErrWrongNode for an answer that names
// another node (or ours, when the member thinks so of our beat), those of
// package api that the member answers with, and those of the network.
func (c *Client) Heartbeat(ctx context.Context, to cluster.Member, beat cluster.Heartbeat) (cluster.Heartbeat, error) {
	answer, err := c.heartbeat(ctx, to, beat)
	if err != nil {
		return cluster.Heartbeat{}, fmt.Errorf("sending a heartbeat to %q: %w", to.NodeID, err)
	}
	return answer, nil
}

func (c *Client) heartbeat(ctx context.Context, to cluster.Member, beat cluster.Heartbeat) (cluster.Heartbeat, error) {
	if err := to.Check(); err != nil { // or an http:// URL would go without TLS
		return cluster.Heartbeat{}, err
	}
	body, err := json.Marshal(beat)
	if err != nil {
		return cluster.Heartbeat{}, fmt.Errorf("encoding the request: %w", err)
	}
	data, err := c.post(ctx, to, RouteHeartbeat, body, maxHeartbeat)
	if err != nil {
		return cluster.Heartbeat{}, err
	}
	return decodeHeartbeat(to.NodeID, data)
}

// post is the mirror of serve: one JSON request, and the body of one answer of
// at most limit bytes.
func (c *Client) post(ctx context.Context, to cluster.Member, route string, body []byte, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errSilent)
	defer cancel()
	link := c.linkTo(to)
	request, err := link.newRequest(ctx, route, body)
	if err != nil {
		return nil, err
	}
	// Not sent, as it is empty: it lets net/http repeat the request when the
	// member has closed a connection that was kept.
	request.Header["X-Idempotency-Key"] = nil
	// A RoundTripper, unlike an http.Client, follows no redirect.
	response, err := link.transport.RoundTrip(request)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	data, err := readAnswer(ctx, response, limit)
	if err == nil && response.StatusCode != http.StatusOK {
		err = failureOf(response.StatusCode, data)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// readAnswer reads the body to its end, and closes it; one that is longer than
// limit bytes takes its connection with it.
func readAnswer(ctx context.Context, response *http.Response, limit int64) ([]byte, error) {
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("its answer is longer than %d bytes", limit)
	}
	return data, nil
}

var errSilent = errors.New("it did not answer in time")

// transportError prefers the reason for which the call was given up.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if alert := alertIn(err); alert != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmitted, alert)
	}
	return err
}

// alertIn is the alert of TLS by which the other side closed, or nil.
func alertIn(err error) error {
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "remote error" {
		return failed.Err
	}
	return nil
}

// failureOf says in our own words what a member answered.
func failureOf(status int, data []byte) error {
	var failure api.ErrorResponse
	if json.Unmarshal(data, &failure) != nil || failure.Code == "" {
		return fmt.Errorf("it answered HTTP %d", status)
	}
	if failure.Code == codeWrongNode {
		return cluster.ErrWrongNode
	}
	return fmt.Errorf("it answered HTTP %d: %w", status, api.SentinelOf(failure.Code))
}
