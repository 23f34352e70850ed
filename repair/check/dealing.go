package check

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/vault-guardian/guardian/shamir"
)

const (
	rows       = shamir.Products // rows of r and T, hence bytes of an answer
	columns    = 2 * rows        // of a dealing: masks, and what hides them
	sealedSize = columns + 16    // and the tag of AES-GCM
)

// dealing is the key between dealer i and holder j for one session. It seals
// once, and so the nonce can be 0.
func dealing(private *ecdh.PrivateKey, public []byte, session digest, i, j byte) (cipher.AEAD, error) {
	return agreed(private, public, session, "guardian-check-deal-v1"+string([]byte{i, j}))
}

// agreed is the key that two session keys make for one purpose.
func agreed(private *ecdh.PrivateKey, public []byte, session digest, info string) (cipher.AEAD, error) {
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("reading a session key: %w", err)
	}
	shared, err := private.ECDH(peer) // refuses points of low order
	if err != nil {
		return nil, fmt.Errorf("agreeing on a key: %w", err)
	}
	defer clear(shared)
	key, err := hkdf.Key(sha256.New, shared, session[:], info, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keying a dealing: %w", err)
	}
	return cipher.NewGCM(block)
}

// deal makes random columns of degree K-1 and seals to each member its values.
func deal(private *ecdh.PrivateKey, session digest, k int, i byte, roster Roster) ([][]byte, error) {
	constants := make([]byte, columns)
	defer clear(constants)
	if _, err := rand.Read(constants); err != nil {
		return nil, fmt.Errorf("drawing columns: %w", err)
	}
	values, err := shamir.Split(constants, k, roster.points())
	if err != nil {
		return nil, fmt.Errorf("drawing columns: %w", err)
	}
	sealed := make([][]byte, len(values))
	for n, m := range roster.Members {
		defer clear(values[n])
		aead, err := dealing(private, m.Key, session, i, m.X)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, aead.NonceSize())
		sealed[n] = aead.Seal(nil, nonce, values[n][1:], nil) //nolint:gosec // G407: see dealing, its key seals once
	}
	return sealed, nil
}

// receive opens what each dealer sealed to x. It returns the dealers whose
// dealing does not open, ascending.
func receive(private *ecdh.PrivateKey, session digest, x byte, roster Roster, sealed [][]byte) (masks [][]byte, unopened []byte) {
	for n, i := range roster.Dealers {
		aead, err := dealing(private, roster.keyOf(i), session, i, x)
		if err != nil {
			unopened = append(unopened, i)
			continue
		}
		values, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed[n], nil)
		if err != nil || len(values) != columns {
			unopened = append(unopened, i)
			continue
		}
		masks = append(masks, values)
	}
	return masks, unopened
}
