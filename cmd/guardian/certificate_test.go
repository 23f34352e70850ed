package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newCertificate makes a self-signed certificate for 127.0.0.1 and its key.
func newCertificate() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "guardian"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

type pair struct{ certificate, key []byte }

func newPair(t *testing.T) pair {
	t.Helper()
	certificate, key, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return pair{certificate, key}
}

func (p pair) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string][]byte{"live.pem": p.certificate, "live.key": p.key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shows reports whether the server at an address shows this certificate.
func (p pair) shows(t *testing.T, address string) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	block, _ := pem.Decode(p.certificate)
	return bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, block.Bytes)
}

// Files that are replaced while the guardian serves are noticed without a
// signal; a pair that does not fit together is said to be broken, once, and not
// used.
func TestCertificateIsReplacedWhileServing(t *testing.T) {
	first, second, third := newPair(t), newPair(t), newPair(t)
	dir := t.TempDir()
	first.write(t, dir)
	p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_TLS_CERT_FILE=live.pem", "GUARDIAN_TLS_KEY_FILE=live.key"),
		"--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if !first.shows(t, p.address) {
		t.Error("it shows another certificate than the configured one")
	}

	second.write(t, dir)
	eventually(t, "the second certificate", func() bool { return second.shows(t, p.address) })

	const complaint = "the new TLS certificate is not usable"
	pair{third.certificate, first.key}.write(t, dir)
	before := strings.Count(p.stderr.String(), complaint) // the second's files were replaced one by one
	eventually(t, "a complaint", func() bool {
		if !second.shows(t, p.address) {
			t.Fatal("it does not keep the last good certificate")
		}
		return strings.Count(p.stderr.String(), complaint) > before
	})

	third.write(t, dir)
	eventually(t, "the third certificate", func() bool { return third.shows(t, p.address) })
	if !strings.Contains(p.stderr.String(), "TLS certificate replaced") {
		t.Errorf("that is not logged:\n%s", p.stderr)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	served := newPair(t)
	dir := t.TempDir()
	served.write(t, dir)
	p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_TLS_CERT_FILE=live.pem", "GUARDIAN_TLS_KEY_FILE=live.key"),
		"--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	conn, err := tls.Dial("tcp", p.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		_ = conn.Close()
		t.Error("it speaks TLS 1.2")
	}
	if !served.shows(t, p.address) {
		t.Error("it does not speak TLS 1.3")
	}
}
