package peer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/vault-guardian/guardian/cluster"
)

// link is the way to one member, as long as key and URL are the same.
type link struct {
	url       string
	key       string
	transport *http.Transport // of heartbeats
	dialer    *http.Transport // of Conns: it connects, and keeps nothing
	kept      *kept           // of Conns
}

// closeIdle closes what no call uses, and sees to it that the rest is closed
// behind the calls.
func (l *link) closeIdle() {
	l.transport.CloseIdleConnections()
	l.kept.close()
}

// linkTo returns the link to the member. One with another key or URL is
// replaced, and its connections close: at once, or behind the calls that use
// them.
func (c *Client) linkTo(to cluster.Member) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.links.Get(to.NodeID)
	if ok && known.url == to.PeerURL && known.key == string(to.PublicKey) {
		return known
	}
	c.links.Remove(to.NodeID)
	made := &link{to.PeerURL, string(to.PublicKey), c.newTransport(to), c.newTransport(to), new(kept)}
	// With a bound, net/http of Go 1.26 panics when a connection of
	// NewClientConn closes: it takes off the count what it never added.
	made.dialer.MaxConnsPerHost = 0
	c.links.Add(to.NodeID, made)
	return made
}

func (c *Client) newTransport(to cluster.Member) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: c.timeout}).DialContext,
		TLSClientConfig:        clientTLS(c.own, claim{to.NodeID, bytes.Clone(to.PublicKey)}),
		TLSHandshakeTimeout:    c.timeout,
		IdleConnTimeout:        clientIdleTimeout,
		MaxConnsPerHost:        connectionsEach,
		MaxIdleConnsPerHost:    connectionsEach,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
	}
}

// connect returns a connection that is the caller's to close.
func (l *link) connect(ctx context.Context) (*http.ClientConn, error) {
	target, err := url.Parse(l.url)
	if err != nil {
		return nil, fmt.Errorf("reading its URL: %w", err)
	}
	return l.dialer.NewClientConn(ctx, target.Scheme, target.Host)
}

func (l *link) newRequest(ctx context.Context, route string, body []byte) (*http.Request, error) {
	target := strings.TrimSuffix(l.url, "/") + route
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}
