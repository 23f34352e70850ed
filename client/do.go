package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vault-guardian/guardian/api"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 20
	// maxErrorText bounds what is repeated of a guardian's error text.
	maxErrorText = 200

	dialTimeout     = 3 * time.Second
	tlsTimeout      = 5 * time.Second
	responseTimeout = 10 * time.Second
	attemptTimeout  = 30 * time.Second
)

// newHTTPClient never follows a redirect: it would carry token and share to
// wherever the answer says. Without roots it trusts the system's.
func newHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    tlsTimeout,
			ResponseHeaderTimeout:  responseTimeout,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
	}
}

// do is the mirror of the server's handlers: one JSON request, one JSON
// answer, and an error of package api when the answer is not a success.
func do[Answer any](ctx context.Context, g *Guardian, method, route string, body any) (Answer, error) {
	return send[Answer](ctx, g, call{method: method, route: route, body: body})
}

// call is one request.
type call struct {
	method, route string
	query         string
	header        http.Header
	body          any // nil for none
}

// send is do for a call that says more than method, route and body.
func send[Answer any](ctx context.Context, g *Guardian, c call) (Answer, error) {
	var answer Answer
	got, err := g.exchange(ctx, c)
	if err == nil {
		err = got.decode(&answer)
	}
	if err != nil {
		return answer, &Error{Guardian: g.URL(), Status: got.status, Err: g.discreet(err)}
	}
	return answer, nil
}

// reply is a whole answer; its status is 0 when there was none.
type reply struct {
	status     int
	retryAfter time.Duration
	body       []byte
}

func (g *Guardian) exchange(ctx context.Context, c call) (reply, error) {
	request, err := g.newRequest(ctx, c)
	if err != nil {
		return reply{}, err
	}
	response, err := g.http.Do(request)
	if err != nil {
		return reply{}, transportError(ctx, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", transportError(ctx, err))
	}
	if len(data) > maxAnswer {
		return reply{status: response.StatusCode}, fmt.Errorf("the answer is longer than %d bytes: is there a guardian behind this URL?", maxAnswer)
	}
	return reply{response.StatusCode, retryAfter(response.Header), data}, nil
}

// retryAfter is what the header (RFC 9110 section 10.2.3) says in seconds, 0
// for none or a date, which would want our clocks to agree.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func (g *Guardian) newRequest(ctx context.Context, c call) (*http.Request, error) {
	var content io.Reader
	if c.body != nil {
		data, err := json.Marshal(c.body)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(data)
	}
	target := g.base.JoinPath(c.route)
	target.RawQuery = c.query
	request, err := http.NewRequestWithContext(ctx, c.method, target.String(), content)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	maps.Copy(request.Header, c.header)
	request.Header.Set("Accept", "application/json")
	if c.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if g.token != "" {
		request.Header.Set("Authorization", "Bearer "+g.token)
	}
	return request, nil
}

// transportError prefers the reason for which the call was given up. Of what
// net/http says it passes on the causes known to be its own words: of an
// answer that is not HTTP it quotes parts, in which a server can hide our
// token.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if failure, ok := errors.AsType[net.Error](err); ok {
		return failure
	}
	if failure, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failure
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errNotHTTP
}

func (r reply) decode(answer any) error {
	if r.status == http.StatusOK {
		if err := json.Unmarshal(r.body, answer); err != nil {
			return errors.New("the answer is not a guardian's JSON: is there a guardian behind this URL?")
		}
		return nil
	}
	if r.status >= 300 && r.status < 400 {
		return fmt.Errorf("HTTP %d: redirects are not followed: give the URL of the guardian itself", r.status)
	}
	var failure api.ErrorResponse
	if json.Unmarshal(r.body, &failure) != nil || failure.Code == "" {
		return fmt.Errorf("HTTP %d without a guardian's error: is there a guardian behind this URL?", r.status)
	}
	err := failure.Err()
	if errors.Is(err, api.ErrRateLimited) {
		return &api.RateLimitedError{RetryAfter: r.retryAfter}
	}
	return err
}

// discreet replaces a guardian's own words by those of this build when they
// could carry a token, a share or terminal control characters.
func (g *Guardian) discreet(err error) error {
	if field, ok := errors.AsType[*api.FieldError](err); ok && !g.harmless(field.Text) {
		return field.Sentinel
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && !g.repeatable(err.Error()) {
		return &tls.CertificateVerificationError{Err: errCertificate}
	}
	if !g.repeatable(err.Error()) {
		return errNotHTTP
	}
	return err
}

// repeatable reports a text without our token and control characters.
func (g *Guardian) repeatable(text string) bool {
	return (g.token == "" || !strings.Contains(text, g.token)) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (g *Guardian) harmless(text string) bool {
	if len(text) > maxErrorText || !g.repeatable(text) {
		return false
	}
	for word := range strings.FieldsSeq(text) {
		if len(word) > api.IdentityDigits {
			return false
		}
	}
	return true
}
