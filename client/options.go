package client

import (
	"crypto/x509"

	"github.com/vault-guardian/guardian/envelope"
)

// Option says how guardians are spoken to.
type Option func(*options)

type options struct {
	root  *envelope.Root
	name  string
	roots *x509.CertPool
}

// WithRoot acts as the owner of root, whose Identity all calls are then about.
//
// Each call carries a proof of version 2, which names the guardian as dialled
// and what is pushed, so that no guardian can use it at another. A [Vault]
// seals what it pushes in an envelope and signs a manifest of the shares, and
// gives out only what its root opens.
//
// Without a root, or with nil, calls carry no proof but one that the caller has
// put there, and a Vault splits and rebuilds just the bytes it is given.
func WithRoot(root *envelope.Root) Option { return func(o *options) { o.root = root } }

// WithName makes push, pull, delete and history those of the secret of this
// name: each name of an identity is kept apart from the others, and from the
// one share under the identity alone. It needs a root. A name is 1 to 128 of
// A-Z a-z 0-9 _ -, with any other there is no guardian: api.ErrInvalidName. The
// name "" is none.
//
// A session that a named call needs is opened when there is none, and kept.
// Deletes name no version: whatever is current when one arrives is deleted,
// although it came between.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// WithRootCAs takes the certificate authorities of https guardians from roots,
// in place of the system's. Certificates are always verified.
func WithRootCAs(roots *x509.CertPool) Option { return func(o *options) { o.roots = roots } }
