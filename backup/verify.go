package backup

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/vault-guardian/guardian/guardian"
)

// Verified is what was found sound.
type Verified struct {
	ID string `json:"id"`
	// Chain are the backups that it is made of, the full one first.
	Chain []string `json:"chain"`
	// Identities and Others are what it restores; Objects and Bytes what was read
	// and verified in the whole chain.
	Identities int   `json:"identities"`
	Others     int   `json:"others"`
	Objects    int   `json:"objects"`
	Bytes      int64 `json:"bytes"`
}

// Verify reads a backup and all that it was made upon: every part is what the
// manifest says, every group what the index says, and every share, manifest and
// record in it is judged as a guardian would. It tells seen of each identity.
// Errors: ErrDamaged, integrity.ErrKeyUnknown, and those of the storage.
func (p *Place) Verify(ctx context.Context, m Manifest, seen func()) (Verified, error) {
	chain, err := p.Chain(ctx, m)
	if err != nil {
		return Verified{}, err
	}
	free, err := newDesks(ctx, p.sealer)
	if err != nil {
		return Verified{}, err
	}
	defer free.close()
	result := Verified{ID: m.ID, Identities: m.Identities, Others: m.Others}
	var below map[string]entry
	for _, link := range chain {
		index, err := p.readIndex(ctx, link)
		if err == nil {
			err = compareIndexes(link, index, below)
		}
		if err == nil {
			err = p.verifyData(ctx, free, link, index, seen)
		}
		if err != nil {
			return Verified{}, err
		}
		result.Chain = append(result.Chain, link.ID)
		result.Objects += link.Objects
		result.Bytes += link.Bytes
		below = index
	}
	return result, nil
}

// compareIndexes: what a backup does not hold itself, it has from its parent.
func compareIndexes(m Manifest, index, below map[string]entry) error {
	if len(index) != m.Identities+m.Others {
		return damaged(m.ID, "its index is not as long as its manifest says")
	}
	for id, e := range index {
		if e.depth < m.Depth && below[id] != e {
			return damaged(m.ID, "its index names what its parent does not have")
		}
	}
	return nil
}

// verifyData checks that a backup holds what its index says, and that a guardian
// would serve it.
func (p *Place) verifyData(ctx context.Context, free desks, m Manifest, index map[string]entry, seen func()) error {
	missing := map[string]bool{}
	for id, e := range index {
		if e.depth == m.Depth {
			missing[id] = true
		}
	}
	var objects atomic.Int64
	err := p.eachSlot(ctx, free, m, func(g hashed) (bool, error) {
		if !missing[g.id()] || index[g.id()].hash != g.hash {
			return false, damaged(m.ID, "its data is not what its index says")
		}
		objects.Add(int64(len(g.objects)))
		delete(missing, g.id())
		return true, nil
	}, func(ctx context.Context, n *guardian.Node, slot guardian.Slot) error {
		seen()
		return sound(ctx, m, n, slot)
	})
	if err == nil && (len(missing) > 0 || objects.Load() != int64(m.Objects)) {
		err = damaged(m.ID, "it has not all that its manifest says")
	}
	return err
}

func sound(ctx context.Context, m Manifest, n *guardian.Node, slot guardian.Slot) error {
	found, err := n.Examine(ctx, slot)
	if err != nil {
		found = guardian.Examined{Slot: slot, Unreadable: err}
	}
	return judgeExamined(m.ID, found)
}

func judgeExamined(id string, found guardian.Examined) error {
	switch {
	case found.Unreadable != nil:
		return fmt.Errorf("verifying %s of %s: %w", found.Slot.Short(), id, found.Unreadable)
	case found.Damaged:
		return damaged(id, "the version object of "+found.Slot.Short()+" does not verify")
	}
	for _, held := range found.Held {
		if !held.Sound {
			return damaged(id, found.Slot.Short()+": "+held.Problem)
		}
	}
	return nil
}
