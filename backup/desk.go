package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// slotsAtOnce keeps a bucket busy although each request takes its time.
const slotsAtOnce = 16

// desk is a node that holds one slot at a time, so that a slot on its way is
// judged by the rules of a guardian.
type desk struct {
	stage *stage
	node  *guardian.Node
}

// desks are those not in use.
type desks chan desk

func newDesks(ctx context.Context, sealer *integrity.Sealer) (desks, error) {
	free := make(desks, slotsAtOnce)
	for range slotsAtOnce {
		s := newStage()
		node, err := openNode(ctx, s, sealer)
		if err != nil {
			free.close()
			return nil, err
		}
		free <- desk{s, node}
	}
	return free, nil
}

func openNode(ctx context.Context, store backend.Backend, sealer *integrity.Sealer) (*guardian.Node, error) {
	n, err := guardian.Open(ctx, store, sealer, guardian.Config{
		Retain: guardian.MaxRetain, RequestTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", store, err)
	}
	return n, nil
}

// close is called with all desks free.
func (free desks) close() {
	close(free)
	for d := range free {
		_ = d.node.Close(context.Background()) // nothing in memory outlives it
	}
}

// use lends an empty desk.
func (free desks) use(do func(desk) error) error {
	d := <-free
	defer func() { free <- d }()
	d.stage.clear()
	return do(d)
}

// hold puts a group onto the desk, and returns the slot that it is of.
func (d desk) hold(ctx context.Context, g Group) (guardian.Slot, error) {
	d.stage.put(g.objects)
	for slot, err := range d.node.Slots(ctx) {
		if err != nil {
			return guardian.Slot{}, err
		}
		if slotName(slot) == g.name {
			return slot, nil
		}
		break
	}
	return guardian.Slot{}, errors.New("the objects are not those of an identity")
}
