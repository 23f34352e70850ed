package repair

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// indexLimit bounds the items that are kept in mind, of about 400 bytes each. Of
// a longer queue those due and most urgent are, and the next pass over storage
// finds more.
const indexLimit = 50_000

// indexSlack is by how much the index may outgrow its limit, so that it is not
// sorted at each item.
const indexSlack = 8 // one in this many

// queueIndex remembers what is due next. All it knows are hints: storage
// decides when an item is taken.
type queueIndex struct {
	id    string
	limit int

	mu        sync.Mutex
	entries   map[guardian.Slot]*queueEntry
	fresh     queueHeap // may be taken for the first time, most urgent first
	again     queueHeap // may be taken once more, most urgent first
	waiting   queueHeap // may not be taken, earliest first
	lastFresh bool      // what was taken last was fresh
	hints     int       // entries that are hints of others
	outside   int       // hints in storage that are not here, or more than there are
	woken     int64
	pass      uint64
	passed    bool       // a pass was completed
	truncated bool       // there are items in storage that are not here
	counted   itemCounts // by the last pass
	taken     int        // since then
}

// queueEntry is one item as it was last seen.
type queueEntry struct {
	slot    guardian.Slot
	rank    int // fewest good shares first, those not counted last
	reason  Reason
	added   int64
	at      int64 // when it may be taken
	tried   bool  // before, without success
	working bool  // by this process

	in       *queueHeap
	position int

	// What the listing told when the item was read, and whether it told the same
	// in two passes: two writes within a storage's tick look alike.
	modified time.Time
	size     int64
	settled  bool
	pass     uint64 // that saw it last
}

func newQueueIndex(id string, limit int) *queueIndex {
	x := &queueIndex{id: id, limit: limit, entries: map[guardian.Slot]*queueEntry{}}
	x.fresh.less, x.again.less = moreUrgent, moreUrgent
	x.waiting.less = func(a, b *queueEntry) bool { return a.at < b.at }
	return x
}

func moreUrgent(a, b *queueEntry) bool { return compareUrgency(a, b) < 0 }

// compareUrgency puts hints last: others can give many, and what is counted of
// them is what others say, too.
func compareUrgency(a, b *queueEntry) int {
	return cmp.Or(compareBools(a.reason.isHint(), b.reason.isHint()), cmp.Compare(a.rank, b.rank), cmp.Compare(a.added, b.added))
}

// compareBools puts false first.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// observe takes in an item as this process wrote or read it.
func (x *queueIndex) observe(item queued, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.update(item, now)
	e.modified, e.size, e.settled = time.Time{}, 0, false
	x.trim(now)
}

// found takes in an item that a pass read, as it was listed.
func (x *queueIndex) found(item queued, listed backend.Entry, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.update(item, now)
	e.settled = e.modified.Equal(listed.ModTime) && e.size == listed.Size
	e.modified, e.size = listed.ModTime, listed.Size
	x.trim(now)
}

func (x *queueIndex) update(item queued, now time.Time) *queueEntry {
	slot := item.slot()
	e := x.entries[slot]
	if e == nil {
		e = &queueEntry{slot: slot}
		x.entries[slot] = e
	}
	x.countHint(e.reason, -1)
	x.countHint(item.Reason, 1)
	e.pass, e.reason, e.added, e.tried = x.pass, item.Reason, item.AddedNS, item.Attempts > 0
	e.rank = item.Good
	if item.Good < 0 {
		e.rank = math.MaxInt
	}
	e.at = item.dueAt(x.id, now, x.woken)
	x.place(e, now)
	return e
}

func (x *queueIndex) countHint(reason Reason, by int) {
	if reason.isHint() {
		x.hints += by
	}
}

// place puts an entry into the heap where it belongs; what is worked on is in
// none.
func (x *queueIndex) place(e *queueEntry, now time.Time) {
	if e.in != nil {
		heap.Remove(e.in, e.position)
	}
	switch {
	case e.working:
	case e.at > now.UnixNano():
		heap.Push(&x.waiting, e)
	case e.tried:
		heap.Push(&x.again, e)
	default:
		heap.Push(&x.fresh, e)
	}
}

