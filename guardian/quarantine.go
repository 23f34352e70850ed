package guardian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
)

// Marker records that a slot was found damaged. It changes nothing about how
// the slot is served: every read verifies anyway.
type Marker struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	// Object is what failed: "version", or a generation.
	Object  string `json:"object"`
	Reason  string `json:"reason"`
	FoundNS int64  `json:"found_ns"`
}

// markTimeout bounds the writing of a marker, which outlives its request.
const markTimeout = 4 * time.Second

// damaged quarantines a slot and returns the error of the protocol.
func (n *Node) damaged(ctx context.Context, slot Slot, object string, cause error) error {
	n.log.Error(fmt.Sprintf("integrity check failed for %s: %s: %v", slot.Short(), object, cause),
		"identity", slot.Short(), "object", object)
	n.marked.add(slot)
	if n.cfg.Damaged != nil {
		n.cfg.Damaged(slot)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	text, err := json.Marshal(Marker{slot.Identity, slot.Name, object, cause.Error(), time.Now().UnixNano()})
	if err == nil {
		_, err = n.store.Put(ctx, slot.quarantineKey(), text, backend.Revision{})
	}
	if err != nil && !errors.Is(err, backend.ErrConflict) {
		n.log.Warn("writing quarantine marker failed", "identity", slot.Short(), "error", err)
	}
	return fmt.Errorf("%w: %s: %w", api.ErrIntegrityFailed, object, cause)
}

// unmark forgets that a slot was damaged, once something sound replaced it.
func (n *Node) unmark(ctx context.Context, slot Slot) {
	if n.marked.has(slot) {
		n.removeMark(ctx, slot)
	}
}

// removeMark also removes the mark of another process.
func (n *Node) removeMark(ctx context.Context, slot Slot) {
	if err := n.store.Delete(ctx, slot.quarantineKey(), backend.AnyRevision); err != nil {
		n.log.Warn("removing quarantine marker failed", "identity", slot.Short(), "error", err)
		return
	}
	n.marked.remove(slot)
}

// Markers walks the quarantine, in order of identity.
func (n *Node) Markers(ctx context.Context) iter.Seq2[Marker, error] {
	return func(yield func(Marker, error) bool) {
		for entry, err := range n.store.List(ctx, prefixQuarantine, "") {
			if err != nil {
				yield(Marker{}, unavailable("listing quarantine", err))
				return
			}
			marker, err := n.marker(ctx, entry.Key)
			if errors.Is(err, backend.ErrNotFound) {
				continue
			}
			if !yield(marker, err) || err != nil {
				return
			}
		}
	}
}

// marker reads one marker. The key says whose it is, whatever the text says.
func (n *Node) marker(ctx context.Context, key string) (Marker, error) {
	text, _, err := n.store.Get(ctx, key)
	if err != nil {
		return Marker{}, fmt.Errorf("reading quarantine marker: %w", err)
	}
	var marker Marker
	if err := json.Unmarshal(text, &marker); err != nil {
		marker = Marker{Reason: "the marker itself is damaged"}
	}
	marker.Object, marker.Reason = graphic(marker.Object), graphic(marker.Reason)
	slot, _ := parseSlot(strings.TrimPrefix(key, prefixQuarantine)) // a foreign object names nobody
	marker.Identity, marker.Name = slot.Identity, slot.Name
	return marker, nil
}

// graphic keeps what was written into the storage by others from driving a
// terminal.
func graphic(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, text)
}

// learnMarks learns what other processes have marked and unmarked.
func (n *Node) learnMarks(ctx context.Context) error {
	for _, slot := range n.marked.all() {
		if _, _, err := n.store.Get(ctx, slot.quarantineKey()); errors.Is(err, backend.ErrNotFound) {
			n.marked.remove(slot)
		}
	}
	for entry, err := range n.store.List(ctx, prefixQuarantine, "") {
		if err != nil {
			return unavailable("listing quarantine", err)
		}
		if slot, ok := parseSlot(strings.TrimPrefix(entry.Key, prefixQuarantine)); ok {
			n.marked.add(slot)
		}
	}
	return nil
}

// Unquarantine takes a slot out of quarantine after verifying all that its commit
// names; what is damaged stays in, with the error of the protocol.
func (n *Node) Unquarantine(ctx context.Context, slot Slot) error {
	if _, _, err := n.store.Get(ctx, slot.quarantineKey()); err != nil {
		if errors.Is(err, backend.ErrNotFound) {
			return fmt.Errorf("%w: not in quarantine", api.ErrNotFound)
		}
		return unavailable("reading quarantine", err)
	}
	if err := n.verifySlot(ctx, slot); err != nil {
		return err
	}
	n.marked.add(slot)
	n.unmark(ctx, slot)
	return nil
}

