package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/shamir"
)

// What is looked at all the time is elsewhere: that versions never go back in
// storage_test.go, that nobody sees another's share in leak_test.go, that audits
// name nobody who is honest in operators_test.go.

// healTime is how long it may take until everything is whole, and calmTime how
// long it must stay so.
const (
	healTime = 20 * time.Minute
	calmTime = scrubInterval + 5*time.Second
)

// heal ends the faults, gives the guardians time, and wants everything whole.
func (w *world) heal() {
	w.sched.weather = weather{}
	clear(w.apart)
	for _, h := range w.hosts {
		if len(h.up) == 0 {
			h.start()
		}
	}
	w.note("the storm is over")
	w.run(longestDelay)
	if w.rng.IntN(4) > 0 {
		w.finish()
	}
	if w.rng.IntN(3) == 0 {
		w.press()
	}
	w.secure()
	patience := healTime
	if w.plant != (plant{}) { // it need not be shown that time does not help
		patience = time.Minute
	}
	for end := time.Now().Add(patience); ; {
		w.runUntil(time.Until(end), func() bool { return len(w.wounds()) == 0 })
		w.run(calmTime)
		if len(w.wounds()) == 0 || !time.Now().Before(end) || w.count.Events >= maxEvents {
			break
		}
	}
	for _, wound := range w.wounds() {
		w.broken("after healing: %s", wound)
	}
	w.secure()
	w.finalAudit()
}

// finish is owners who come back to what they began.
func (w *world) finish() {
	w.runUntil(time.Minute, w.idle)
	for range 3 {
		for _, s := range w.secrets {
			if newest := s.newest(); s.deleting >= newest.number && !s.deleted {
				s.remove(time.Minute)
			} else if !newest.acked && s.deleting < newest.number {
				s.pushNext(time.Minute)
			}
		}
		w.runUntil(2*time.Minute, w.idle)
	}
}

// secure wants every acknowledged secret to be there: K shares as they are on the
// disks give what its owner pushed.
func (w *world) secure() {
	for _, s := range w.secrets {
		if s.acked == nil {
			continue
		}
		v := s.recoverable()
		if v == nil {
			w.broken("version %d of %s was acknowledged, and is lost: %d of %d shares are left",
				s.acked.number, s.slot.Short(), len(s.holders(s.acked)), s.acked.k)
			continue
		}
		w.rebuild(s, v)
	}
}

func (w *world) rebuild(s *secret, v *version) {
	holders := s.holders(v)
	w.rng.Shuffle(len(holders), func(i, j int) { holders[i], holders[j] = holders[j], holders[i] })
	var shares [][]byte
	for _, h := range holders[:v.k] {
		shares = append(shares, h.shareOf(s, v))
	}
	payload, err := shamir.Combine(shares)
	if err != nil || !bytes.Equal(payload, v.payload) {
		w.broken("version %d of %s is rebuilt to something else: %v", v.number, s.slot.Short(), err)
	}
}

func (h *host) shareOf(s *secret, v *version) []byte {
	now, _ := h.current(s)
	for _, generation := range now.named {
		if h.isOf(s, v, generation) {
			share, _, _ := h.disk.get(placeOf(s.slot) + "/" + generation + "/share.bin")
			return share
		}
	}
	return nil
}

// wounds are what is not whole yet.
func (w *world) wounds() []string {
	var all []string
	w.count.Exempt, w.count.Hopeless, w.count.Waiting = 0, 0, 0
	for _, s := range w.secrets {
		if s.acked == nil {
			continue
		}
		v := s.recoverable()
		if v == nil {
			return []string{s.slot.Short() + " is lost"}
		}
		for _, h := range w.hosts {
			if why := h.wound(s, v); why != "" {
				all = append(all, why)
			}
		}
	}
	for _, h := range w.hosts {
		all = append(all, h.leftovers()...)
	}
	return all
}

