package repair

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/recovery"
)

const (
	// maxSets bounds how many sets of helpers are tried when one gives a wrong
	// share.
	maxSets = 64
	// helpersAtOnce bounds the calls of one recovery side by side.
	helpersAtOnce = 16
)

// offersUseful is how old offers may be to be redeemed: the first of them would
// not live much longer.
const offersUseful = recovery.Lifetime * 3 / 4

var errTooSlow = errors.New("some holders were too slow: their offers would be too old")

// errTooFewHelpers reports that fewer than K holders would or could help.
var errTooFewHelpers = errors.New("too few holders help")

// recoverShare has this node's share of a record computed by K of its helpers,
// and returns it once it has the record's hash. Helpers that fail are replaced.
// When a share comes out wrong an audit tells who gave a wrong part; where it
// cannot, other sets are tried.
func (r *Repairer) recoverShare(ctx context.Context, c *candidate) (share []byte, spent int64, err error) {
	own, named := c.Of(r.ownKey())
	if !named {
		return nil, 0, recovery.ErrNotHolder
	}
	helpers := slices.Clone(c.helpers)
	audited := false
	for range maxSets {
		shuffle(helpers)
		masked, failed, sent, err := r.ask(ctx, c, own.X, helpers)
		spent += sent
		helpers = slices.DeleteFunc(helpers, func(key ed25519.PublicKey) bool { return contains(failed, key) })
		if err == nil {
			share, err = recovery.Rebuild(c.Record, own.X, masked)
		}
		wipeAll(masked)
		if errors.Is(err, record.ErrNoHash) {
			err = r.vouchFor(ctx, c, own.X, share)
		}
		switch {
		case err == nil:
			return share, spent, nil
		case ctx.Err() != nil:
			return nil, spent, ctx.Err()
		case len(helpers) < c.Threshold:
			return nil, spent, fmt.Errorf("%w: %d of %d: %w", errTooFewHelpers, len(helpers), c.Threshold, err)
		case errors.Is(err, recovery.ErrMismatch) && !audited:
			audited = true
			helpers = r.withoutLiars(ctx, c, helpers)
		}
	}
	return nil, spent, fmt.Errorf("after %d sets of helpers: %w", maxSets, recovery.ErrMismatch)
}

// vouchFor has a share audited together with those of the other holders before
// it is stored, where the record has no hash to compare it with: its holder took
// no part in the round.
func (r *Repairer) vouchFor(ctx context.Context, c *candidate, x byte, share []byte) error {
	batch, err := check.NewBatch([]*record.Record{c.Record})
	if err != nil {
		clear(share)
		return err
	}
	source := func(context.Context, record.Ref) (*record.Record, []byte, error) {
		return c.Record, bytes.Clone(share), nil
	}
	lines := newLines(r, c.Record)
	lines.own = check.NewHolder(r.cfg.Key, check.Config{Source: source}, r.cfg.Now)
	defer lines.own.Close()
	defer lines.close()
	verdict, err := check.Run(ctx, check.Params{Batch: batch}, lines.call)
	if err == nil && slices.Contains(verdict.Sound, x) {
		return nil
	}
	clear(share)
	if err != nil {
		return fmt.Errorf("auditing a recovered share that has no hash: %w", err)
	}
	return fmt.Errorf("%w: the audit of a share without a hash does not find it sound", recovery.ErrMismatch)
}

// helping is one helper of a round, and the connection that its offer belongs
// to.
type helping struct {
	key   ed25519.PublicKey
	conn  Conn
	offer recovery.Offer
	part  []byte
	err   error
}

// ask is one round: offers of the first K that make one, then their parts. It
// returns who failed, for whatever reason.
func (r *Repairer) ask(ctx context.Context, c *candidate, x byte, helpers []ed25519.PublicKey) (masked [][]byte, failed []ed25519.PublicKey, sent int64, err error) {
	began := time.Now()
	chosen, failed, err := r.askOffers(ctx, c, x, helpers)
	defer func() {
		for _, h := range chosen {
			h.conn.Close()
		}
	}()
	if err == nil && time.Since(began) > offersUseful {
		err = errTooSlow
	}
	if err != nil {
		return nil, failed, 0, err
	}
	size := c.Threshold * c.ShareSize
	if err := r.bandwidth.spend(ctx, size); err != nil {
		return nil, failed, 0, err
	}
	r.askParts(ctx, c, x, chosen)
	for _, h := range chosen {
		if h.err != nil {
			failed, err = append(failed, h.key), h.err
			continue
		}
		masked = append(masked, h.part)
		sent += int64(len(h.part))
	}
	return masked, failed, sent, err
}

// askOffers asks as many at a time as are still needed.
func (r *Repairer) askOffers(ctx context.Context, c *candidate, x byte, helpers []ed25519.PublicKey) (chosen []*helping, failed []ed25519.PublicKey, err error) {
	for len(chosen) < c.Threshold {
		missing := c.Threshold - len(chosen)
		if len(helpers) < missing {
			return chosen, failed, errors.Join(errTooFewHelpers, err)
		}
		asked := make([]*helping, missing)
		for i := range asked {
			asked[i] = &helping{key: helpers[i]}
		}
		helpers = helpers[missing:]
		sideBySide(asked, helpersAtOnce, func(h *helping) { h.err = r.askOffer(ctx, c, x, h) })
		for _, h := range asked {
			if h.err == nil {
				chosen = append(chosen, h)
				continue
			}
			failed, err = append(failed, h.key), h.err
		}
	}
	return chosen, failed, nil
}

func (r *Repairer) askOffer(ctx context.Context, c *candidate, x byte, h *helping) error {
	holder, named := c.Of(h.key)
	if !named {
		return recovery.ErrNotHolder
	}
	conn, err := r.dial(h.key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	answer, err := call[OfferAnswer](ctx, conn, RouteOffer, OfferRequest{c.Ref(), int(x)})
	if err == nil {
		h.offer, err = answer.offer()
	}
	if err == nil {
		err = recovery.CheckOffer(c.Record, x, holder.X, h.offer)
	}
	if err != nil {
		conn.Close()
		return err
	}
	h.conn = conn
	return nil
}

func (r *Repairer) askParts(ctx context.Context, c *candidate, x byte, chosen []*helping) {
	request := ContributeRequest{Ref: c.Ref(), X: int(x)}
	for _, h := range chosen {
		request.Offers = append(request.Offers, offerAnswer(h.offer))
	}
	sideBySide(chosen, helpersAtOnce, func(h *helping) {
		var answer ContributeAnswer
		answer, h.err = call[ContributeAnswer](ctx, h.conn, RouteContribute, request)
		h.part = answer.Masked
		if h.err == nil && len(h.part) != c.ShareSize-1 {
			h.err = fmt.Errorf("its part has %d bytes, not %d", len(h.part), c.ShareSize-1)
		}
	})
}

func contains(keys []ed25519.PublicKey, key ed25519.PublicKey) bool {
	return slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) })
}

func shuffle(keys []ed25519.PublicKey) {
	newRandom().Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
}

func wipeAll(buffers [][]byte) {
	for _, b := range buffers {
		clear(b)
	}
}