// known reports whether an item is here as it is listed, and need not be read.
func (x *queueIndex) known(slot guardian.Slot, listed backend.Entry, now time.Time, sum *itemCounts) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entries[slot]
	if e == nil || !e.working && (!e.settled || !e.modified.Equal(listed.ModTime) || e.size != listed.Size) {
		return false
	}
	e.pass = x.pass
	sum.add(e.reason, e.at, e.working, now)
	return true
}

// drop forgets an item that is gone.
func (x *queueIndex) drop(slot guardian.Slot) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(x.entries[slot])
}

func (x *queueIndex) forget(e *queueEntry) {
	if e == nil {
		return
	}
	if e.in != nil {
		heap.Remove(e.in, e.position)
	}
	x.countHint(e.reason, -1)
	delete(x.entries, e.slot)
}

// next returns the most urgent item that is due, which is then worked on, or how
// long until there may be one.
func (x *queueIndex) next(now time.Time) (guardian.Slot, time.Duration, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.waiting.entries) > 0 && x.waiting.entries[0].at <= now.UnixNano() {
		x.place(x.waiting.entries[0], now)
	}
	if from := x.turn(); len(from.entries) > 0 {
		e := from.entries[0]
		e.working, x.lastFresh = true, !e.tried
		x.place(e, now)
		x.taken++
		return e.slot, 0, true
	}
	if len(x.waiting.entries) > 0 {
		return guardian.Slot{}, time.Duration(x.waiting.entries[0].at - now.UnixNano()), false
	}
	return guardian.Slot{}, math.MaxInt64, false
}

// turn returns from where to take next. First attempts and later ones take
// turns: what fails again and again, and takes its time over it, does not keep
// from being tried what never was, nor the other way round.
func (x *queueIndex) turn() *queueHeap {
	if len(x.fresh.entries) == 0 || x.lastFresh && len(x.again.entries) > 0 {
		return &x.again
	}
	return &x.fresh
}

// rest ends the work on an item, for which nothing is to be done before the time
// given or what was observed of it, whichever is later.
func (x *queueIndex) rest(slot guardian.Slot, until, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[slot]; e != nil {
		e.working = false
		e.at = max(e.at, until.UnixNano())
		x.place(e, now)
	}
}

// wake makes everything due that was not tried since.
func (x *queueIndex) wake(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.woken = now.UnixNano()
	for _, e := range x.entries {
		e.at = 0 // a lease of somebody else shows when it is taken
		x.place(e, now)
	}
}

// isWorking reports whether this process works on an item.
func (x *queueIndex) isWorking(slot guardian.Slot) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entries[slot]
	return e != nil && e.working
}

// isFullFor reports whether there are as many hints as there may be, and the
// slot is not among what is known to be queued.
func (x *queueIndex) isFullFor(slot guardian.Slot) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hints+x.outside >= maxHinted && x.entries[slot] == nil
}

// hinted returns how many items are hints, as far as this process knows.
func (x *queueIndex) hinted() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hints + x.outside
}

// hasPassed reports whether a pass over storage was completed.
func (x *queueIndex) hasPassed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.passed
}

// lastWoken returns when wake was called last, in ns.
func (x *queueIndex) lastWoken() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.woken
}

// beginPass begins a pass over storage, of which only one is made at a time.
func (x *queueIndex) beginPass() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pass++
	x.truncated, x.taken = false, 0
}

// endPass forgets what the pass did not see.
func (x *queueIndex) endPass(sum itemCounts) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.entries {
		if e.pass != x.pass && !e.working {
			x.forget(e)
		}
	}
	x.passed, x.counted, x.outside = true, sum, max(0, sum.hints()-x.hints)
}

