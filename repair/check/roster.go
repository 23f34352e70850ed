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
// for this batch, and among them as many dealers as the rules demand. In a
// redistribution it wants new holders too.
func (r *rules) checkRoster(b *Batch, roster Roster) error {
	xs := roster.points()
	if err := r.checkParticipants(b, xs); err != nil {
		return err
	}
	if err := r.checkNew(b, pointsOf(roster.New)); err != nil {
		return err
	}
	if err := r.dealers(b.Threshold(), xs, roster.Dealers); err != nil {
		return err
	}
	for n, m := range slices.Concat(roster.Members, roster.New) {
		if !checkKey(b, Party{n >= len(xs), m.X}, m.Key, m.Signature) {
			return fmt.Errorf("%w: point %d has not signed its key for this batch", ErrMalformed, m.X)
		}
	}
	return nil
}

// checkParticipants wants more than K points, ascending, all with a key.
func (r *rules) checkParticipants(b *Batch, xs []byte) error {
	if !r.enough(len(xs), b.Threshold()) {
		return fmt.Errorf("%w: %d for K=%d", ErrTooFew, len(xs), b.Threshold())
	}
	return checkPoints(b, false, xs)
}

// checkNew wants enough points of the proposal, ascending, or none in an audit.
func (r *rules) checkNew(b *Batch, xs []byte) error {
	switch {
	case b.proposal == nil && len(xs) > 0:
		return fmt.Errorf("%w: new holders in an audit", ErrMalformed)
	case b.proposal == nil:
		return nil
	case len(xs) < r.quorum(*b.proposal):
		return fmt.Errorf("%w: %d new ones of %d", ErrTooFew, len(xs), len(b.proposal.Holders))
	}
	return checkPoints(b, true, xs)
}

func checkPoints(b *Batch, isNew bool, xs []byte) error {
	if !ascending(xs) {
		return fmt.Errorf("%w: points not ascending from 1", ErrMalformed)
	}
	for _, p := range partiesOf(isNew, xs) {
		if _, ok := b.keyFor(p); !ok {
			return fmt.Errorf("%w: no holder has %s", ErrMalformed, p)
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

// checkKey tells whether a party signed the key E for the batch.
func checkKey(b *Batch, p Party, key, signature []byte) bool {
	public, ok := b.keyFor(p)
	return ok && len(key) == keySize && ed25519.Verify(public, openMessageOf(b.hash, p, key), signature)
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

func (r *Roster) points() []byte { return pointsOf(r.Members) }

// pointsOf are the points of one side.
func (r *Roster) pointsOf(isNew bool) []byte {
	if isNew {
		return pointsOf(r.New)
	}
	return r.points()
}

// keyOf returns E of an old holder, or nil.
func (r *Roster) keyOf(x byte) []byte { return keyIn(r.Members, x) }

func pointsOf(members []Member) []byte {
	xs := make([]byte, len(members))
	for i, m := range members {
		xs[i] = m.X
	}
	return xs
}

func keyIn(members []Member, x byte) []byte {
	for _, m := range members {
		if m.X == x {
			return m.Key
		}
	}
	return nil
}
