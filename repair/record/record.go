// Package record says who holds which point of one dealing of a secret. The
// record of epoch 0 is the manifest that the owner signed; what is computed from
// a share toward a point goes to the key that the record has for it, and to no
// other.
//
// All functions are pure, safe for concurrent use, and leave their arguments as
// they were.
package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/manifest"
)

// ErrShare reports a share that is not the one the record has for its point. It
// tells points and lengths, never a byte of the share.
var ErrShare = errors.New("share is not the record's")

// Record is who holds which point of one generation of a slot.
type Record struct {
	// Hash is SHA-256 of the record as it is kept: the manifest, signature
	// included. It names the record in every message.
	Hash [sha256.Size]byte
	// Identity and Name are the slot's.
	Identity, Name string
	Version, Epoch uint64
	// Threshold is K, 2 to 255.
	Threshold int
	// Split names the dealing: 32 lower-case hex digits.
	Split string
	// ShareSize is that of every share in bytes, its point included.
	ShareSize int
	// Holders are in ascending order of X, Threshold to 255 of them. No two have
	// the same key; one whose key is nil was not known when the record was made,
	// and nothing is ever computed toward it.
	Holders []manifest.Holder
}

// OfManifest returns the record of epoch 0. Errors are those of
// [manifest.Parse].
func OfManifest(data []byte) (*Record, error) {
	m, err := manifest.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	return OfParsed(m, data), nil
}

// OfParsed is OfManifest for a manifest that was parsed from data.
func OfParsed(m *manifest.Manifest, data []byte) *Record {
	return &Record{
		Hash: sha256.Sum256(data), Identity: m.Identity, Name: m.Name, Version: m.Version,
		Threshold: m.Threshold, Split: m.Split, ShareSize: m.PayloadSize + 1, Holders: m.Holders,
	}
}

// At returns the holder of a point.
func (r *Record) At(x byte) (manifest.Holder, bool) {
	for _, h := range r.Holders {
		if h.X == x {
			return h, true
		}
	}
	return manifest.Holder{}, false
}

// Of returns the holder that has the key. Nobody has the nil key.
func (r *Record) Of(key ed25519.PublicKey) (manifest.Holder, bool) {
	for _, h := range r.Holders {
		if len(key) == ed25519.PublicKeySize && h.Key.Equal(key) {
			return h, true
		}
	}
	return manifest.Holder{}, false
}

// Check returns nil if share is the one that the record has for point x, else
// an error that wraps ErrShare. It compares hashes in constant time.
func (r *Record) Check(x byte, share []byte) error {
	holder, ok := r.At(x)
	if !ok || len(share) != r.ShareSize || share[0] != x {
		return fmt.Errorf("%w: %d bytes for point %d", ErrShare, len(share), x)
	}
	sum := sha256.Sum256(share)
	if subtle.ConstantTimeCompare(sum[:], holder.SHA256[:]) != 1 {
		return fmt.Errorf("%w: its hash is another at point %d", ErrShare, x)
	}
	return nil
}
