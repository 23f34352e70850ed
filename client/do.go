package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
// wherever the answer says.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       attemptTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
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
	var answer Answer
	status, data, err := g.exchange(ctx, method, route, body)
	if err == nil {
		err = decode(status, data, &answer)
	}
	if err != nil {
		return answer, &Error{Guardian: g.URL(), Status: status, Err: g.discreet(err)}
	}
	return answer, nil
}

// exchange returns the status and the body of the answer; the status is 0
// when there was no whole answer.
func (g *Guardian) exchange(ctx context.Context, method, route string, body any) (int, []byte, error) {
	request, err := g.newRequest(ctx, method, route, body)
	if err != nil {
		return 0, nil, err
	}
	response, err := g.http.Do(request)
	if err != nil {
		return 0, nil, transportError(ctx, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer: %w", transportError(ctx, err))
	}
	if len(data) > maxAnswer {
		return response.StatusCode, nil, fmt.Errorf("the answer is longer than %d bytes: is there a guardian behind this URL?", maxAnswer)
	}
	return response.StatusCode, data, nil
}

func (g *Guardian) newRequest(ctx context.Context, method, route string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, g.base.JoinPath(route).String(), content)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
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

func decode(status int, data []byte, answer any) error {
	if status == http.StatusOK {
		if err := json.Unmarshal(data, answer); err != nil {
			return errors.New("the answer is not a guardian's JSON: is there a guardian behind this URL?")
		}
		return nil
	}
	if status >= 300 && status < 400 {
		return fmt.Errorf("HTTP %d: redirects are not followed: give the URL of the guardian itself", status)
	}
	var failure api.ErrorResponse
	if json.Unmarshal(data, &failure) != nil || failure.Code == "" {
		return fmt.Errorf("HTTP %d without a guardian's error: is there a guardian behind this URL?", status)
	}
	return failure.Err()
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
