package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/vault-guardian/guardian/cluster"
)

// link is the way to one member, as long as key and URL are the same.
type link struct {
	url       string
	key       string
	transport *http.Transport
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
	made := &link{to.PeerURL, string(to.PublicKey), c.newTransport(to)}
	c.links.Add(to.NodeID, made)
	return made
}

func (c *Client) newTransport(to cluster.Member) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: c.timeout}).DialContext,
		TLSClientConfig:        clientTLS(c.own, claim{to.NodeID, bytes.Clone(to.PublicKey)}),
		TLSHandshakeTimeout:    c.timeout,
		ResponseHeaderTimeout:  c.timeout,
		IdleConnTimeout:        clientIdleTimeout,
		MaxConnsPerHost:        connectionsEach,
		MaxIdleConnsPerHost:    connectionsEach,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
	}
}

func (l *link) newRequest(ctx context.Context, route string, body any) (*http.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	target := strings.TrimSuffix(l.url, "/") + route
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	// Not sent, as it is empty: it lets net/http repeat the request when the
	// member has closed a connection that was kept.
	request.Header["X-Idempotency-Key"] = nil
	return request, nil
}
