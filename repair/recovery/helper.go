package recovery

import (
	"cmp"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// Helper is a node that helps others to their shares. It is safe for concurrent
// use.
type Helper struct {
	key    *integrity.NodeKey
	public ed25519.PublicKey
	rules  rules
	offers *table
	// draw makes the key of an offer.
	draw func() (*ecdh.PrivateKey, error)
}

// NewHelper returns the helper with the given node key and clock.
func NewHelper(key *integrity.NodeKey, now func() time.Time) *Helper {
	h := &Helper{key: key, public: key.PublicKey(), rules: pageRules, draw: drawKey}
	h.offers = newTable(&h.rules, now)
	return h
}

func drawKey() (*ecdh.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) }

// Offer makes an offer to the record's holder of point x. Whoever calls this has
// found its own share sound just before. The offer is open for [Lifetime], or
// until the caller has asked for some hundreds more.
//
// Errors: ErrNotHolder unless the caller's key is the record's for x, and for
// the helper itself; ErrNoShare if the record does not name the helper; ErrBusy.
func (h *Helper) Offer(caller ed25519.PublicKey, r *record.Record, x byte) (Offer, error) {
	own, err := h.admit(caller, r, x)
	if err != nil {
		return Offer{}, err
	}
	private, err := h.draw()
	if err != nil {
		return Offer{}, fmt.Errorf("drawing the key of an offer: %w", err)
	}
	o := Offer{X: own.X, Key: private.PublicKey().Bytes()}
	if o.Signature, err = h.key.Sign(nil, h.rules.message(r.Hash, x, o), crypto.Hash(0)); err != nil {
		return Offer{}, fmt.Errorf("signing an offer: %w", err)
	}
	if err := h.offers.add(termsOf(caller, r, x), private); err != nil {
		return Offer{}, err
	}
	return o, nil
}

// Contribute redeems the helper's offer among the given ones, of which there
// must be exactly K, and returns its part of the share at x: one byte for each
// of share but the point. share is the helper's own, [x][y...]; where the record
// knows no hash for it, that it is sound is what the caller has found.
//
// Errors: ErrNotHolder and ErrNoShare as for Offer, ErrNoShare also for a share
// that is not the record's; ErrOffers for any other set of offers, and for one
// of the helper's that was redeemed, has expired, or was made to another caller
// or for another record or point. Once an open offer was named rightly it is
// spent, with an error too.
func (h *Helper) Contribute(
	caller ed25519.PublicKey, r *record.Record, share []byte, x byte, offers []Offer,
) ([]byte, error) {
	own, err := h.admit(caller, r, x)
	if err != nil {
		return nil, err
	}
	offers, err = h.arrange(r, x, offers)
	if err != nil {
		return nil, err
	}
	private := h.redeem(own.X, offers, termsOf(caller, r, x))
	if private == nil {
		return nil, fmt.Errorf("%w: none that is open here is among them", ErrOffers)
	}
	for _, o := range offers {
		if err := h.rules.verify(r, x, o); err != nil {
			return nil, err
		}
	}
	if err := r.Check(own.X, share); err != nil && !errors.Is(err, record.ErrNoHash) {
		return nil, fmt.Errorf("%w: %w", ErrNoShare, err)
	}
	return h.contribution(private, r, share, x, offers)
}

// Expire drops the offers whose time is over. Offer and Contribute do so too; it
// is to be called every now and then, so that a key does not stay in the memory
// of a helper whom nobody asks again.
func (h *Helper) Expire() { h.offers.sweep() }

// admit returns the helper's place in the record if the caller is the one to
// have the share at x.
func (h *Helper) admit(caller ed25519.PublicKey, r *record.Record, x byte) (manifest.Holder, error) {
	if !h.rules.point(x) || !h.rules.caller(caller, h.rules.keyAt(r, x)) {
		return manifest.Holder{}, fmt.Errorf("%w: %d", ErrNotHolder, x)
	}
	own, ok := r.Of(h.public)
	if !ok {
		return manifest.Holder{}, fmt.Errorf("%w: it does not name this node", ErrNoShare)
	}
	if own.X == x {
		return manifest.Holder{}, fmt.Errorf("%w: %d is that of this node", ErrNotHolder, x)
	}
	return own, nil
}

// arrange returns the offers by point if there are as many as there should be,
// each of another point, and none of the one to recover.
func (h *Helper) arrange(r *record.Record, x byte, offers []Offer) ([]Offer, error) {
	if !h.rules.count(len(offers), r.Threshold) {
		return nil, fmt.Errorf("%w: %d of them, for a threshold of %d", ErrOffers, len(offers), r.Threshold)
	}
	if !h.rules.apart(offers, x) {
		return nil, fmt.Errorf("%w: one of point %d, which is to be recovered", ErrOffers, x)
	}
	offers = slices.SortedFunc(slices.Values(offers), func(a, b Offer) int { return cmp.Compare(a.X, b.X) })
	for i := 1; i < len(offers); i++ {
		if offers[i].X == offers[i-1].X {
			return nil, fmt.Errorf("%w: two of point %d", ErrOffers, offers[i].X)
		}
	}
	return offers, nil
}

// redeem returns the private key of the helper's own offer, or nil.
func (h *Helper) redeem(own byte, offers []Offer, terms terms) *ecdh.PrivateKey {
	var named [keySize]byte // the zero key is nobody's
	for _, o := range offers {
		if o.X == own && len(o.Key) == keySize {
			named = [keySize]byte(o.Key)
		}
	}
	return h.offers.take(named, terms)
}

// contribution weighs the share and hides it behind the masks.
func (h *Helper) contribution(
	private *ecdh.PrivateKey, r *record.Record, share []byte, x byte, offers []Offer,
) ([]byte, error) {
	weight, err := h.rules.weigh(share[0], offers, x)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffers, err)
	}
	sum := shamir.WeightedSum([]byte{weight}, [][]byte{share[1:]})
	session := h.rules.session(r.Hash, x, offers)
	for _, o := range offers {
		if o.X == share[0] {
			continue
		}
		if err := addMask(sum, private, share[0], o, session); err != nil {
			clear(sum)
			return nil, err
		}
	}
	return sum, nil
}

func termsOf(caller ed25519.PublicKey, r *record.Record, x byte) terms {
	return terms{caller: [ed25519.PublicKeySize]byte(caller), record: r.Hash, toward: x}
}
