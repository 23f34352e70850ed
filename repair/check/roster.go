package check

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"fmt"
	"slices"
)

const keySize = 32 // of X25519, RFC 7748

// checkRoster wants members whom the records name, with keys that they signed
// for this batch, and among them as many dealers as the rules demand.
func (r *rules) checkRoster(b *Batch, roster Roster) error {
	xs := roster.points()
	if err := checkParticipants(b, xs); err != nil {
		return err
	}
	if err := r.dealers(b.Threshold(), xs, roster.Dealers); err != nil {
		return err
	}
	for _, m := range roster.Members {
		if !checkKey(b, m.X, m.Key, m.Signature) {
			return fmt.Errorf("%w: point %d has not signed its key for this batch", ErrMalformed, m.X)
		}
	}
	return nil
}

// checkParticipants wants more than K points, ascending, all with a key.
func checkParticipants(b *Batch, xs []byte) error {
	if len(xs) <= b.Threshold() {
		return fmt.Errorf("%w: %d for K=%d", ErrTooFew, len(xs), b.Threshold())
	}
	if !ascending(xs) {
		return fmt.Errorf("%w: points not ascending from 1", ErrMalformed)
	}
	for _, x := range xs {
		if _, ok := b.keyAt(x); !ok {
			return fmt.Errorf("%w: no holder has point %d", ErrMalformed, x)
		}
	}
	return nil
}

// checkDealers wants exactly K: with one less all could be of one mind, and one
// more could not be told from K.
func checkDealers(k int, xs, dealers []byte) error {
	if len(dealers) != k || !ascending(dealers) {
		return fmt.Errorf("%w: %d dealers for K=%d, or not ascending", ErrMalformed, len(dealers), k)
	}
	for _, x := range dealers {
		if !slices.Contains(xs, x) {
			return fmt.Errorf("%w: dealer %d takes no part", ErrMalformed, x)
		}
	}
	return nil
}

// checkKey tells whether x signed the key E for the batch.
func checkKey(b *Batch, x byte, key, signature []byte) bool {
	public, ok := b.keyAt(x)
	return ok && len(key) == keySize && ed25519.Verify(public, openMessage(b.hash, x, key), signature)
}

// usable tells whether a secret can be agreed on with a key. A coordinator asks
// first, as one of low order, of which all private keys alike make nothing, has
// honest dealers fail.
func usable(key []byte) bool {
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return false
	}
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, keySize))
	if err != nil {
		return false
	}
	_, err = private.ECDH(public)
	return err == nil
}

func ascending(xs []byte) bool {
	before := byte(0)
	for _, x := range xs {
		if x <= before {
			return false
		}
		before = x
	}
	return true
}

func (r *Roster) points() []byte {
	xs := make([]byte, len(r.Members))
	for i, m := range r.Members {
		xs[i] = m.X
	}
	return xs
}

// keyOf returns E of a member, or nil.
func (r *Roster) keyOf(x byte) []byte {
	for _, m := range r.Members {
		if m.X == x {
			return m.Key
		}
	}
	return nil
}
