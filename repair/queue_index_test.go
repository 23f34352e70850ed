package repair

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// However long the queue is, the index keeps what is due and most urgent, and
// hands it out in order.
func TestIndexIsBounded(t *testing.T) {
	const limit, items = 1000, 20_000
	x, now, r := newQueueIndex("me", limit), time.Unix(1000, 0), random(1)
	type urgency struct {
		good  int
		added int64
	}
	var due []urgency
	x.beginPass()
	for i := range items {
		item := newQueued(Item{Slot: slotNo(i), Reason: ReasonDamaged, Good: r.IntN(10)}, now.Add(-time.Duration(r.IntN(1e9))))
		if i%2 == 0 {
			item.Good, item.NextNS = 0, now.Add(time.Minute).UnixNano() // more urgent, but not due
		} else {
			due = append(due, urgency{item.Good, item.AddedNS})
		}
		x.observe(item, now)
		if len(x.entries) > limit+limit/indexSlack {
			t.Fatalf("%d entries", len(x.entries))
		}
	}
	x.endPass(itemCounts{queued: items})
	if sum, exact := x.counts(now); exact || sum.queued != items {
		t.Errorf("counts %+v, exact %v", sum, exact)
	}
	slices.SortFunc(due, func(a, b urgency) int { return cmp.Or(cmp.Compare(a.good, b.good), cmp.Compare(a.added, b.added)) })
	for i := range limit / 2 {
		slot, _, ok := x.next(now)
		e := x.entries[slot]
		if !ok || (urgency{e.rank, e.added}) != due[i] {
			t.Fatalf("%d. is %+v, want %+v", i, e, due[i])
		}
	}
	for range limit / 2 {
		_, _, _ = x.next(now)
	}
	if !x.drained() || x.drained() {
		t.Error("that it was worked off was not told, or not once")
	}
}

// Hints come after what was seen here, in each of the two kinds of attempts, which
// take turns; what fails again and again is tried on.
func TestTurns(t *testing.T) {
	x, now := newQueueIndex("me", 100), time.Unix(1000, 0)
	for i, of := range []struct {
		reason         Reason
		good, attempts int
	}{
		{ReasonNotice, 1, 3},
		{ReasonMissing, 2, 1},
		{ReasonDamaged, 4, 1},
		{ReasonOperator, 3, 1},
		{ReasonStale, -1, 0},
		{ReasonDamaged, -1, 0},
		{ReasonOperator, 5, 0},
		{ReasonMissing, 0, 0},
		{ReasonMissing, -1, 0},
	} {
		item := newQueued(Item{Slot: slotNo(i), Reason: of.reason, Good: of.good}, now.Add(time.Duration(i-10)*time.Second))
		item.Attempts = of.attempts
		x.observe(item, now)
	}
	for _, want := range []int{6, 3, 5, 2, 7, 0, 4, 1, 8} {
		if slot, _, ok := x.next(now); !ok || slot != slotNo(want) {
			t.Fatalf("not slot %d is next", want)
		}
	}
}

// Hints count as long as they are in storage, whether the index has them or not.
func TestHintsOutsideTheIndex(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		const hints, own = 300, 200
		q := openQueue(store, &healer{})
		q.index.limit = 100
		for i := range hints {
			mustAdd(t, q, Item{Slot: slotNo(i), Reason: ReasonNotice, Good: -1})
		}
		for i := range own {
			mustAdd(t, q, damagedItem(slotNo(hints+i)))
		}
		if got := q.index.hinted(); got != hints {
			t.Errorf("%d are counted", got)
		}
		restarted := openQueue(store, &healer{})
		restarted.index.limit = 100
		for range 3 {
			if err := restarted.pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := restarted.index.hinted(); got != hints {
				t.Errorf("%d are counted after a pass", got)
			}
		}
	})
}

