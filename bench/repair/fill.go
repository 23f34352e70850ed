package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	shareSize = 100
	// One of so many shares is deleted, and one is damaged, so that a report has
	// something to tell.
	deletedOf = 200
	damagedOf = 500
	pushers   = 64
)

// fill pushes shares of as many owners to node 0, as of a secret among five of
// whom three rebuild it.
func fill(ctx context.Context, store backend.Backend, slots int) error {
	node, _, err := openNode(ctx, store, 0)
	if err != nil {
		return err
	}
	holders, err := holdersOf(5)
	if err != nil {
		return err
	}
	var done atomic.Int64
	defer progress(func() { say("%d of %d shares prepared", done.Load(), slots) })()
	group, pushing := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	for i := range slots {
		group.Go(func() error {
			defer done.Add(1)
			o := newOwner(i)
			shares, signed, err := o.deal(1, 3, holders, shareSize)
			if err != nil {
				return err
			}
			return keepOne(pushing, node, store, i, o.slot, guardian.Share{Data: shares[0], Version: 1, Manifest: signed})
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("preparing shares: %w", err)
	}
	return node.Close(ctx)
}

func keepOne(ctx context.Context, node *guardian.Node, store backend.Backend, i int, slot guardian.Slot, share guardian.Share) error {
	if err := node.Push(ctx, slot, share, guardian.Caller{}); err != nil {
		return err
	}
	switch {
	case i%deletedOf == deletedOf-1:
		return deleted(ctx, node, slot)
	case i%damagedOf == damagedOf/2:
		return damage(ctx, store, slot)
	}
	return nil
}

// deleted leaves nothing for a scrub to drop, which a second one would not find.
func deleted(ctx context.Context, node *guardian.Node, slot guardian.Slot) error {
	err := node.Delete(ctx, slot, 1, guardian.Caller{})
	if err == nil {
		_, err = node.Examine(ctx, slot)
	}
	return err
}

// damage flips a bit of the share itself.
func damage(ctx context.Context, store backend.Backend, slot guardian.Slot) error {
	for entry, err := range store.List(ctx, "shares/"+slot.Identity+"/", "") {
		if err != nil {
			return err
		}
		if strings.HasSuffix(entry.Key, "/share.bin") {
			return flip(ctx, store, entry.Key)
		}
	}
	return errors.New("there is no share to damage")
}

func flip(ctx context.Context, store backend.Backend, key string) error {
	data, rev, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	_, err = store.Put(ctx, key, data, rev)
	return err
}

const progressTime = 10 * time.Second

// say tells how far it is, on standard error.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "repair: "+format+"\n", args...)
}

// progress calls f again and again until what it returns is called.
func progress(f func()) (stop func()) {
	ticker := time.NewTicker(progressTime)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}