// wound is what keeps a guardian from being whole: it must have its share of the
// newest version that can be rebuilt, byte for byte. It need not where it
// accepted a later one that was never acknowledged, and does not keep the one
// before it, even if that later one is damaged by now; or where it has that of
// another device.
func (h *host) wound(s *secret, v *version) string {
	if h.holds(s, v) {
		return ""
	}
	now, ok := h.current(s)
	for _, other := range s.versions {
		later := other.number > v.number && now.current == other.number
		twin := other.number == v.number && other != v && h.holds(s, other)
		if ok && (later || twin) {
			h.world.count.Exempt++
			return ""
		}
	}
	if h.waits(s, v) {
		h.world.count.Waiting++
		return ""
	}
	if h.deceived(s, v) {
		h.world.count.Hopeless++
		return ""
	}
	return fmt.Sprintf("%s lacks its share of version %d of %s; it has %+v", h.id, v.number, s.slot.Short(), now)
}

// waits tells whether a guardian whose version object is damaged has a sound share
// beside it that may have been committed, of a later version or of another
// device: it then changes nothing for a day.
func (h *host) waits(s *secret, v *version) bool {
	if _, ok := h.current(s); ok {
		return false
	}
	for _, key := range h.objectsOf(s) {
		generation, is := strings.CutSuffix(strings.TrimPrefix(key, placeOf(s.slot)+"/"), "/share.bin")
		if !is || numberOf(generation) < v.number {
			continue
		}
		for _, other := range s.versions {
			if other != v && h.isOf(s, other, generation) {
				return true
			}
		}
	}
	return false
}

// deceived tells whether a guardian lacks its share of a version that reached K
// others, but not as many as an acknowledgement takes, of whom some lie: too few
// of the rest can help.
func (h *host) deceived(s *secret, v *version) bool {
	return v != nil && !v.acked && !h.holds(s, v) && s.helpers(v, h) < v.k
}

// leftovers are items in the queue and marks of damage, but for what nobody can
// mend: as long as there is such, the file of an operator that names it stays.
func (h *host) leftovers() []string {
	stuck := map[string]bool{}
	for _, s := range h.world.secrets {
		stuck[placeOf(s.slot)] = h.hopeless(s)
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(h.disk.mem.Objects())) {
		place, ofSlot := cutPrefixes(key, "queue/items/", "quarantine/")
		_, ofFile := cutPrefixes(key, "queue/inbox/", "queue/taken/")
		switch {
		case ofSlot && stuck[place], ofFile && slices.Contains(slices.Collect(maps.Values(stuck)), true):
			h.world.count.Hopeless++
		case ofSlot || ofFile:
			all = append(all, fmt.Sprintf("%s still has %s%s", h.id, key, h.why(key)))
		}
	}
	return all
}

// why is what an item of the queue says of its last attempt.
func (h *host) why(key string) string {
	var item struct {
		LastError string `json:"last_error"`
	}
	if data, _, err := h.disk.get(key); err != nil || json.Unmarshal(data, &item) != nil || item.LastError == "" {
		return ""
	}
	return ": " + item.LastError
}

func cutPrefixes(key string, prefixes ...string) (rest string, found bool) {
	for _, prefix := range prefixes {
		if rest, found = strings.CutPrefix(key, prefix); found {
			return rest, true
		}
	}
	return key, false
}

// hopeless tells whether a guardian has something of a secret damaged that too
// few others have to rebuild it; or what is pushed was never acknowledged, or a
// delete not; or it is deleted and what is damaged is the version object, for
// which the tombstones of others prove nothing; or what could be rebuilt was
// never acknowledged, and of those who have it some lie.
func (h *host) hopeless(s *secret) bool {
	now, ok := h.current(s)
	if _, _, err := h.disk.get(placeOf(s.slot) + "/version"); s.acked == nil && (!s.deleted || s.open() > 0 || !ok && err == nil) {
		return true
	}
	if s.acked != nil && h.waits(s, s.acked) {
		return true
	}
	if s.acked != nil && h.deceived(s, s.recoverable()) {
		return true
	}
	return ok && slices.ContainsFunc(now.named, func(generation string) bool { return h.lost(s, generation) })
}

// lost tells whether a generation is damaged and cannot be had again.
func (h *host) lost(s *secret, generation string) bool {
	for _, v := range s.versions {
		if v.number == numberOf(generation) && (h.isOf(s, v, generation) || s.helpers(v, h) >= v.k) {
			return false
		}
	}
	return true
}
