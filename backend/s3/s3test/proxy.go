package s3test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxIdleConns is for the largest crowd of clients that a test lets loose.
const maxIdleConns = 1024

// Proxy stands between clients and a [Server], and is one itself: with an
// endpoint of its own, and the same accounts. What it lets through it leaves
// as it is, signature and answer, and sends to the server once. It is safe for
// concurrent use.
type Proxy struct {
	Server

	behind    Server
	listener  *httptest.Server
	transport *http.Transport
	signer    *v4.Signer
	inject    atomic.Pointer[func(Request) Fault]

	mu       sync.Mutex
	requests []*Request
}

// NewProxy starts a proxy to a server. It lets all through at first, and ends
// with the test.
func NewProxy(t testing.TB, to *Server) *Proxy {
	t.Helper()
	p := &Proxy{
		Server: *to,
		behind: *to,
		transport: &http.Transport{
			MaxIdleConnsPerHost: maxIdleConns,
			IdleConnTimeout:     10 * time.Second, // sooner than a server would close one that is about to be used
			DisableCompression:  true,
		},
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), // as S3 wants it
	}
	p.listener = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		p.Disconnect()
		p.listener.Close()
		p.transport.CloseIdleConnections()
	})
	p.Endpoint = p.listener.URL
	return p
}

// Inject has f decide about every request from now on; nil lets all through.
// f is called once for each, when all of it has arrived, from many goroutines,
// and may block. The request it gets has neither End nor Status yet.
func (p *Proxy) Inject(f func(Request) Fault) {
	if f == nil {
		p.inject.Store(nil)
		return
	}
	p.inject.Store(&f)
}

// Disconnect closes the connections of all clients, whatever goes on there. They
// may open others at once.
func (p *Proxy) Disconnect() { p.listener.CloseClientConnections() }

// Requests returns the requests since the start or the last Reset, those under
// way included, in the order they arrived. A request is there with its End and
// Status before its client gets the answer.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := make([]Request, len(p.requests))
	for i, r := range p.requests {
		requests[i] = *r
	}
	return requests
}

// Reset forgets the requests so far, and counts from 1 again. Without it they
// all stay in memory.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	request, entry := p.begin(r)
	var answer *answer
	if body, err := io.ReadAll(r.Body); err == nil {
		answer = p.answer(r, body, p.fault(request))
	}
	p.end(entry, answer)
	if answer == nil {
		panic(http.ErrAbortHandler) // which closes the connection
	}
	answer.send(w)
}

func (p *Proxy) fault(request Request) Fault {
	if inject := p.inject.Load(); inject != nil {
		return (*inject)(request)
	}
	return Fault{}
}

// begin puts the request on record. Its second result is for end.
func (p *Proxy) begin(r *http.Request) (Request, *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := newRequest(r)
	request.N = len(p.requests) + 1
	entry := request
	p.requests = append(p.requests, &entry)
	return request, &entry
}

func (p *Proxy) end(entry *Request, a *answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry.End = time.Now()
	if a != nil {
		entry.Status = a.status
	}
}

// answer returns what the client is to see; nil is a closed connection, which
// is also what it gets if the server does not answer.
func (p *Proxy) answer(r *http.Request, body []byte, fault Fault) (got *answer) {
	if !fault.AfterApply && !sleep(r.Context(), fault.Delay) {
		return nil
	}
	if fault.forwards() {
		var err error
		if got, err = p.forward(r, body, fault.StripConditions); err != nil {
			return nil
		}
	}
	if fault.AfterApply && !sleep(r.Context(), fault.Delay) {
		return nil
	}
	return fault.spoil(got)
}

// sleep waits for d, and reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// forward carries the request out, even if the client goes away meanwhile:
// what is on the wire arrives.
func (p *Proxy) forward(r *http.Request, body []byte, strip bool) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
	defer cancel()
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "http", strings.TrimPrefix(p.behind.Endpoint, "http://")
	// A body that cannot be read again keeps the transport from sending a
	// write twice when a connection breaks.
	out.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	if strip {
		if err := p.stripConditions(out); err != nil {
			return nil, err
		}
	}
	response, err := p.transport.RoundTrip(out)
	if err != nil {
		return nil, fmt.Errorf("forwarding: %w", err)
	}
	defer response.Body.Close()
	return newAnswer(response)
}

// stripConditions takes the conditions out of r. They are part of what the
// client signed, so r is signed anew, unless it had none or no signature.
func (p *Proxy) stripConditions(r *http.Request) error {
	signed := len(r.Header)
	r.Header.Del("If-Match")
	r.Header.Del("If-None-Match")
	if len(r.Header) == signed || r.Header.Get("Authorization") == "" {
		return nil
	}
	keys := aws.Credentials{AccessKeyID: p.behind.AccessKey, SecretAccessKey: p.behind.SecretKey}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	err := p.signer.SignHTTP(r.Context(), keys, r, payload, "s3", p.behind.Region, time.Now())
	if err != nil {
		return fmt.Errorf("signing anew: %w", err)
	}
	return nil
}
