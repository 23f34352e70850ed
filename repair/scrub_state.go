package repair

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	keyScrubProgress  = "scrub/progress"
	keyScrubInventory = "scrub/inventory"
	// scrubLease is how long a pass belongs to a replica after it was last
	// saved, and saveInterval how often that is, at least.
	scrubLease   = 30 * time.Second
	saveInterval = 10 * time.Second
	// saveSlots is after how many slots it is saved as well.
	saveSlots = 1000
	// lastSave bounds the saving of a pass that is being stopped.
	lastSave = 4 * time.Second
)

// errOtherReplica reports a pass that another replica has taken over.
var errOtherReplica = errors.New("another replica scrubs")

// scrubState is what replicas, and one process after another, know of the scrub
// of their node.
type scrubState struct {
	// Holder is the replica that scrubs, until UntilNS.
	Holder  string `json:"holder,omitempty"`
	UntilNS int64  `json:"until_ns,omitempty"`
	// FinishedNS is when the last whole pass was.
	FinishedNS int64 `json:"finished_ns,omitempty"`
	// Pass is nil between two passes.
	Pass *passState `json:"pass,omitempty"`
}

// passState is a pass as far as it got.
type passState struct {
	Report ScrubReport `json:"report"`
	// After is the last slot that is in the report.
	After SlotName `json:"after"`
	// Key is the node key that the digests were taken for, in hex.
	Key     string     `json:"key,omitempty"`
	Digests tallies    `json:"digests"`
	Hashes  identities `json:"hashes"`
}

// inventory is what the last whole pass left.
type inventory struct {
	TakenNS int64       `json:"taken_ns"`
	Report  ScrubReport `json:"report"`
	Key     string      `json:"key,omitempty"`
	Digests tallies     `json:"digests"`
}

// about returns the digests about a key: of nothing, if nothing was found that
// it should hold.
func (i *inventory) about(key ed25519.PublicKey) *digests {
	if d := i.Digests[hex.EncodeToString(key)]; d != nil {
		return d
	}
	return &digests{}
}

// heldByOther tells whether a replica other than the one named has the lease. A
// lease of longer than any is given for is none.
func (s *scrubState) heldByOther(replica string, now time.Time) bool {
	left := time.Duration(s.UntilNS - now.UnixNano())
	return s.Holder != "" && s.Holder != replica && left > 0 && left <= 2*scrubLease
}

// loadState reads the progress. One that does not verify is replaced by one of
// nothing begun.
func (s *scrubber) loadState(ctx context.Context) (*scrubState, backend.Revision, error) {
	object, rev, err := s.store.Get(ctx, keyScrubProgress)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return s.freshState(), backend.Revision{}, nil
	case errors.Is(err, backend.ErrTooLarge):
		rev = backend.AnyRevision
	case err != nil:
		return nil, rev, fmt.Errorf("reading the progress of the scrub: %w", err)
	}
	state := &scrubState{}
	if err := s.openScrub(ctx, keyScrubProgress, object, state); err != nil || !state.valid() {
		s.log.Warn("the progress of the scrub is not what this node wrote: starting afresh", "error", err)
		state = s.freshState()
		rev, err = s.saveState(ctx, state, rev)
		return state, rev, err
	}
	if state.Pass != nil && state.Pass.Key != hex.EncodeToString(s.own) {
		s.log.Info("the scrub that was begun is of another node key: starting afresh")
		state.Pass = nil
	}
	return state, rev, nil
}

// freshState is of nothing begun, and no news.
func (s *scrubber) freshState() *scrubState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &scrubState{FinishedNS: s.followedNS}
}

func (s *scrubState) valid() bool {
	p := s.Pass
	if p == nil {
		return true
	}
	after := guardian.Slot(p.After)
	return (after == guardian.Slot{} || after.Valid()) && p.Digests.valid() && p.Hashes.valid() && p.Report.valid()
}

// valid keeps what was not counted from being reported as if it were.
func (r *ScrubReport) valid() bool {
	return min(r.Slots, r.Good, r.Corrupt, r.Missing, r.Deleted, r.Moved, r.Live, r.Bytes) >= 0 && r.HighestThreshold >= 0
}

// saveState puts the progress if nobody else has, and returns its new revision.
func (s *scrubber) saveState(ctx context.Context, state *scrubState, rev backend.Revision) (backend.Revision, error) {
	object, err := s.sealScrub(keyScrubProgress, state)
	if err != nil {
		return rev, err
	}
	now, err := s.store.Put(ctx, keyScrubProgress, object, rev)
	if errors.Is(err, backend.ErrConflict) {
		return rev, errOtherReplica
	}
	if err != nil {
		return rev, fmt.Errorf("saving the progress of the scrub: %w", err)
	}
	return now, nil
}

// loadInventory returns nil where there is none that can be used.
func (s *scrubber) loadInventory(ctx context.Context) (*inventory, error) {
	object, _, err := s.store.Get(ctx, keyScrubInventory)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	found := &inventory{}
	if err := s.openScrub(ctx, keyScrubInventory, object, found); err != nil {
		return nil, fmt.Errorf("%w, and the next scrub makes another", err)
	}
	if !found.Digests.valid() || !found.Report.valid() {
		return nil, errors.New("the inventory is broken, and the next scrub makes another")
	}
	if found.Key != hex.EncodeToString(s.own) {
		return nil, nil
	}
	return found, nil
}

func (s *scrubber) saveInventory(ctx context.Context, found *inventory) error {
	object, err := s.sealScrub(keyScrubInventory, found)
	if err != nil {
		return err
	}
	if _, err := s.store.Put(ctx, keyScrubInventory, object, backend.AnyRevision); err != nil {
		return fmt.Errorf("saving the inventory: %w", err)
	}
	return nil
}
