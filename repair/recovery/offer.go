package recovery

import (
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"

	"github.com/vault-guardian/guardian/record"
)

const (
	offerLabel = "guardian-offer-v1"
	keySize    = 32
)

// Offer is a helper's readiness to contribute to one recovery.
type Offer struct {
	// X is the point of the helper's own share.
	X byte
	// Key is E_i, an X25519 public key of 32 bytes.
	Key []byte
	// Signature is by the helper's node key over record, both points and Key.
	Signature []byte
}

// CheckOffer returns nil if an offer toward point x is that of the record's
// holder of point from, else an error that wraps ErrOffers. It also finds a key
// that every helper would refuse, so that whoever made it is known.
func CheckOffer(r *record.Record, x, from byte, o Offer) error {
	if o.X != from || x == from {
		return fmt.Errorf("%w: one of point %d, where %d was asked to help %d", ErrOffers, o.X, from, x)
	}
	if err := pageRules.verify(r, x, o); err != nil {
		return err
	}
	return checkOrder(o)
}

// verify returns nil for an offer that the record's holder of its point has
// signed.
func (rules rules) verify(r *record.Record, toward byte, o Offer) error {
	if len(o.Key) != keySize {
		return fmt.Errorf("%w: the key of point %d has %d bytes", ErrOffers, o.X, len(o.Key))
	}
	if !rules.signed(rules.keyAt(r, o.X), rules.message(r.Hash, toward, o), o.Signature) {
		return fmt.Errorf("%w: that of point %d is not signed by the record's holder", ErrOffers, o.X)
	}
	return nil
}

// checkOrder refuses points of low order, which give the same secret, zero, with
// whatever private key (RFC 7748 section 6.1).
func checkOrder(o Offer) error {
	public, err := ecdh.X25519().NewPublicKey(o.Key)
	if err == nil {
		_, err = anyKey.ECDH(public)
	}
	if err != nil {
		return fmt.Errorf("%w: the key of point %d is of low order", ErrOffers, o.X)
	}
	return nil
}

// anyKey keeps nothing secret.
var anyKey = func() *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(make([]byte, keySize))
	if err != nil {
		panic(err) // any 32 bytes are a private key
	}
	return key
}()

// offerMessage is what a helper signs. All parts have one length, so no two
// offers have one message.
func offerMessage(hash [sha256.Size]byte, toward byte, o Offer) []byte {
	message := append([]byte(offerLabel), hash[:]...)
	message = append(message, toward, o.X)
	return append(message, o.Key...)
}
