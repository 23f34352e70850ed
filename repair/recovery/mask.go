package recovery

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

const sessionLabel = "guardian-recover-v1"

// sessionOf names one recovery with one set of helpers. Without any one part of
// it two helpers could be brought to mask different things alike. The offers are
// in ascending order of their points.
func sessionOf(hash [sha256.Size]byte, toward byte, offers []Offer) [sha256.Size]byte {
	text := append([]byte(sessionLabel), hash[:]...)
	text = append(text, toward)
	for _, o := range offers {
		text = append(append(text, o.X), o.Key...)
	}
	return sha256.Sum256(text)
}

// addMask adds to sum the keystream that the private key's owner, at point own,
// and the maker of the offer alone can compute. Error: ErrOffers.
func addMask(sum []byte, private *ecdh.PrivateKey, own byte, o Offer, session [sha256.Size]byte) error {
	key, err := maskKey(private, own, o, session)
	if err != nil {
		return err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("keying a mask: %w", err)
	}
	zero := make([]byte, aes.BlockSize)
	stream := cipher.NewCTR(block, zero) //nolint:gosec // G407: the key is of this session alone
	stream.XORKeyStream(sum, sum)
	return nil
}

// maskKey returns k_ib, the same for both ends of a pair.
func maskKey(private *ecdh.PrivateKey, own byte, o Offer, session [sha256.Size]byte) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(o.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of point %d is none", ErrOffers, o.X)
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of point %d is of low order", ErrOffers, o.X)
	}
	defer clear(shared)
	pair := string([]byte{min(own, o.X), max(own, o.X)})
	key, err := hkdf.Key(sha256.New, shared, session[:], pair, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a mask: %w", err)
	}
	return key, nil
}
