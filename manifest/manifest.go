// Package manifest is what an owner signs about one version of a secret: how
// it was split, the hash of the payload and of every share, which guardian was
// given which, and what guardians may do with it by themselves. With it anyone
// can tell a right share from a wrong one, and nobody can read anything.
//
// The encoding is in docs/FORMATS.md. It is canonical: the fields of a manifest
// have one encoding and every byte of it is signed, with Ed25519 (RFC 8032), in
// a form that is no message of any other signature of that key. Only the owner
// can make a second valid signature of the same fields.
//
// All functions are pure, safe for concurrent use, leave their arguments as
// they were and keep none of them; a Cache alone remembers.
package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Limits of a manifest.
const (
	// MaxSize bounds the encoding, in bytes. 255 holders with the longest node
	// ids take about half of it.
	MaxSize = 64 << 10
	// MaxPayloadSize bounds the payload, in bytes; a share is one byte longer.
	MaxPayloadSize = 512<<10 - 1
)

// What a manifest, a share or a payload is refused for. Errors that wrap these
// tell fields, points and lengths, never a byte of a share or payload.
var (
	// ErrInvalid reports bytes that encode no manifest, a field out of bounds,
	// or a key that is not the identity's.
	ErrInvalid = errors.New("invalid manifest")
	// ErrSignature reports a manifest that the owner it names has not signed.
	ErrSignature = errors.New("manifest not signed by its owner")
	// ErrShare reports a share that is none of the manifest's.
	ErrShare = errors.New("share is not the manifest's")
	// ErrPayload reports a payload that is not the manifest's.
	ErrPayload = errors.New("payload is not the manifest's")
)

// Manifest is what the owner of an identity says about one version.
type Manifest struct {
	// Identity is the hex of SHA-256(Owner), in lower case.
	Identity string
	// Name is that of a named secret, 1 to 128 of [A-Za-z0-9_-], or "" for the
	// one share kept under the identity alone.
	Name    string
	Version uint64
	// Threshold is K, 2 to 255.
	Threshold int
	// Split names the run of the sharing polynomial: 32 lower-case hex digits.
	Split string
	// PayloadSize and PayloadSHA256 are of what was split, so they hold for
	// whatever shares it is redistributed to. The size is 1 to MaxPayloadSize.
	PayloadSize   int
	PayloadSHA256 [sha256.Size]byte
	// Holders are in ascending order of X, Threshold to 255 of them.
	Holders []Holder
	Policy  Policy
	// Owner is the key whose hash is Identity.
	Owner ed25519.PublicKey
}

// Holder is one share and who was to have it.
type Holder struct {
	// X is the point of the share, 1 to 255.
	X byte
	// Node is the id of a guardian, 1 to 63 of [a-z0-9-], and Key its node key;
	// "" and nil where not known when the manifest was made. No two holders
	// have the same key.
	Node string
	Key  ed25519.PublicKey
	// SHA256 is of the whole share, [x][y...].
	SHA256 [sha256.Size]byte
}

// Policy is what the owner lets guardians do without being asked.
type Policy struct {
	// Refresh allows new shares of the same payload.
	Refresh bool
	// MinThreshold is the least K of a redistribution, 2 to 255; MaxHolders
	// the most N, MinThreshold to 255.
	MinThreshold, MaxHolders int
	// Admission is the key that signs who may become a holder; nil lets nobody.
	Admission ed25519.PublicKey
}

// Sign returns the manifest, encoded and signed: at most MaxSize bytes, the
// same for the same fields and key. An Owner of nil is taken from the key.
// Error: ErrInvalid.
func (m Manifest) Sign(owner ed25519.PrivateKey) ([]byte, error) {
	if len(owner) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: the key has %d bytes", ErrInvalid, len(owner))
	}
	public := owner.Public().(ed25519.PublicKey)
	if m.Owner != nil && !public.Equal(m.Owner) || m.Identity != identityOf(public) {
		return nil, fmt.Errorf("%w: the key is not the identity's", ErrInvalid)
	}
	m.Owner = public
	if err := m.check(); err != nil {
		return nil, err
	}
	body := m.encode()
	return append(body, ed25519.Sign(owner, body)...), nil
}

// Parse returns the manifest if it is well-formed, within bounds and signed by
// the owner that it names. Whose it is, which name and which version is for the
// caller to compare: every valid manifest passes. Errors: ErrInvalid,
// ErrSignature.
func Parse(data []byte) (*Manifest, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrInvalid, MaxSize)
	}
	if len(data) < ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: it is cut off", ErrInvalid)
	}
	body, signature := data[:len(data)-ed25519.SignatureSize], data[len(data)-ed25519.SignatureSize:]
	m, err := decode(body)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if !ed25519.Verify(m.Owner, body, signature) {
		return nil, ErrSignature
	}
	return m, nil
}

func identityOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}