// Drop gives up what is damaged of a slot. Where the current share is sound,
// that is only the older versions that are not. Else a tombstone takes the
// place of the share, so that it is answered as not found and the owner's next
// version is taken, and its objects go; the version is kept as high as anything
// in the slot claims to be. A slot that verifies is refused with ErrNotDamaged.
func (n *Node) Drop(ctx context.Context, slot Slot) error {
	if err := n.verifySlot(ctx, slot); err == nil {
		return ErrNotDamaged
	} else if !errors.Is(err, api.ErrIntegrityFailed) {
		return err
	}
	raw, rev, err := n.store.Get(ctx, slot.commitKey())
	if err != nil {
		return unavailable("reading version object", err)
	}
	before, _ := openCommit(ctx, n.sealer, slot, raw) // nil when it is what is damaged
	next, err := n.soundPart(ctx, slot, raw)
	if err == nil && next == nil {
		next, err = n.grave(ctx, slot, raw)
	}
	if err != nil {
		return err
	}
	return n.giveUp(ctx, slot, rev, before, next)
}

// DropOlder gives up the retained older versions of a slot that are damaged. The
// current share must be sound, and stays: else api.ErrIntegrityFailed, and nothing
// was changed. Other errors are those of Drop.
func (n *Node) DropOlder(ctx context.Context, slot Slot) error {
	from, err := n.readCommit(ctx, slot)
	if err != nil {
		return err
	}
	next, err := n.soundPart(ctx, slot, from.raw)
	switch {
	case err != nil:
		return err
	case next == nil:
		return fmt.Errorf("%w: the current share is not sound either", api.ErrIntegrityFailed)
	case len(next.older) == len(from.commit.older):
		return ErrNotDamaged
	}
	return n.giveUp(ctx, slot, from.rev, from.commit, next)
}

// giveUp commits what is left of a slot.
func (n *Node) giveUp(ctx context.Context, slot Slot, rev backend.Revision, before, next *commit) error {
	if err := n.swap(ctx, slot, rev, next); err != nil {
		return unavailable("committing", err)
	}
	n.guesses.Remove(slot)
	n.marked.add(slot)
	n.unmark(ctx, slot)
	n.dropReplaced(ctx, slot, before, next)
	return nil
}

// soundPart is the commit without the older versions that are damaged, or nil
// when what is damaged is the current version or the commit itself. What could
// not be read for another reason is an error, not damage.
func (n *Node) soundPart(ctx context.Context, slot Slot, raw []byte) (*commit, error) {
	c, err := openCommit(ctx, n.sealer, slot, raw)
	if err != nil || c.deleted() {
		return nil, nil
	}
	var sound []generation
	for _, g := range c.named() {
		_, _, err := n.verify(ctx, slot, g)
		if err == nil {
			sound = append(sound, g)
		} else if err = n.faulty(ctx, slot, g, err); !errors.Is(err, api.ErrIntegrityFailed) {
			return nil, err
		}
	}
	if c.live == nil {
		c.older = sound
		return c, nil
	}
	if len(sound) == 0 || sound[0] != *c.live {
		return nil, nil
	}
	c.older = sound[1:]
	return c, nil
}

// ErrNotDamaged refuses to drop a slot that verifies.
var ErrNotDamaged = errors.New("everything of this identity verifies: nothing to drop")

// grave is the tombstone for a damaged slot: at the version of a `version`
// object that verifies, else at the highest that anything in the slot claims.
// What damaged statements say of ownership is kept: it can only refuse more.
func (n *Node) grave(ctx context.Context, slot Slot, raw []byte) (*commit, error) {
	c, err := openCommit(ctx, n.sealer, slot, raw)
	found, errList := n.generations(ctx, slot)
	if errList != nil {
		return nil, errList
	}
	next := &commit{}
	if err == nil {
		next.current, next.standing = c.current, c.standing
	} else {
		firstLine, _, _ := strings.Cut(string(raw), "\n")
		next.current, _ = parseVersion(firstLine)
		for g := range found.ages {
			next.current = max(next.current, g.version)
		}
	}
	next.standing.keep(n.claimed(ctx, slot, found))
	return next, nil
}

// claimed is what all that is found says of ownership, verified or not.
func (n *Node) claimed(ctx context.Context, slot Slot, found listing) (all standing) {
	for g := range found.ages {
		all.keep(n.claims(ctx, slot, g))
	}
	return all
}

// claims reads what a statement says of ownership, verified or not.
func (n *Node) claims(ctx context.Context, slot Slot, g generation) standing {
	sealed, _, err := n.store.Get(ctx, slot.checksumKey(g))
	if err != nil || len(sealed) < 32 {
		return standing{}
	}
	var st struct {
		Owned    bool
		Proof    int
		Manifest []byte
	}
	if json.Unmarshal(sealed[32:], &st) != nil {
		return standing{}
	}
	return standing{owned: st.Owned, proof: st.Proof, manifest: len(st.Manifest) > 0}
}

// marked is the set of slots that this process knows as damaged.
type marked struct {
	mu    sync.Mutex
	slots map[Slot]struct{}
}

func (m *marked) add(slot Slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots == nil {
		m.slots = map[Slot]struct{}{}
	}
	m.slots[slot] = struct{}{}
}

func (m *marked) remove(slot Slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.slots, slot)
}

func (m *marked) has(slot Slot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.slots[slot]
	return ok
}

func (m *marked) all() []Slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.slots))
}

func (m *marked) len() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.slots))
}
