package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
)

// A certificate carries the node id and says that it is meant for TLS. Its
// dates protect little: whoever has the node key can sign any. So they are wide
// enough for clocks a day apart, and are checked all the same. A process makes
// a new certificate every day and shows it at its next handshake; an old one
// has six more days.
const (
	clockSlack = 24 * time.Hour
	lifetime   = 7 * 24 * time.Hour
	renewal    = 24 * time.Hour
)

// certificates makes those of one node, in memory. It is safe for concurrent
// use.
type certificates struct {
	key    *integrity.NodeKey
	nodeID string

	mu      sync.Mutex
	made    time.Time
	current *tls.Certificate
}

// get returns the certificate to show now.
func (c *certificates) get() (*tls.Certificate, error) { return c.at(time.Now()) }

func (c *certificates) at(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = now.Round(0) // by the clock that others see: the monotonic one does not go along when it is set
	if c.current != nil && !now.Before(c.made) && now.Before(c.made.Add(renewal)) {
		return c.current, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: c.nodeID},
		NotBefore:   now.Add(-clockSlack),
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of the node key: %w", err)
	}
	c.made, c.current = now, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}
	return c.current, nil
}

// Certificate returns what a node shows: a certificate that it signed itself,
// good for a week by clocks a day apart, with its key. It is for who terminates
// TLS in the node's place, which nobody without the key can. An error is that of
// the key.
func Certificate(key *integrity.NodeKey, nodeID string) (tls.Certificate, error) {
	made, err := (&certificates{key: key, nodeID: nodeID}).get()
	if err != nil {
		return tls.Certificate{}, err
	}
	return *made, nil
}

// claim is whom a certificate speaks for: true once the handshake has proved
// that who showed it has the key.
type claim struct {
	nodeID string
	key    ed25519.PublicKey
}

// errCertificate reports a certificate that no guardian makes. Errors that wrap
// it quote nothing of the certificate.
var errCertificate = errors.New("certificate refused")

// readClaim takes what the other side showed, in the only form that guardians
// show.
func readClaim(shown []*x509.Certificate, now time.Time) (claim, error) {
	if len(shown) != 1 {
		return claim{}, fmt.Errorf("%w: %d were shown, not one", errCertificate, len(shown))
	}
	certificate := shown[0]
	key, ok := certificate.PublicKey.(ed25519.PublicKey)
	subject := certificate.Subject
	switch {
	case !ok:
		return claim{}, fmt.Errorf("%w: its key is not Ed25519", errCertificate)
	case len(subject.Names) != 1 || !manifest.ValidNode(subject.CommonName):
		return claim{}, fmt.Errorf("%w: its subject is not a node id", errCertificate)
	case now.Before(certificate.NotBefore):
		return claim{}, fmt.Errorf("%w: it is valid from %s", errCertificate, certificate.NotBefore.UTC().Format(time.RFC3339))
	case now.After(certificate.NotAfter):
		return claim{}, fmt.Errorf("%w: it expired at %s", errCertificate, certificate.NotAfter.UTC().Format(time.RFC3339))
	case certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) != nil:
		return claim{}, fmt.Errorf("%w: it is not signed with its own key", errCertificate)
	}
	return claim{subject.CommonName, key}, nil
}
