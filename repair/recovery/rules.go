package recovery

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// rules are the checks of a helper. They are values so that a test can take out
// one at a time and read what it was to protect.
type rules struct {
	// point: a share lies at 1 to 255, the secret at 0.
	point func(x byte) bool
	// keyAt says who holds a point, or nil.
	keyAt  func(r *record.Record, x byte) ed25519.PublicKey
	caller func(caller, key ed25519.PublicKey) bool
	count  func(offers, k int) bool
	// apart: no offer is of the point that is to be recovered.
	apart func(offers []Offer, toward byte) bool
	// pick returns the offer to redeem, nil for none.
	pick    func(open []*opened, named [keySize]byte, terms terms) *opened
	spend   func(t *table, o *opened)
	alive   func(age time.Duration) bool
	message func(hash [sha256.Size]byte, toward byte, o Offer) []byte
	signed  func(key ed25519.PublicKey, message, signature []byte) bool
	// weigh returns what the share at own weighs in that to be recovered.
	weigh   func(own byte, offers []Offer, toward byte) (byte, error)
	session func(hash [sha256.Size]byte, toward byte, offers []Offer) [sha256.Size]byte
}

var pageRules = rules{
	point:   func(x byte) bool { return x != 0 },
	keyAt:   keyOfRecord,
	caller:  isKey,
	count:   func(offers, k int) bool { return offers == k },
	apart:   apart,
	pick:    pick,
	spend:   (*table).drop,
	alive:   func(age time.Duration) bool { return 0 <= age && age < Lifetime },
	message: offerMessage,
	signed:  signed,
	weigh:   weigh,
	session: sessionOf,
}

// keyOfRecord believes no registry: who runs one could hand out keys of its own.
func keyOfRecord(r *record.Record, x byte) ed25519.PublicKey {
	holder, _ := r.At(x)
	return holder.Key
}

func isKey(caller, key ed25519.PublicKey) bool {
	return len(caller) == ed25519.PublicKeySize && caller.Equal(key)
}

func apart(offers []Offer, toward byte) bool {
	for _, o := range offers {
		if o.X == toward {
			return false
		}
	}
	return true
}

// signed refuses the keys that package ed25519 panics on, that of a holder who
// was not known to the record among them.
func signed(key ed25519.PublicKey, message, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature)
}

// weigh is for a point that is among those of the offers.
func weigh(own byte, offers []Offer, toward byte) (byte, error) {
	points := make([]byte, len(offers))
	for i, o := range offers {
		points[i] = o.X
	}
	weights, err := shamir.Weights(points, toward)
	if err != nil {
		return 0, fmt.Errorf("weighing the shares: %w", err)
	}
	return weights[slices.Index(points, own)], nil
}
