package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"time"
)

// trust is the certificate of all client planes, and who trusts it.
type trust struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newTrust() (*trust, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	t := &trust{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, x509.NewCertPool()}
	t.roots.AddCert(parsed)
	return t, nil
}

func (t *trust) server(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.certificate}})
}

// client has no connections yet. Close its idle ones in the end.
func (t *trust) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: t.roots},
		MaxIdleConnsPerHost: sideBySide, MaxIdleConns: 0,
	}}
}
