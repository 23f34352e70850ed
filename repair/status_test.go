package repair

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

func TestStatus(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		hold := make(chan struct{})
		h := &healer{outcome: func(_ context.Context, slot guardian.Slot, _ int) (Report, error) {
			r := Report{Outcome: OutcomeRepaired, Before: Health{Good: 2, Missing: 1, K: 2, N: 3}, After: Health{Healthy: true, Recoverable: true, Good: 3, K: 2, N: 3}, Bytes: 100}
			switch slot {
			case slotNo(0):
				<-hold
			case slotNo(1):
				return r, errNotNow
			case slotNo(2):
				return Report{}, errGone
			}
			return r, nil
		}}
		q := openQueue(store, h)
		mustAdd(t, q, Item{Slot: slotNo(0), Reason: ReasonMissing, Good: 2}, Item{Slot: slotNo(1), Reason: ReasonStale, Good: 2, File: "file"}, damagedItem(slotNo(2)), damagedItem(slotNo(3)))
		stop := running(t, q)
		synctest.Wait()
		s := mustStatus(t, q)
		if s.Queued != 2 || s.Working != 1 || s.Waiting != 1 || s.Due != 0 || s.Reasons[ReasonMissing] != 1 || s.Reasons[ReasonStale] != 1 || s.Approximate {
			t.Errorf("counts %+v", s)
		}
		if want := (Totals{Repaired: 1, Unknown: 1, Failed: 1, Bytes: 200}); s.Totals != want {
			t.Errorf("totals %+v", s.Totals)
		}
		if len(s.Items) != 2 || !s.Items[0].Working || s.Items[1].File != "file" || s.Items[1].Report.Before.Missing != 1 || s.Items[1].LastError != "not now" {
			t.Errorf("items %+v", s.Items)
		}
		if len(s.Finished) != 2 {
			t.Errorf("finished %+v", s.Finished)
		}
		if queued, mine := q.figures(); queued != 2 || mine != s.Totals {
			t.Errorf("figures %d, %+v", queued, mine)
		}
		close(hold)
		stop()
		after := mustStatus(t, openQueue(store, h))
		if after.Totals.Repaired != 2 || after.Totals.Failed != 1 || len(after.Finished) != 3 || after.Finished[0].SlotName != SlotName(slotNo(0)) {
			t.Errorf("after a restart %+v", after)
		}
		if queued, mine := openQueue(store, h).figures(); queued != 0 || mine != (Totals{}) {
			t.Error("a new process has done something")
		}
	})
}

// The fields are what operators' scripts read.
func TestStatusFields(t *testing.T) {
	store := backendtest.NewMemory()
	q := openQueue(store, &healer{})
	text, err := json.Marshal(mustStatus(t, q))
	if err != nil {
		t.Fatal(err)
	}
	const empty = `{"queued":0,"due":0,"waiting":0,"working":0,"reasons":{},"approximate":false,"inbox":[],` +
		`"totals":{"repaired":0,"verified":0,"unknown":0,"failed_attempts":0,"bytes":0},"items":[],"finished":[]}`
	if string(text) != empty {
		t.Errorf("an empty queue is %s", text)
	}
	mustAdd(t, q, damagedItem(guardian.Slot{Identity: slotNo(1).Identity, Name: "mail"}))
	q.summary.note(Report{SlotName: SlotName(slotNo(2)), Outcome: OutcomeRepaired}, time.Unix(0, 7))
	if text, err = json.Marshal(mustStatus(t, q)); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{
		`"items":[{"identity":"` + slotNo(1).Identity + `","name":"mail","reason":"damaged","good":-1,"attempts":0,"added_ns":`, `"working":false`,
		`"finished":[{"identity":"` + slotNo(2).Identity + `","outcome":"repaired","before":{"healthy":false,"recoverable":false,"good":0`, `"finished_ns":7`,
	} {
		if !strings.Contains(string(text), field) {
			t.Errorf("%s is not in %s", field, text)
		}
	}
}

// Both what is listed and what is kept is bounded.
func TestStatusIsBounded(t *testing.T) {
	store := backendtest.NewMemory()
	q := openQueue(store, &healer{})
	for i := range statusItems + 100 {
		mustAdd(t, q, damagedItem(slotNo(i)))
	}
	report := Report{Outcome: OutcomeRepaired, After: Health{Holders: make([]HolderHealth, 255)}}
	for i := range 10 {
		for range 50 {
			q.summary.note(report, time.Unix(int64(i), 0))
		}
		q.summary.flush(t.Context())
	}
	s := mustStatus(t, q)
	if len(s.Items) != statusItems || s.Queued != statusItems+100 || len(s.Finished) != finishedKept || s.Totals.Repaired != 500 {
		t.Errorf("%d items, %d finished, %+v", len(s.Items), len(s.Finished), s.Totals)
	}
	if s.Finished[0].FinishedNS != 9e9 || len(s.Finished[0].After.Holders) != 255 || s.Finished[finishedKept-1].After.Holders != nil {
		t.Error("the latest are not those that are whole")
	}
	if size := len(store.Objects()[keySummary]); size > 1<<20 {
		t.Errorf("the summary has %d bytes", size)
	}
}

// Totals of several replicas add up, a failing storage only delays them, and a
// broken object begins anew.
func TestSummary(t *testing.T) {
	memory := backendtest.NewMemory()
	failing := &backendtest.Faulty{Backend: memory}
	a, b := openQueue(failing, &healer{}).summary, openQueue(memory, &healer{}).summary
	one := func(s *summary) { s.note(Report{Outcome: OutcomeVerified, Bytes: 1}, time.Now()) }
	repaired := func(want int64) {
		t.Helper()
		if got, _, err := b.read(t.Context()); err != nil || got.Verified != want || got.Bytes != want {
			t.Errorf("totals %+v, %v; want %d", got, err, want)
		}
	}
	one(a)
	one(b)
	failing.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	a.flush(t.Context())
	b.flush(t.Context())
	repaired(1)
	raced := false
	failing.SetInject(func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpPut && !raced {
			raced = true
			one(b)
			b.flush(t.Context())
		}
		return backendtest.None
	})
	one(a)
	a.flush(t.Context())
	repaired(4)
	for _, broken := range []string{"", "[]", "\xff", `{"totals":7}`} {
		if _, err := memory.Put(t.Context(), keySummary, []byte(broken), backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
		repaired(0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	one(b)
	b.flush(ctx) // as at the end of a process
	repaired(1)
}

func TestStatusFails(t *testing.T) {
	memory := backendtest.NewMemory()
	store := &backendtest.Faulty{Backend: memory}
	q := openQueue(store, &healer{})
	mustAdd(t, q, damagedItem(slotNo(1)))
	if err := q.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{itemKey(slotNo(1)), keySummary} {
		store.SetInject(func(call backendtest.Call) backendtest.Fault {
			if call.Key == key {
				return backendtest.NotApplied
			}
			return backendtest.None
		})
		if _, err := q.status(t.Context()); !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("without %s: %v", key, err)
		}
	}
}
