package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

// quiet keeps what a run expects out of the way: damage is part of it.
var quiet = slog.New(slog.DiscardHandler)

const (
	// retained is how many versions a node keeps.
	retained = 2
	// Who asks is not what is measured.
	ownership = guardian.OwnershipOff
)

// openNode opens the node of a number, which has the same keys each time.
func openNode(ctx context.Context, store backend.Backend, number int) (*guardian.Node, *integrity.NodeKey, error) {
	key, err := nodeKey(number)
	if err != nil {
		return nil, nil, err
	}
	of := seed("sealer", number)
	sealer, err := integrity.NewSealer(ctx, nodeID(number), integrity.InlineSource{Text: hex.EncodeToString(of[:])}, quiet)
	if err != nil {
		return nil, nil, err
	}
	node, err := guardian.Open(ctx, store, sealer, guardian.Config{
		Retain: retained, Ownership: ownership, RequestTimeout: time.Minute, Logger: quiet,
	})
	return node, key, err
}

// scrubbing is a Repairer at work.
type scrubbing struct {
	*repair.Repairer
	stop context.CancelFunc
	done chan struct{}
}

// startScrubbing has the node scrub. Now is the clock; nil for that of the
// system.
func startScrubbing(ctx context.Context, node *guardian.Node, key *integrity.NodeKey, interval time.Duration, now func() time.Time) *scrubbing {
	s := &scrubbing{done: make(chan struct{})}
	s.Repairer = repair.New(repair.Config{
		Node: node, Key: key, ScrubInterval: interval, Now: now, Logger: quiet,
		Poll: time.Hour, // the queue is not what is measured
	})
	ctx, s.stop = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		s.Run(ctx)
	}()
	s.StartScrub()
	return s
}

// end stops it, and waits until it has.
func (s *scrubbing) end() {
	s.stop()
	<-s.done
}

// await polls until the condition holds, and not often: what that takes is
// counted as the scrub's.
func (s *scrubbing) await(ctx context.Context, holds func(repair.ScrubProgress) bool) error {
	const poll = 50 * time.Millisecond
	for !holds(s.ScrubProgress()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return errors.New("the scrub ended")
		case <-time.After(poll):
		}
	}
	return nil
}
