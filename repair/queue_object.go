package repair

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

const (
	prefixItems = "items/"
	// maxItemSize bounds an item's object, in bytes. Two counts of 255 holders
	// are about 60 KiB.
	maxItemSize = 256 << 10
	// maxProblem bounds the text of the last error, in bytes.
	maxProblem = 200
)

// Times further off than these were written under a clock that was wrong, and
// hold up nothing.
const (
	latestRetry = 2 * maxBackoff
	latestLease = 10 * leaseTime
)

// queued is an item as it is stored.
type queued struct {
	SlotName
	Reason Reason `json:"reason"`
	Good   int    `json:"good"`
	File   string `json:"file,omitempty"`
	// Adds counts the wishes, so that one made during a repair shows.
	Adds     uint64 `json:"adds"`
	Attempts int    `json:"attempts"`
	AddedNS  int64  `json:"added_ns"`
	TriedNS  int64  `json:"tried_ns,omitempty"`
	NextNS   int64  `json:"next_ns"`

	LastError string  `json:"last_error,omitempty"`
	Report    *Report `json:"report,omitempty"`

	// Holder is the process that works on it, until LeaseNS.
	Holder  string `json:"holder,omitempty"`
	LeaseNS int64  `json:"lease_ns,omitempty"`

	// Nonce makes two writes differ, and with them their revisions.
	Nonce string `json:"nonce"`
}

func newQueued(item Item, now time.Time) queued {
	return queued{
		SlotName: SlotName(item.Slot), Reason: item.Reason, Good: max(item.Good, -1), File: item.File,
		Adds: 1, AddedNS: now.UnixNano(), NextNS: now.UnixNano(),
	}
}

func (i queued) slot() guardian.Slot { return guardian.Slot(i.SlotName) }

// merged returns i with a further wish for it, and whether it needs writing. An
// item that somebody works on, or did and has not put back, always does: what
// was seen may have come after the repair had looked.
func (i queued) merged(item Item, now time.Time) (queued, bool) {
	differs := i.Holder != ""
	if item.Good >= 0 && (i.Good < 0 || item.Good < i.Good) {
		i.Good, differs = item.Good, true
	}
	if item.Reason == ReasonDamaged && i.Reason.isHint() {
		i.Reason, differs = ReasonDamaged, true
	}
	if item.Reason == ReasonOperator && (i.Reason != ReasonOperator || i.NextNS > now.UnixNano()) {
		i.Reason, i.NextNS, differs = ReasonOperator, now.UnixNano(), true
	}
	if i.File == "" && item.File != "" {
		i.File, differs = item.File, true
	}
	i.Adds++
	return i, differs
}

// dueAt returns when the process id may take the item, in ns; woken is when
// everything was last asked to be tried, whatever its backoff. Where the clock
// was set back since, that counts for nothing: no attempt would come after it.
func (i queued) dueAt(id string, now time.Time, woken int64) int64 {
	at := believed(i.NextNS, now, latestRetry)
	if i.TriedNS < woken && woken <= now.UnixNano() {
		at = 0
	}
	if i.Holder != "" && i.Holder != id {
		at = max(at, believed(i.LeaseNS, now, latestLease))
	}
	return at
}

func believed(at int64, now time.Time, atMost time.Duration) int64 {
	if at > now.Add(atMost).UnixNano() {
		return 0
	}
	return at
}

// encode returns the item's object. A report too large for it is left out.
func (i queued) encode() ([]byte, error) {
	i.Nonce = rand.Text()
	data, err := json.Marshal(i)
	if err == nil && len(data) > maxItemSize {
		i.Report = nil
		data, err = json.Marshal(i)
	}
	return data, err
}

// decodeQueued reads the object of a slot's item.
func decodeQueued(slot guardian.Slot, data []byte) (queued, error) {
	var i queued
	if len(data) > maxItemSize {
		return queued{}, fmt.Errorf("item of %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &i); err != nil {
		return queued{}, errors.New("item is not JSON of its kind")
	}
	if i.slot() != slot || i.Good < -1 || i.Attempts < 0 || i.AddedNS < 0 || !knownReason(i.Reason) {
		return queued{}, errors.New("item of another slot, or out of range")
	}
	return i, nil
}

func knownReason(r Reason) bool {
	switch r {
	case ReasonDamaged, ReasonMissing, ReasonStale, ReasonOperator, ReasonNotice:
		return true
	}
	return false
}

// read returns the item of a slot. A broken object still names its slot by its
// key: it stands for a wish to look at that.
func (q *queue) read(ctx context.Context, slot guardian.Slot) (queued, backend.Revision, error) {
	data, rev, err := q.store.Get(ctx, itemKey(slot))
	if err != nil && !errors.Is(err, backend.ErrTooLarge) {
		return queued{}, backend.Revision{}, err
	}
	item, problem := decodeQueued(slot, data)
	if err != nil || problem != nil {
		q.log.Warn("broken item in the repair queue, taken as new", "identity", slot.Short(), "error", errors.Join(err, problem))
		item = newQueued(Item{Slot: slot, Reason: ReasonDamaged, Good: -1}, q.now())
	}
	if err != nil {
		rev = backend.AnyRevision // it has none to be told by, and whatever it is must go
	}
	return item, rev, nil
}

// write puts the item at rev and tells the index.
func (q *queue) write(ctx context.Context, item queued, rev backend.Revision) (backend.Revision, error) {
	data, err := item.encode()
	if err != nil {
		return backend.Revision{}, fmt.Errorf("encoding item: %w", err)
	}
	rev, err = q.store.Put(ctx, itemKey(item.slot()), data, rev)
	if err == nil {
		q.index.observe(item, q.now())
	}
	return rev, err
}

func itemKey(slot guardian.Slot) string {
	if slot.Name == "" {
		return prefixItems + "shares/" + slot.Identity
	}
	return prefixItems + "vaults/" + slot.Identity + "/" + slot.Name
}

// itemSlot reads the slot from an item's key.
func itemSlot(key string) (guardian.Slot, bool) {
	var slot guardian.Slot
	if identity, ok := strings.CutPrefix(key, prefixItems+"shares/"); ok {
		slot.Identity = identity
	} else if rest, ok := strings.CutPrefix(key, prefixItems+"vaults/"); ok {
		slot.Identity, slot.Name, _ = strings.Cut(rest, "/")
	}
	return slot, slot.Valid() && itemKey(slot) == key
}

// problemText is an error short enough to be kept, on one line.
func problemText(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxProblem)], "")
}
