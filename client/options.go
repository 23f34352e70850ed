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
	// indices are nil for positions.
	indices []int
	// members are nil for whatever guardians say of themselves.
	members []Member
	policy  Policy
}

func optionsOf(with []Option) (o options) {
	for _, option := range with {
		option(&o)
	}
	return o
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

// WithIndices gives the guardian at each position of a [Vault] the share at
// x = its index, which a registry or roster has given it for life, in place of
// its position. There is one for each guardian, 1 to 255, none twice; with any
// others there is no vault. A [Guardian] takes no notice, and nil is none.
func WithIndices(indices []int) Option { return func(o *options) { o.indices = indices } }

// WithMembers makes a [Vault] that of these members of a cluster: its URLs are
// theirs, in the same order. The share at x = its index goes to each of them, as
// with [WithIndices], and manifests name its node id and key: no guardian is
// asked for them, so none can name others. There is one for each guardian, with
// a node id, an index and a key that no other has, at that guardian's URL or "";
// with any others, or other indices from [WithIndices], there is no vault. A
// [Guardian] takes no notice, and nil is none.
func WithMembers(members []Member) Option { return func(o *options) { o.members = members } }

// WithPolicy says what guardians may do with what a [Vault] stores. It needs a
// root, whose owner signs it: with a policy that says anything, and none, there is
// no vault. What is already stored keeps the policy that it has. A [Guardian]
// takes no notice.
func WithPolicy(policy Policy) Option { return func(o *options) { o.policy = policy } }
