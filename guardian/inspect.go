package guardian

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// States of a slot, as Inspect finds it.
const (
	StateLive    = "live"
	StateDeleted = "deleted"
	StateDamaged = "damaged"
	StateMoved   = "moved" // to other nodes
)

// Info is what an operator may see of a slot. It holds no share.
type Info struct {
	Identity string           `json:"identity"`
	Name     string           `json:"name,omitempty"`
	State    string           `json:"state"`
	Version  uint64           `json:"version"`
	Retained []GenerationInfo `json:"retained,omitempty"`
	// Problem says what is damaged.
	Problem string `json:"problem,omitempty"`
}

// GenerationInfo is one retained generation, newest first.
type GenerationInfo struct {
	Version    uint64 `json:"version"`
	Epoch      uint64 `json:"epoch"`
	Generation string `json:"generation"`
	Size       int    `json:"size"`
	Threshold  int    `json:"threshold"`
	Split      string `json:"split,omitempty"`
	KeyID      string `json:"key_id"`
	CreatedNS  int64  `json:"created_ns"`
}

// Slots walks the slots that the storage holds anything for, deleted and
// damaged ones included, in order. Errors wrap api.ErrStorageUnavailable.
func (n *Node) Slots(ctx context.Context) iter.Seq2[Slot, error] { return slotsOf(ctx, n.store) }

// SlotsBehind is Slots from the first one behind another, which need not be
// there; the zero Slot is before all.
func (n *Node) SlotsBehind(ctx context.Context, after Slot) iter.Seq2[Slot, error] {
	return slotsBehind(ctx, n.store, after)
}

// Inspect reads and verifies everything of a slot. What is damaged is told in
// the Info; errors are api.ErrNotFound, api.ErrKeyUnavailable and
// api.ErrStorageUnavailable.
func (n *Node) Inspect(ctx context.Context, slot Slot) (Info, error) {
	info := Info{Identity: slot.Identity, Name: slot.Name, State: StateLive}
	from, err := n.readCommit(ctx, slot)
	if errors.Is(err, api.ErrIntegrityFailed) {
		info.State, info.Problem = StateDamaged, err.Error()
		return info, nil
	}
	if err != nil {
		return Info{}, err
	}
	if from.commit == nil {
		return Info{}, api.ErrNotFound
	}
	info.Version = from.commit.current
	switch {
	case from.commit.deleted():
		info.State = StateDeleted
	case from.commit.moved != nil:
		info.State = StateMoved
	}
	return info, n.inspectGenerations(ctx, slot, from, &info)
}

func (n *Node) inspectGenerations(ctx context.Context, slot Slot, from stored, info *Info) error {
	for _, g := range from.commit.named() {
		_, st, err := n.verified(ctx, slot, from, g)
		switch {
		case errors.Is(err, errAgain): // replaced meanwhile
			continue
		case errors.Is(err, api.ErrIntegrityFailed):
			info.State, info.Problem = StateDamaged, err.Error()
			continue
		case err != nil:
			return err
		}
		info.Retained = append(info.Retained, GenerationInfo{
			Version: st.Version, Epoch: st.Epoch, Generation: g.String(), Size: st.Size, Threshold: st.Threshold,
			Split: st.Split, KeyID: st.KeyID, CreatedNS: st.CreatedNS,
		})
	}
	return nil
}

// Purge removes everything of a slot, its version included, so that any
// version can be pushed again: the operator's way out, and the one way in
// which a version can go back. Errors: api.ErrNotFound when there is nothing,
// api.ErrStorageUnavailable; repeating it is always safe.
func (n *Node) Purge(ctx context.Context, slot Slot) error {
	var keys []string
	for entry, err := range n.store.List(ctx, slot.prefix(), "") {
		if err != nil {
			return unavailable("listing objects", err)
		}
		keys = append(keys, entry.Key)
	}
	if len(keys) == 0 {
		return api.ErrNotFound
	}
	// The version goes first: what is left after a crash then looks like an
	// uncommitted push, not like a damaged share.
	for _, key := range append([]string{slot.commitKey(), slot.quarantineKey()}, keys...) {
		if err := n.store.Delete(ctx, key, backend.AnyRevision); err != nil {
			return unavailable(fmt.Sprintf("purging %s", slot.Short()), err)
		}
	}
	n.guesses.Remove(slot)
	n.marked.remove(slot)
	return nil
}
