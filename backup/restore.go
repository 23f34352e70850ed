package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// RestoreOthers puts what belongs to no slot to where it was, and leaves alone
// what is there already. Over an empty storage do it before a node is opened: the
// canary is among it. It returns how many objects it has put.
func (p *Place) RestoreOthers(ctx context.Context, m Manifest, to backend.Backend) (put int, err error) {
	err = p.eachLink(ctx, m, func(link Manifest, wanted func(hashed) bool) error {
		for g, err := range p.groups(ctx, link) {
			if err != nil {
				return err
			}
			if g.kind != kindOther {
				return nil
			}
			if !wanted(g) {
				continue
			}
			for _, o := range g.objects {
				fresh, err := create(ctx, to, o)
				if err != nil {
					return err
				}
				if fresh {
					put++
				}
			}
		}
		return nil
	})
	return put, err
}

// create reports false for what is there already.
func create(ctx context.Context, to backend.Backend, o object) (fresh bool, err error) {
	_, err = to.Put(ctx, o.key, o.data, backend.Revision{})
	if err == nil || errors.Is(err, backend.ErrConflict) {
		return err == nil, nil
	}
	return false, fmt.Errorf("restoring %s: %w", o.key, err)
}

// EachSlot calls do, several side by side, with every slot that a backup
// restores and a node that holds that alone, to be copied from. What comes of
// each it hands to took, one at a time; an error of that ends it. Other errors
// are those of Verify.
func (p *Place) EachSlot(ctx context.Context, m Manifest,
	do func(ctx context.Context, from *guardian.Node, slot guardian.Slot) (guardian.CopyOutcome, error),
	took func(guardian.Slot, guardian.CopyOutcome, error) error,
) error {
	free, err := newDesks(ctx, p.sealer)
	if err != nil {
		return err
	}
	defer free.close()
	var turn sync.Mutex
	return p.eachLink(ctx, m, func(link Manifest, wanted func(hashed) bool) error {
		want := func(g hashed) (bool, error) { return wanted(g), nil }
		return p.eachSlot(ctx, free, link, want, func(ctx context.Context, from *guardian.Node, slot guardian.Slot) error {
			outcome, err := do(ctx, from, slot)
			turn.Lock()
			defer turn.Unlock()
			if err != nil && ctx.Err() != nil { // it was stopped, nothing is wrong with it
				return ctx.Err()
			}
			return took(slot, outcome, err)
		})
	})
}

// eachLink goes through the chain of a backup, with which groups of each link are
// the ones that the backup restores.
func (p *Place) eachLink(ctx context.Context, m Manifest, do func(link Manifest, wanted func(hashed) bool) error) error {
	chain, err := p.Chain(ctx, m)
	if err != nil {
		return err
	}
	index, err := p.readIndex(ctx, m)
	if err != nil {
		return err
	}
	for _, link := range chain {
		wanted := func(g hashed) bool { return index[g.id()] == entry{g.hash, link.Depth} }
		if err := do(link, wanted); err != nil {
			return err
		}
	}
	return nil
}
