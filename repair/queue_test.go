package repair

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

func TestAddMerges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		q, slot := openQueue(store, &healer{}), slotNo(1)
		mustAdd(t, q, Item{Slot: slot, Reason: ReasonStale, Good: 4})
		first := mustRead(t, q, slot)
		passTime(time.Minute)
		before := string(store.Objects()[itemKey(slot)])
		mustAdd(t, q, Item{Slot: slot, Reason: ReasonMissing, Good: 5}, Item{Slot: slot, Reason: ReasonNotice, Good: -1})
		if string(store.Objects()[itemKey(slot)]) != before {
			t.Error("a wish that says nothing new was written")
		}
		mustAdd(t, q, Item{Slot: slot, Reason: ReasonMissing, Good: 3, File: "list"})
		got := mustRead(t, q, slot)
		if got.AddedNS != first.AddedNS || got.Good != 3 || got.Reason != ReasonStale || got.File != "list" {
			t.Errorf("merged into %+v", got)
		}
		mustAdd(t, q, damagedItem(slot))
		if got := mustRead(t, q, slot); got.Reason != ReasonDamaged || got.Good != 3 {
			t.Errorf("what was seen here leaves it a hint: %+v", got)
		}
		if len(objects(store, prefixItems)) != 1 {
			t.Error("one slot has several items")
		}
	})
}

// Only an operator ends a backoff: what reads and scrubs find again and again
// does not.
func TestAddAndBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		q, slot := openQueue(backendtest.NewMemory(), &healer{}), slotNo(1)
		mustAdd(t, q, damagedItem(slot))
		waiting, rev, err := q.read(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		waiting.NextNS = time.Now().Add(time.Hour).UnixNano()
		if _, err := q.write(t.Context(), waiting, rev); err != nil {
			t.Fatal(err)
		}
		mustAdd(t, q, damagedItem(slot))
		if got := mustRead(t, q, slot); got.NextNS != waiting.NextNS {
			t.Error("a further finding ended the backoff")
		}
		mustAdd(t, q, Item{Slot: slot, Reason: ReasonOperator, Good: -1})
		if got := mustRead(t, q, slot); got.NextNS > time.Now().UnixNano() || got.Reason != ReasonOperator {
			t.Error("the operator's wish did not end the backoff")
		}
	})
}

func TestAddRefusesWhatIsNoSlot(t *testing.T) {
	store := backendtest.NewMemory()
	q := openQueue(store, &healer{})
	id := slotNo(1).Identity
	for _, slot := range []guardian.Slot{
		{},
		{Identity: id[1:]},
		{Identity: strings.ToUpper(id)},
		{Identity: id, Name: "a/b"},
		{Identity: id, Name: ".."},
		{Identity: strings.Repeat("\u0430", 32)},
		{Identity: id, Name: strings.Repeat("a", 129)},
		{Name: "a"},
	} {
		if err := q.add(t.Context(), damagedItem(slot)); !errors.Is(err, errInvalidSlot) {
			t.Errorf("%+v: %v", slot, err)
		}
	}
	if len(store.Objects()) > 0 {
		t.Error("something was stored")
	}
}

func TestItemKeys(t *testing.T) {
	id := slotNo(7).Identity
	for key, want := range map[string]guardian.Slot{
		"items/shares/" + id:                {Identity: id},
		"items/vaults/" + id + "/a":         {Identity: id, Name: "a"},
		"items/vaults/" + id:                {},
		"items/vaults/" + id + "/":          {},
		"items/vaults/" + id + "/a/b":       {},
		"items/shares/" + id + "/a":         {},
		"items/shares/" + id[1:]:            {},
		"items/" + id:                       {},
		"shares/" + id:                      {},
		"items/shares/" + id[:63] + "G":     {},
		"items/vaults/" + id + "/n\u00e4me": {},
	} {
		if got, ok := itemSlot(key); ok != (want != guardian.Slot{}) || ok && got != want {
			t.Errorf("%q is %+v, %v", key, got, ok)
		}
	}
}

// A wish made while the slot is repaired is not lost with the item, whether the
// lease is renewed meanwhile or not.
func TestAddDuringRepair(t *testing.T) {
	for _, long := range []time.Duration{time.Second, 2 * renewTime, tryTime - renewTime} {
		t.Run(long.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, slot := backendtest.NewMemory(), slotNo(1)
				h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
					time.Sleep(long)
					return Report{}, nil
				}}
				q := openQueue(store, h)
				defer running(t, q)()
				mustAdd(t, q, damagedItem(slot))
				passTime(long / 4)
				mustAdd(t, q, damagedItem(slot))
				passTime(long/4 + long/2 + long/8)
				if got := h.tried(); len(got) != 2 {
					t.Fatalf("tried %d times", len(got))
				}
				passTime(long)
				if len(h.tried()) != 2 || len(objects(store, prefixItems)) != 0 {
					t.Error("the item did not leave after the second repair")
				}
			})
		})
	}
}

