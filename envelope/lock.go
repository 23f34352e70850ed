package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

const (
	commitSize = 32
	tagSize    = 16
	// lockSize is what closing adds to a plaintext.
	lockSize = commitSize + tagSize
)

// lock closes one message: a key for AES-256-GCM and the commitment to it. What
// it closes is the commitment, then the ciphertext and its tag.
type lock struct{ key, commit []byte }

// newLock is HKDF (RFC 5869, Extract and Expand) of a secret.
func newLock(secret, salt []byte, info string) (lock, error) {
	both, err := hkdf.Key(sha256.New, secret, salt, info, keySize+commitSize)
	if err != nil {
		return lock{}, fmt.Errorf("deriving a key: %w", err)
	}
	return lock{key: both[:keySize:keySize], commit: both[keySize:]}, nil
}

func (l lock) wipe() {
	wipe(l.key)
	wipe(l.commit)
}

// close appends to dst.
func (l lock) close(dst, plaintext, additional []byte) ([]byte, error) {
	gcm, err := newGCM(l.key)
	if err != nil {
		return nil, err
	}
	dst = append(dst, l.commit...)
	return gcm.Seal(dst, zeroNonce(gcm), plaintext, additional), nil //nolint:gosec // G407: see zeroNonce
}

// open compares the commitment first, in constant time. Error: ErrOpen.
func (l lock) open(closed, additional []byte) ([]byte, error) {
	if len(closed) < lockSize || subtle.ConstantTimeCompare(l.commit, closed[:commitSize]) == 0 {
		return nil, ErrOpen
	}
	gcm, err := newGCM(l.key)
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, zeroNonce(gcm), closed[commitSize:], additional)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// zeroNonce is sound because no key closes more than one message: each comes
// from a salt that is drawn for one payload.
func zeroNonce(gcm cipher.AEAD) []byte { return make([]byte, gcm.NonceSize()) }

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keying AES: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making GCM: %w", err)
	}
	return gcm, nil
}
