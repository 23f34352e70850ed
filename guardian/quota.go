package guardian

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// MaxNames is how many named secrets one identity can have. Deleted ones do not
// count.
const MaxNames = 1000

// admitPush refuses a push for what the slot has seen before, and for what it
// would take. That the caller may write is settled before the version is looked
// at, so that who may not learns nothing of it; a push that is not above the
// stored version takes nothing, and is answered with what is stored.
func (n *Node) admitPush(ctx context.Context, slot Slot, share Share, by Caller, from stored) error {
	if err := n.rules.admit(n.cfg.Ownership, from.standing(), by); err != nil {
		return err
	}
	if from.commit != nil && share.Version <= from.commit.current {
		return nil
	}
	if err := admitShare(from.standing(), share); err != nil {
		return err
	}
	switch {
	case from.commit != nil && (slot.Name == "" || from.commit.live != nil):
		return nil
	case slot.Name == "":
		return by.mayCreate()
	}
	return n.admitName(ctx, slot, by, from)
}

func (c Caller) mayCreate() error {
	if c.Create == nil {
		return nil
	}
	return c.Create()
}

// admitName decides about a name that holds nothing: the first of its identity
// ever, or one more than the others.
func (n *Node) admitName(ctx context.Context, slot Slot, by Caller, from stored) error {
	names, err := n.Names(ctx, slot.Identity)
	if err != nil {
		return err
	}
	if from.commit == nil && by.Create != nil {
		known, err := n.anyWritten(ctx, slot, names)
		if err != nil {
			return err
		}
		if !known {
			return by.mayCreate()
		}
	}
	if len(names) < MaxNames {
		return nil
	}
	return n.roomForName(ctx, slot.Identity, names)
}

// anyWritten reports whether a name beside the slot's own was ever written. What
// a push in flight has put there is no sign of that.
func (n *Node) anyWritten(ctx context.Context, slot Slot, names []string) (bool, error) {
	for _, name := range names {
		if name == slot.Name {
			continue
		}
		if written, _, err := n.state(ctx, Slot{slot.Identity, name}); written || err != nil {
			return written, err
		}
	}
	return false, nil
}

// roomForName refuses one name more than an identity can have. It reads many at
// once: an identity may have any number of deleted ones.
func (n *Node) roomForName(ctx context.Context, identity string, names []string) error {
	var taken atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listWorkers)
	for _, name := range names {
		group.Go(func() error {
			_, live, err := n.state(ctx, Slot{identity, name})
			if live {
				taken.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if taken.Load() < MaxNames {
		return nil
	}
	return &api.FieldError{Sentinel: api.ErrQuotaExceeded, Text: fmt.Sprintf("secret limit exceeded: an identity can have %d", MaxNames)}
}

// state tells whether a slot was ever written and whether it holds anything. One
// that is damaged counts as both.
func (n *Node) state(ctx context.Context, slot Slot) (written, live bool, err error) {
	from, err := n.readCommit(ctx, slot)
	if errors.Is(err, api.ErrIntegrityFailed) {
		return true, true, nil
	}
	return from.commit != nil, from.commit != nil && from.commit.live != nil, err
}

// roomForShare refuses a push after which more than MaxBytes would be kept for
// the identity: shares, and the statements with the manifests in them. Of the
// slot itself only what next names counts, stored or still unwritten; elsewhere
// what cleaning has not dropped yet counts as well.
func (n *Node) roomForShare(ctx context.Context, slot Slot, share Share, next *commit, unwritten ...backend.Object) error {
	if n.cfg.MaxBytes == 0 {
		return nil
	}
	full := &api.FieldError{Sentinel: api.ErrQuotaExceeded, Text: fmt.Sprintf("quota exceeded: %d bytes can be kept for an identity", n.cfg.MaxBytes)}
	if int64(len(share.Data)) > n.cfg.MaxBytes {
		return full // whatever else there is
	}
	var kept int64
	own := make(map[string]bool, len(unwritten))
	for _, object := range unwritten {
		own[object.Key], kept = true, kept+int64(len(object.Data))
	}
	for _, prefix := range []string{Slot{Identity: slot.Identity}.prefix(), vaultOf(slot.Identity)} {
		for entry, err := range n.store.List(ctx, prefix, "") {
			if err != nil {
				return unavailable("adding up what is kept", err)
			}
			if !own[entry.Key] && !strings.HasSuffix(entry.Key, "/version") && !replaced(slot, next, entry.Key) {
				kept += entry.Size
			}
		}
	}
	if kept > n.cfg.MaxBytes {
		return full
	}
	return nil
}

// replaced reports an object of the slot that goes when next is committed.
func replaced(slot Slot, next *commit, key string) bool {
	rest, ofSlot := strings.CutPrefix(key, slot.prefix())
	place, _, _ := strings.Cut(rest, "/")
	g, err := parseGeneration(place)
	return ofSlot && (err != nil || !next.names(g))
}
