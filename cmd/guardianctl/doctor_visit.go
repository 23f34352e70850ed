package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// maxReadiness bounds what is read of a guardian's readiness, in bytes.
const maxReadiness = 4 << 10

// visited is one guardian: what it says, and what its answer itself tells.
type visited struct {
	view client.GuardianView
	// unready is why it is not to be sent requests, "" if it is.
	unready string
	// skew is by how much its clock is ahead of ours for certain, less than 0
	// where it is behind.
	skew time.Duration
	// certificate is that of its chain which ends first, nil without TLS.
	certificate *x509.Certificate
	// untrusted is why its certificate was refused.
	untrusted error
}

func (v visited) answered() bool { return v.view.Err == nil }

// visit asks all guardians at once.
func visit(ctx context.Context, vault *client.Vault, roots *x509.CertPool) []visited {
	visits := make([]visited, len(vault.Guardians()))
	var all sync.WaitGroup
	for i, g := range vault.Guardians() {
		all.Go(func() { visits[i] = readiness(ctx, g.URL(), roots) })
	}
	views := vault.Views(ctx)
	all.Wait()
	for i := range visits {
		visits[i].view = views[i]
	}
	return visits
}

// readiness asks one guardian whether it is ready. That it does not answer at all,
// its view tells.
func readiness(ctx context.Context, url string, roots *x509.CertPool) (v visited) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+api.RouteReadyz, nil)
	if err != nil {
		return v
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	began := time.Now()
	response, err := transport.RoundTrip(request)
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		v.untrusted = refused.Err
	}
	if err != nil {
		return v
	}
	defer response.Body.Close()
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		v.skew = skewOf(date, began, time.Now())
	}
	if response.TLS != nil {
		v.certificate = firstToEnd(response.TLS.VerifiedChains)
	}
	if response.StatusCode != http.StatusOK {
		var said api.ErrorResponse
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxReadiness))
		_ = json.Unmarshal(body, &said) // what is no answer gives no reason
		v.unready = response.Status
		if said.Reason != "" {
			v.unready = plainUpTo(said.Reason, 200)
		}
	}
	return v
}

// skewOf is by how much a clock that showed date, in whole seconds, at some time
// between two of ours is ahead of ours at least.
func skewOf(date, from, until time.Time) time.Duration {
	switch {
	case date.After(until):
		return date.Sub(until)
	case date.Add(time.Second).Before(from):
		return date.Add(time.Second).Sub(from)
	}
	return 0
}

// firstToEnd is the certificate that ends first in the chain that lasts longest.
func firstToEnd(chains [][]*x509.Certificate) (longest *x509.Certificate) {
	for _, chain := range chains {
		first := chain[0]
		for _, c := range chain {
			if c.NotAfter.Before(first.NotAfter) {
				first = c
			}
		}
		if longest == nil || first.NotAfter.After(longest.NotAfter) {
			longest = first
		}
	}
	return longest
}
