package client

import (
	"crypto/ed25519"
	"crypto/x509"
)

// Option says how guardians are spoken to.
type Option func(*options)

type options struct {
	key   ed25519.PrivateKey
	name  string
	roots *x509.CertPool
}

// WithKey proves with the owner's key that each push, pull, delete, history and
// list is allowed: it carries a proof of version 2, which names the guardian as
// dialled and what is pushed, so that no guardian can use it at another. The
// identity of all calls is then auth.IdentityOf the public key. Without a key,
// or with nil, calls carry no proof but one that the caller has put there.
func WithKey(key ed25519.PrivateKey) Option { return func(o *options) { o.key = key } }

// WithName makes push, pull, delete and history those of the secret of this
// name: each name of an identity is kept apart from the others, and from the
// one share under the identity alone. It needs a key. A name is 1 to 128 of
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
