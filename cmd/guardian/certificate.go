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
	for _, pair := range []pairOfFiles{c.clientTLS(), c.adminTLS()} {
		bad.require(pair.certVariable, pair.cert != "" || pair.key == "", "needed with "+pair.keyVariable)
		bad.require(pair.keyVariable, pair.key != "" || pair.cert == "", "needed with "+pair.certVariable)
	}
}

// pairOfFiles are a certificate and its key, and the variables that name them.
type pairOfFiles struct{ cert, key, certVariable, keyVariable string }

func (c *Config) clientTLS() pairOfFiles {
	return pairOfFiles{c.TLSCertFile, c.TLSKeyFile, "GUARDIAN_TLS_CERT_FILE", "GUARDIAN_TLS_KEY_FILE"}
}

func (c *Config) adminTLS() pairOfFiles {
	return pairOfFiles{c.AdminTLSCertFile, c.AdminTLSKeyFile, "GUARDIAN_ADMIN_TLS_CERT_FILE", "GUARDIAN_ADMIN_TLS_KEY_FILE"}
}

// scheme is that of the URLs of the client plane.
func (c *Config) scheme() string {
	if c.TLSCertFile != "" {
		return "https"
	}
	return "http"
}

// certificate is what a plane shows: the newest pair in the two files
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
func openCertificate(from pairOfFiles, log *slog.Logger) (*certificate, error) {
	if from.cert == "" {
		return nil, nil
	}
	c := &certificate{certFile: from.cert, keyFile: from.key, log: log}
	if err := c.reload(); err != nil {
		return nil, &exitError{exitConfig, err, "make " + from.certVariable + " a certificate (with its chain) in PEM, and " + from.keyVariable + " its key"}
	}
	warnIfReadable("TLS key file", c.keyFile, log)
	return c, nil
}

// listener makes connections to inner speak TLS; those of no certificate stay as
// they are.
func (c *certificate) listener(inner net.Listener) net.Listener {
	if c == nil {
		return inner
	}
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
