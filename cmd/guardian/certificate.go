package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lookInterval is how old what is known of the files may be at a handshake.
const lookInterval = time.Second

func (c *Config) checkTLS(bad *problems) {
	bad.require("GUARDIAN_TLS_CERT_FILE", c.TLSCertFile != "" || c.TLSKeyFile == "", "needed with GUARDIAN_TLS_KEY_FILE")
	bad.require("GUARDIAN_TLS_KEY_FILE", c.TLSKeyFile != "" || c.TLSCertFile == "", "needed with GUARDIAN_TLS_CERT_FILE")
}

// scheme is that of the URLs of the client plane.
func (c *Config) scheme() string {
	if c.TLSCertFile != "" {
		return "https"
	}
	return "http"
}

// certificate is what the client plane shows: the newest pair in the two files
// that was good. While it serves, files that were replaced are noticed at the
// next handshake. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	looked  time.Time
	problem string // what was logged last, "" once the pair was good
}

// openCertificate returns nil where TLS is not configured.
func openCertificate(cfg *Config, log *slog.Logger) (*certificate, error) {
	if cfg.TLSCertFile == "" {
		return nil, nil
	}
	c := &certificate{certFile: cfg.TLSCertFile, keyFile: cfg.TLSKeyFile, log: log}
	if err := c.reload(); err != nil {
		return nil, &exitError{exitConfig, err, "make GUARDIAN_TLS_CERT_FILE a certificate (with its chain) in PEM, and GUARDIAN_TLS_KEY_FILE its key"}
	}
	warnIfReadable("TLS key file", c.keyFile, log)
	return c, nil
}

// listener makes connections to inner speak TLS.
func (c *certificate) listener(inner net.Listener) net.Listener {
	return tls.NewListener(inner, &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.get,
	})
}

// get never fails and hardly waits: of many handshakes at once, one looks.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if time.Since(c.looked) >= lookInterval {
			c.look()
		}
	}
	return c.current.Load(), nil
}

func (c *certificate) look() {
	changed, err := c.load()
	switch {
	case err != nil && err.Error() != c.problem:
		c.log.Error("the new TLS certificate is not usable, keeping the last good one", "error", err)
		c.problem = err.Error()
	case err == nil && changed:
		c.log.Info("TLS certificate replaced", "expires", c.expiry())
	}
	if err == nil {
		c.problem = ""
	}
}

// reload looks now. On an error the last good pair stays.
func (c *certificate) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.load()
	return err
}

func (c *certificate) load() (changed bool, err error) {
	c.looked = time.Now()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return false, fmt.Errorf("loading TLS certificate: %w", err)
	}
	if before := c.current.Load(); before != nil && slices.EqualFunc(pair.Certificate, before.Certificate, bytes.Equal) {
		return false, nil
	}
	c.current.Store(&pair)
	return true, nil
}

// expiry is when the certificate in use ends.
func (c *certificate) expiry() time.Time { return c.current.Load().Leaf.NotAfter }
