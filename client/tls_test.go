package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// startTLS serves with a certificate of nobody's authority; a version of 0 is
// any.
func startTLS(t *testing.T, version uint16, answer http.HandlerFunc) (server *httptest.Server, roots *x509.CertPool) {
	t.Helper()
	server = httptest.NewUnstartedServer(answer)
	server.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	server, roots := startTLS(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.Version != tls.VersionTLS13 {
			t.Errorf("spoke TLS %x", r.TLS.Version)
		}
		_, _ = w.Write([]byte(`{"status":"stored"}`))
	})
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		url  string
		with []client.Option
		ok   bool
	}{
		"its authority":        {server.URL, []client.Option{client.WithRootCAs(roots)}, true},
		"of another host":      {byName, []client.Option{client.WithRootCAs(roots)}, false},
		"no authority":         {server.URL, []client.Option{client.WithRootCAs(x509.NewCertPool())}, false},
		"that of the system's": {server.URL, nil, false},
	} {
		guardian, err := client.New(test.url, "", test.with...)
		if err != nil {
			t.Fatal(err)
		}
		err = guardian.Push(t.Context(), api.PushRequest{})
		if _, refused := errors.AsType[*tls.CertificateVerificationError](err); test.ok && err != nil || refused == test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		server, roots := startTLS(t, version, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"status":"stored"}`))
		})
		guardian, err := client.New(server.URL, "", client.WithRootCAs(roots))
		if err != nil {
			t.Fatal(err)
		}
		if err := guardian.Push(t.Context(), api.PushRequest{}); (err == nil) != ok {
			t.Errorf("TLS %x: %v", version, err)
		}
	}
}
