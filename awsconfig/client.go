package awsconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	longestAttempt  = 10 * time.Second
	shortestAttempt = 250 * time.Millisecond
	// maxAnswer bounds an answer in bytes; what is longer is cut off, and the
	// caller sees that by the length announced or by what it parses.
	maxAnswer = 5 << 20
)

// ErrSlow reports an attempt that was given up so that another one fits into
// the caller's deadline. What was asked for may have been done.
var ErrSlow = errors.New("no whole answer in time")

// boundedClient makes one attempt of one request: never in the clear over a
// network, and bounded in time and memory. The answer is read whole, so that a
// connection that breaks in the middle of it is an error of the attempt, which
// the SDK's retries cover.
type boundedClient struct {
	next      aws.HTTPClient
	allowHTTP bool
}

func (c *boundedClient) Do(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !c.allowHTTP && !nearby(req.URL) {
		return nil, plainHTTPError{req.URL.Host}
	}
	ctx, cancel := context.WithTimeout(req.Context(), attemptTime(req.Context()))
	defer cancel()
	resp, err := c.next.Do(req.WithContext(ctx))
	if err == nil {
		err = readWhole(resp)
	}
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("%w: %s %s", ErrSlow, req.Method, req.URL.Host)
	}
	return nil, err
}

// attemptTime is half of what is left to the caller, so that there is always
// time for another attempt.
func attemptTime(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return longestAttempt
	}
	return min(max(time.Until(deadline)/2, shortestAttempt), longestAttempt)
}

func readWhole(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// nearby reports a host that a request reaches without leaving the machine or
// the private network that knows it by a single label.
func nearby(u *url.URL) bool {
	host := u.Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")
}

// SingleLabel reports a host name without a dot, such as localhost or a
// service of a compose file. No name below it can be expected to resolve.
func SingleLabel(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil && !strings.Contains(u.Hostname(), ".")
}

// plainHTTPError refuses to send credentials and data in the clear.
type plainHTTPError struct{ host string }

func (e plainHTTPError) Error() string {
	return fmt.Sprintf("plain http to %s is refused: credentials and data would cross the network in the clear", e.host)
}

// RetryableError tells the SDK that trying again changes nothing.
func (plainHTTPError) RetryableError() bool { return false }