func TestShortIndexIsDrainedAtItsEnd(t *testing.T) {
	x, now := newQueueIndex("me", 10), time.Unix(1000, 0)
	for i := range 10 {
		x.observe(newQueued(damagedItem(slotNo(i)), now), now)
	}
	for range 10 {
		if _, _, ok := x.next(now); !ok || x.drained() {
			t.Fatal("drained, or nothing due")
		}
	}
	if _, wait, ok := x.next(now); ok || wait != math.MaxInt64 {
		t.Error("an item is worked on twice")
	}
	for i := range 10 {
		if x.drained() {
			t.Fatal("drained while items are worked on")
		}
		x.drop(slotNo(i))
	}
	if !x.drained() || x.drained() {
		t.Error("that it was worked off was not told, or not once")
	}
}

// A queue longer than the index is worked off wholly.
func TestQueueLongerThanTheIndex(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		const items = 3000
		for i := range items {
			mustAdd(t, openQueue(store, h), damagedItem(slotNo(i)))
		}
		q := openQueue(store, h)
		q.index.limit = 100
		if s := mustStatus(t, q); !s.Approximate || s.Queued != items || s.Reasons[ReasonDamaged] != items || len(s.Items) < 100 {
			t.Errorf("status says %d queued, approximate %v, %d items", s.Queued, s.Approximate, len(s.Items))
		}
		defer running(t, q)()
		passTime(time.Minute)
		if s := mustStatus(t, q); s.Approximate || s.Queued != 0 || len(h.tried()) != items {
			t.Errorf("%d left, %d tried", s.Queued, len(h.tried()))
		}
	})
}

// What is listed as it was is not read at each poll, and nothing is read for
// those that wait.
func TestPollsReadWhatChanged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		memory, h := backendtest.NewMemory(), &healer{}
		const items = 500
		for i := range items {
			item := newQueued(damagedItem(slotNo(i)), time.Now())
			item.NextNS = time.Now().Add(time.Hour).UnixNano()
			if _, err := openQueue(memory, h).write(t.Context(), item, backend.Revision{}); err != nil {
				t.Fatal(err)
			}
		}
		store := &backendtest.Faulty{Backend: memory}
		q := openQueue(store, h)
		defer running(t, q)()
		passTime(5 * time.Minute)
		gets, polls := 0, 0
		for _, call := range store.Calls() {
			switch {
			case call.Op == backendtest.OpGet:
				gets++
			case call.Op == backendtest.OpList && call.Key == prefixItems:
				polls++
			}
		}
		if gets != 2*items || polls < 200 {
			t.Errorf("%d reads in %d polls over %d items", gets, polls, items)
		}
		other := openQueue(memory, h)
		mustAdd(t, other, Item{Slot: slotNo(7), Reason: ReasonOperator, Good: -1})
		passTime(2 * time.Second)
		if !h.isVerified(slotNo(7)) {
			t.Error("a change by another process was not seen")
		}
	})
}

// A pass that fails midway forgets nothing.
func TestFailingPass(t *testing.T) {
	memory := backendtest.NewMemory()
	store := &backendtest.Faulty{Backend: memory}
	q := openQueue(store, &healer{})
	for i := range 10 {
		mustAdd(t, q, damagedItem(slotNo(i)))
	}
	for _, op := range []backendtest.Op{backendtest.OpGet, backendtest.OpList} {
		store.SetInject(func(call backendtest.Call) backendtest.Fault {
			if call.Op == op {
				return backendtest.AnswerLost
			}
			return backendtest.None
		})
		if err := q.pass(t.Context()); err == nil {
			t.Error("no error")
		}
		if sum, _ := q.index.counts(time.Now()); sum.queued != 10 {
			t.Errorf("%d items are known", sum.queued)
		}
	}
}

func TestIndexMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x, now := newQueueIndex("me", indexLimit), time.Unix(1000, 0)
	for i := range 2 * indexLimit {
		x.observe(newQueued(damagedItem(slotNo(i)), now), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const bound = 40 << 20
	if used := after.HeapAlloc - before.HeapAlloc; used > bound {
		t.Errorf("%d items take %d bytes", len(x.entries), used)
	} else {
		t.Logf("%d items take %d bytes, %d each", len(x.entries), used, used/uint64(len(x.entries)))
	}
	runtime.KeepAlive(x)
}