// Others can fill the queue with hints up to a bound; what is seen here, what an
// operator wants and what is queued already is taken all the same, and so are
// hints once there is room.
func TestHintsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		q := openQueue(store, &healer{})
		log := logOf(q)
		reasons := []Reason{ReasonNotice, ReasonMissing, ReasonStale}
		for i := range maxHinted + 30 {
			mustAdd(t, q, Item{Slot: slotNo(i), Reason: reasons[i%3], Good: -1})
		}
		last := maxHinted + 29
		mustAdd(t, q, damagedItem(slotNo(last)), Item{Slot: slotNo(last - 1), Reason: ReasonOperator, Good: -1},
			Item{Slot: slotNo(0), Reason: ReasonMissing, Good: 2})
		if got := len(objects(store, prefixItems)); got != maxHinted+2 || mustRead(t, q, slotNo(0)).Good != 2 {
			t.Errorf("%d items", got)
		}
		if q.dropped.Load() != 30 || log.count("is dropped") != 1 {
			t.Errorf("%d were dropped, told %d times", q.dropped.Load(), log.count("is dropped"))
		}
		defer running(t, q)()
		passTime(5 * time.Second)
		mustAdd(t, q, Item{Slot: slotNo(last - 2), Reason: ReasonNotice, Good: -1})
		passTime(time.Second)
		if q.index.hinted() != 0 || log.count("dropped=30") != 1 || len(objects(store, prefixItems)) != 0 {
			t.Errorf("%d hints are counted, %d items left", q.index.hinted(), len(objects(store, prefixItems)))
		}
	})
}

func TestPriority(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &healer{}
		q := newQueue(Config{Poll: time.Second, Workers: 1}, backendtest.NewMemory(), h.heal, noNames)
		for i, good := range []int{-1, 4, 2, 3, 2, -1, 0} {
			mustAdd(t, q, Item{Slot: slotNo(i), Reason: ReasonDamaged, Good: good})
			passTime(time.Second)
		}
		defer running(t, q)()
		synctest.Wait()
		want := []int{6, 2, 4, 3, 1, 0, 5}
		for i, slot := range h.tried() {
			if slot != slotNo(want[i]) {
				t.Errorf("%d. is not slot %d", i, want[i])
			}
		}
		if len(h.tried()) != len(want) {
			t.Errorf("%d of %d were tried", len(h.tried()), len(want))
		}
	})
}

// Another process finds what this one left, in the same order.
func TestPriorityAfterRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		for i, good := range []int{-1, 5, 2} {
			mustAdd(t, openQueue(store, &healer{}), Item{Slot: slotNo(i), Reason: ReasonDamaged, Good: good})
		}
		q := newQueue(Config{Poll: time.Second, Workers: 1}, store, h.heal, noNames)
		if err := q.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer running(t, q)()
		synctest.Wait()
		if got := h.tried(); len(got) != 3 || got[0] != slotNo(2) || got[1] != slotNo(1) || got[2] != slotNo(0) {
			t.Errorf("tried in the order %v", got)
		}
	})
}

// An item that another process adds is found by the next look.
func TestItemsOfOthersAreFound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		q := openQueue(store, h)
		defer running(t, q)()
		synctest.Wait()
		mustAdd(t, openQueue(store, &healer{}), damagedItem(slotNo(1)))
		passTime(q.poll + time.Millisecond)
		if !h.isVerified(slotNo(1)) {
			t.Error("not found")
		}
	})
}

func TestBrokenItems(t *testing.T) {
	id := slotNo(1).Identity
	for name, content := range map[string]string{
		"empty":          "",
		"no JSON":        "\x00\xff",
		"array":          "[]",
		"deep":           strings.Repeat("[", 20000),
		"another's":      `{"identity":"` + slotNo(2).Identity + `","reason":"damaged"}`,
		"another reason": `{"identity":"` + id + `","reason":"fun"}`,
		"negative":       `{"identity":"` + id + `","reason":"damaged","attempts":-1}`,
		"huge":           `{"identity":"` + id + `","reason":"damaged","last_error":"` + strings.Repeat("a", maxItemSize) + `"}`,
		"far off":        `{"identity":"` + id + `","reason":"damaged","next_ns":9223372036854775807}`,
		"long lease":     `{"identity":"` + id + `","reason":"damaged","holder":"x","lease_ns":9223372036854775807}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, h := backendtest.NewMemory(), &healer{}
				for key, data := range map[string]string{
					itemKey(slotNo(1)): content, "items/README": "hello", "items/shares/foo": "{}", "items/vaults/" + id + "/a.b": "",
				} {
					if _, err := store.Put(t.Context(), key, []byte(data), backend.AnyRevision); err != nil {
						t.Fatal(err)
					}
				}
				q := openQueue(store, h)
				log := logOf(q)
				defer running(t, q)()
				passTime(5 * time.Second)
				if !h.isVerified(slotNo(1)) {
					t.Error("the slot that a broken object names was not looked at")
				}
				if got := objects(store, prefixItems); len(got) != 3 {
					t.Errorf("the queue holds %q", got)
				}
				if n := log.count("that are no items"); n != 1 {
					t.Errorf("foreign objects were reported %d times", n)
				}
			})
		})
	}
}

func TestDamagedIsQueued(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &healer{}
		q := openQueue(backendtest.NewMemory(), h)
		for range 2 * maxDamaged {
			q.noteDamaged(slotNo(1)) // blocks nobody
		}
		defer running(t, q)()
		passTime(time.Second)
		if !h.isVerified(slotNo(1)) {
			t.Error("not repaired")
		}
	})
}

func TestRunOverAFailingStorage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		memory, h := backendtest.NewMemory(), &healer{}
		mustAdd(t, openQueue(memory, &healer{}), damagedItem(slotNo(1)))
		store := &backendtest.Faulty{Backend: memory, Inject: func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied }}
		q := openQueue(store, h)
		log := logOf(q)
		if _, err := q.status(t.Context()); !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("status: %v", err)
		}
		defer running(t, q)()
		passTime(time.Minute)
		if calls := len(store.Calls()); calls > 400 {
			t.Errorf("%d calls in a minute", calls)
		}
		store.SetInject(nil)
		passTime(5 * time.Second)
		if !h.isVerified(slotNo(1)) {
			t.Error("not repaired when storage was back")
		}
		if log.count("looking at the repair queue") != 1 || log.count("can be read again") != 1 {
			t.Error("the outage was not logged once at its begin and once at its end")
		}
	})
}