// drained reports, once, that so much was worked off that another pass is due
// early: all there was, or most of what a truncated index had that was due.
func (x *queueIndex) drained() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.taken > 0 && len(x.entries) == 0
	most := x.truncated && x.taken >= x.limit/2 && len(x.fresh.entries)+len(x.again.entries) <= x.limit/indexSlack
	if !all && !most {
		return false
	}
	x.taken = 0
	return true
}

// trim drops the least urgent when there are too many.
func (x *queueIndex) trim(now time.Time) {
	if len(x.entries) <= x.limit+x.limit/indexSlack {
		return
	}
	for _, e := range x.sorted(now)[x.limit:] {
		if e.working {
			continue
		}
		if e.reason.isHint() {
			x.outside++
		}
		x.forget(e)
	}
	x.truncated = true
}

// sorted returns the entries in the order in which they come up.
func (x *queueIndex) sorted(now time.Time) []*queueEntry {
	all := make([]*queueEntry, 0, len(x.entries))
	for _, e := range x.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *queueEntry) int {
		due := now.UnixNano()
		return cmp.Or(
			cmp.Compare(a.stage(due), b.stage(due)), cmp.Compare(max(a.at, due), max(b.at, due)),
			compareBools(a.tried, b.tried), compareUrgency(a, b),
			cmp.Compare(a.slot.Identity, b.slot.Identity), cmp.Compare(a.slot.Name, b.slot.Name))
	})
	return all
}

// stage is 0 while worked on, 1 when due, 2 when not.
func (e *queueEntry) stage(now int64) int {
	switch {
	case e.working:
		return 0
	case e.at <= now:
		return 1
	default:
		return 2
	}
}

// first returns the slots that come up first, at most n.
func (x *queueIndex) first(n int, now time.Time) []guardian.Slot {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.sorted(now)
	slots := make([]guardian.Slot, 0, min(n, len(all)))
	for _, e := range all[:min(n, len(all))] {
		slots = append(slots, e.slot)
	}
	return slots
}

// itemCounts says how many items there are.
type itemCounts struct {
	queued, due, waiting, working int

	reasons map[Reason]int
}

func (c *itemCounts) add(reason Reason, at int64, working bool, now time.Time) {
	if c.reasons == nil {
		c.reasons = map[Reason]int{}
	}
	c.queued++
	c.reasons[reason]++
	switch {
	case working:
		c.working++
	case at <= now.UnixNano():
		c.due++
	default:
		c.waiting++
	}
}

func (c *itemCounts) hints() (n int) {
	for reason, of := range c.reasons {
		if reason.isHint() {
			n += of
		}
	}
	return n
}

// counts returns the counts of now, or where not all items are here those of the
// last pass, and whether they are exact as far as this process knows.
func (x *queueIndex) counts(now time.Time) (itemCounts, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.truncated && x.passed {
		return x.counted, false
	}
	var sum itemCounts
	for _, e := range x.entries {
		sum.add(e.reason, e.at, e.working, now)
	}
	return sum, x.passed && !x.truncated
}

// queueHeap is a heap whose entries know their place in it.
type queueHeap struct {
	less    func(a, b *queueEntry) bool
	entries []*queueEntry
}

// Len implements [heap.Interface].
func (h *queueHeap) Len() int { return len(h.entries) }

// Less implements [heap.Interface].
func (h *queueHeap) Less(i, j int) bool { return h.less(h.entries[i], h.entries[j]) }

// Swap implements [heap.Interface].
func (h *queueHeap) Swap(i, j int) {
	h.entries[i], h.entries[j] = h.entries[j], h.entries[i]
	h.entries[i].position, h.entries[j].position = i, j
}

// Push implements [heap.Interface].
func (h *queueHeap) Push(x any) {
	e, _ := x.(*queueEntry)
	e.in, e.position = h, len(h.entries)
	h.entries = append(h.entries, e)
}

// Pop implements [heap.Interface].
func (h *queueHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = nil
	h.entries = h.entries[:last]
	e.in = nil
	return e
}
