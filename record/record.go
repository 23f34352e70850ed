package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/vault-guardian/guardian/manifest"
)

// Record is who holds which point of one generation of a slot. It is not to be
// changed.
type Record struct {
	// Hash names the record in every message: SHA-256 of the manifest, signature
	// included, at epoch 0, and of the body after that.
	Hash [sha256.Size]byte
	// Identity and Name are the slot's.
	Identity, Name string
	// Epoch is 0 to MaxEpochs.
	Version, Epoch uint64
	// Threshold is K, 2 to 255.
	Threshold int
	// Split names the dealing: 32 lower-case hex digits.
	Split string
	// ShareSize is that of every share in bytes, its point included.
	ShareSize int
	// Holders are in ascending order of X, Threshold to 255 of them. No two have
	// the same key; one whose key is nil was not known when the manifest was
	// made, and nothing is ever computed toward it. SHA256 is zero where no
	// certificate says it, which at epoch 0 is nowhere.
	Holders []manifest.Holder
	// Base is the hash of the record before, and Lineage stands for all before
	// it. Both are zero at epoch 0.
	Base, Lineage [sha256.Size]byte
	// Seed is that of the session which made the record, by its certificate or
	// draft; zero at epoch 0.
	Seed [sha256.Size]byte
	// Manifest is the owner's, whatever the epoch.
	Manifest *manifest.Manifest

	// ancestors are the hashes of all earlier records, that of epoch 0 first.
	ancestors [][sha256.Size]byte
	// line is the earlier records that the chain shows, that of epoch 0 first.
	// Each vouches for the next, and the last for this one.
	line []*Record
	// voters are the keys of those who agreed to this record.
	voters []ed25519.PublicKey
}

// OfParsed returns the record of epoch 0, of a manifest that was parsed from
// data.
func OfParsed(m *manifest.Manifest, data []byte) *Record {
	return &Record{
		Hash: sha256.Sum256(data), Identity: m.Identity, Name: m.Name, Version: m.Version,
		Threshold: m.Threshold, Split: m.Split, ShareSize: m.PayloadSize + 1, Holders: m.Holders,
		Manifest: m,
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

// Check returns nil if share is the one that the record has for point x, and
// ErrNoHash if it has the right form but the record knows no hash for it. Any
// other error wraps ErrShare. It compares hashes in constant time.
func (r *Record) Check(x byte, share []byte) error {
	holder, ok := r.At(x)
	if !ok || len(share) != r.ShareSize || share[0] != x {
		return fmt.Errorf("%w: %d bytes for point %d", ErrShare, len(share), x)
	}
	if holder.SHA256 == [sha256.Size]byte{} {
		return fmt.Errorf("%w: %d", ErrNoHash, x)
	}
	sum := sha256.Sum256(share)
	if subtle.ConstantTimeCompare(sum[:], holder.SHA256[:]) != 1 {
		return fmt.Errorf("%w: its hash is another at point %d", ErrShare, x)
	}
	return nil
}
