package repair

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

// A queue of 10,000 identities in a file, with processes killed at random calls,
// two of them beside each other at times: every item leaves once it is verified,
// none is passed over, and the file goes when all are done.
func TestTenThousandIdentities(t *testing.T) {
	for replicas, entries := range map[int]int{1: 10_000, 2: 2_000} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { manyIdentities(t, entries, replicas, random(uint64(replicas)).IntN) })
		})
	}
}

func manyIdentities(t *testing.T, entries, replicas int, draw func(int) int) {
	memory := backendtest.NewMemory()
	h := &healer{outcome: func(ctx context.Context, slot guardian.Slot, attempt int) (Report, error) {
		select {
		case <-time.After(time.Duration(attempt) * time.Millisecond):
		case <-ctx.Done():
			return Report{}, ctx.Err()
		}
		if slot.Identity[63] == '7' && attempt < 3 {
			return Report{}, errNotNow
		}
		return Report{Outcome: OutcomeRepaired}, nil
	}}
	var file strings.Builder
	for i := range entries {
		file.WriteString(slotNo(i).Identity + "\n")
	}
	putFile(t, memory, "many", file.String())
	watched := watch(t, memory, h, entries)
	kills := 0
	for ; kills < 12; kills++ {
		var processes []*process
		for range replicas {
			processes = append(processes, startProcess(t, watched, h, 200+draw(3*entries/4), backendtest.Fault(1+draw(2))))
		}
		passTime(time.Duration(5+draw(20)) * time.Second)
		for _, p := range processes {
			p.store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
			p.stop()
		}
	}
	p := startProcess(t, watched, h, 0, backendtest.None)
	defer p.stop()
	for len(objects(memory, prefixInbox)) > 0 {
		s := mustStatus(t, p.queue)
		if len(s.Inbox) > 0 && s.Inbox[0].Done > len(h.tried()) {
			t.Fatalf("progress is %+v after %d attempts", s.Inbox, len(h.tried()))
		}
		passTime(5 * time.Second)
	}
	passTime(2 * leaseTime)
	for i := range entries {
		if !h.isVerified(slotNo(i)) {
			t.Fatalf("entry %d was passed over", i)
		}
	}
	if left := objects(memory, ""); len(left) != 1 {
		t.Errorf("left are %d objects, the first %.3q", len(left), left)
	}
	t.Logf("%d attempts for %d entries with %d kills", len(h.tried()), entries, kills*replicas)
}
