package repair

import (
	"context"
	"crypto/ed25519"

	"github.com/vault-guardian/guardian/repair/recovery"
)

// answerOffer and answerContribute are the two steps of a helper. All that they
// are told is checked by package recovery against the record that is stored
// here.
func (r *Repairer) answerOffer(ctx context.Context, caller ed25519.PublicKey, request OfferRequest) (OfferAnswer, error) {
	x, err := pointOf(request.X)
	if err != nil {
		return OfferAnswer{}, err
	}
	of, share, err := r.holding(ctx, request.Ref)
	if err != nil {
		return OfferAnswer{}, err
	}
	clear(share)
	offer, err := r.helper.Offer(caller, of, x)
	return offerAnswer(offer), err
}

func (r *Repairer) answerContribute(ctx context.Context, caller ed25519.PublicKey, request ContributeRequest) (ContributeAnswer, error) {
	x, err := pointOf(request.X)
	if err != nil {
		return ContributeAnswer{}, err
	}
	offers, err := offersOf(request.Offers)
	if err != nil {
		return ContributeAnswer{}, err
	}
	of, share, err := r.holding(ctx, request.Ref)
	if err != nil {
		return ContributeAnswer{}, err
	}
	defer clear(share)
	masked, err := r.helper.Contribute(caller, of, share, x, offers)
	if err == nil {
		err = r.bandwidth.spend(ctx, len(masked))
	}
	return ContributeAnswer{masked}, err
}

func offerAnswer(o recovery.Offer) OfferAnswer {
	return OfferAnswer{X: int(o.X), Key: o.Key, Signature: o.Signature}
}

func offersOf(answers []OfferAnswer) ([]recovery.Offer, error) {
	var offers []recovery.Offer
	for _, a := range answers {
		offer, err := a.offer()
		if err != nil {
			return nil, err
		}
		offers = append(offers, offer)
	}
	return offers, nil
}

func (a OfferAnswer) offer() (recovery.Offer, error) {
	x, err := pointOf(a.X)
	return recovery.Offer{X: x, Key: a.Key, Signature: a.Signature}, err
}
