package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// prefixDrills is where drills restore to, beside the backups.
const prefixDrills = "drills/"

// Drilled is what a drill has found.
type Drilled struct {
	Verified
	// Started is when the backup was begun: what was stored later is not in it.
	Started time.Time
	// RTO is how long it took to verify the backup, restore it, and verify what was
	// restored; RPO how old it was then.
	RTO, RPO time.Duration
}

// Drill restores a backup into a scratch prefix at its place, judges everything
// there as a guardian would, and removes it again. It tells seen of each identity
// that was verified or restored. Errors are those of Verify.
func (p *Place) Drill(ctx context.Context, m Manifest, seen func()) (result Drilled, err error) {
	begun := time.Now()
	scratch := prefixDrills + newID(begun.UTC(), nil) + "/"
	defer func() { err = errors.Join(err, p.remove(context.WithoutCancel(ctx), scratch)) }()
	if result.Verified, err = p.Verify(ctx, m, seen); err != nil {
		return Drilled{}, err
	}
	to := backend.Under(p.store, scratch)
	if _, err := p.RestoreOthers(ctx, m, to); err != nil {
		return Drilled{}, err
	}
	n, err := openNode(ctx, to, p.sealer)
	if err != nil {
		return Drilled{}, err
	}
	err = p.restoreAll(ctx, m, n, seen)
	if err := errors.Join(err, n.Close(context.WithoutCancel(ctx))); err != nil {
		return Drilled{}, err
	}
	result.Started, result.RTO, result.RPO = m.Started, time.Since(begun), begun.Sub(m.Started)
	return result, nil
}

// restoreAll copies every slot to a node that holds none, and looks at them there.
func (p *Place) restoreAll(ctx context.Context, m Manifest, to *guardian.Node, seen func()) error {
	err := p.EachSlot(ctx, m, func(ctx context.Context, from *guardian.Node, slot guardian.Slot) (guardian.CopyOutcome, error) {
		return from.CopyTo(ctx, to, slot)
	}, func(slot guardian.Slot, outcome guardian.CopyOutcome, err error) error {
		seen()
		if err != nil {
			return fmt.Errorf("restoring %s: %w", slot.Short(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	restored := 0
	err = to.Walk(ctx, guardian.Slot{}, func(found guardian.Examined) error {
		restored++
		return judgeExamined(m.ID, found)
	})
	if err == nil && restored != m.Identities {
		err = damaged(m.ID, fmt.Sprintf("of %d identities %d came back", m.Identities, restored))
	}
	return err
}
