package repair

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name    string
		report  string
		err     error
		outcome string
		leaves  bool
	}{
		{"repaired", OutcomeRepaired, nil, OutcomeRepaired, true},
		{"verified", OutcomeVerified, nil, OutcomeVerified, true},
		{"no word", "", nil, OutcomeVerified, true},
		{"gone", "", fmt.Errorf("asking: %w", errGone), OutcomeUnknown, true},
		{"failed", OutcomeVerified, errNotNow, OutcomeFailed, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := backendtest.NewMemory()
				h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
					return Report{Outcome: test.report, After: Health{Good: 3, N: 5}}, test.err
				}}
				q := openQueue(store, h)
				mustAdd(t, q, damagedItem(slotNo(1)))
				stop := running(t, q)
				synctest.Wait()
				stop()
				if left := len(objects(store, prefixItems)) == 0; left != test.leaves {
					t.Fatalf("left is %v", left)
				}
				s := mustStatus(t, q)
				if test.leaves && (len(s.Finished) != 1 || s.Finished[0].Outcome != test.outcome || s.Finished[0].SlotName != SlotName(slotNo(1))) {
					t.Errorf("finished %+v", s.Finished)
				}
				if !test.leaves && (len(s.Items) != 1 || s.Items[0].Report.Outcome != test.outcome || s.Items[0].Good != 3 ||
					s.Items[0].LastError != errNotNow.Error() || s.Items[0].Attempts != 1) {
					t.Errorf("items %+v", s.Items)
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	last := time.Duration(0)
	for attempts := 1; attempts <= 100; attempts++ {
		full := min(time.Second<<min(attempts-1, 20), time.Hour)
		for range 100 {
			if d := backoff(attempts, time.Second); d < full/2 || d > full {
				t.Fatalf("after %d attempts: %v", attempts, d)
			}
		}
		if full < last {
			t.Fatal("it shrinks")
		}
		last = full
	}
	if d := backoff(1, 200*time.Millisecond); d > 200*time.Millisecond {
		t.Errorf("at a short poll: %v", d)
	}
}

// What fails is tried again, later and later, and others are not held up.
func TestFailuresAreTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var times []time.Time
		h := &healer{outcome: func(_ context.Context, slot guardian.Slot, _ int) (Report, error) {
			if slot == slotNo(2) {
				return Report{}, nil
			}
			times = append(times, time.Now())
			return Report{}, errNotNow
		}}
		q := newQueue(Config{Poll: time.Minute, Workers: 1}, backendtest.NewMemory(), h.heal, noNames)
		mustAdd(t, q, Item{Slot: slotNo(1), Reason: ReasonDamaged, Good: 0})
		defer running(t, q)()
		passTime(30 * time.Hour)
		if len(times) < 40 || len(times) > 80 {
			t.Errorf("%d attempts in 30 hours", len(times))
		}
		for i := range times[1:] {
			if d := times[i+1].Sub(times[i]); d > time.Hour+time.Second || i > 20 && d < time.Hour/2 {
				t.Fatalf("attempt %d came after %v", i+2, d)
			}
		}
		mustAdd(t, q, damagedItem(slotNo(2)))
		passTime(time.Second)
		if !h.isVerified(slotNo(2)) {
			t.Error("held up by what fails")
		}
	})
}

func TestWakeIgnoresBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ok := false
		store := backendtest.NewMemory()
		h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
			if ok {
				return Report{}, nil
			}
			return Report{}, errNotNow
		}}
		q := openQueue(store, h)
		for i := range 20 {
			mustAdd(t, q, damagedItem(slotNo(i)))
		}
		stop := running(t, q)
		passTime(time.Hour)
		stop()
		q = openQueue(store, h) // a restart forgets nothing that wake needs
		defer running(t, q)()
		passTime(time.Second)
		before := len(h.tried())
		q.wake()
		passTime(time.Millisecond)
		if got := len(h.tried()) - before; got != 20 {
			t.Fatalf("%d of 20 were tried at once", got)
		}
		passTime(time.Millisecond)
		if got := len(h.tried()) - before; got != 20 {
			t.Fatalf("one wake had %d attempts made", got)
		}
		ok = true
		q.wake()
		passTime(time.Millisecond)
		if got := objects(store, prefixItems); len(got) > 0 {
			t.Errorf("%d are left", len(got))
		}
	})
}

// A wish for all to be tried now counts once, also where the clock is set back
// after it.
func TestWakeThenClockSetBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
			time.Sleep(10 * time.Millisecond)
			return Report{}, errNotNow
		}}
		q := openQueue(backendtest.NewMemory(), h)
		var back time.Duration
		q.now = func() time.Time { return time.Now().Add(-back) }
		defer running(t, q)()
		mustAdd(t, q, damagedItem(slotNo(1)))
		passTime(time.Hour)
		q.wake()
		passTime(time.Second)
		back = 2 * time.Hour
		before := len(h.tried())
		mustAdd(t, q, Item{Slot: slotNo(1), Reason: ReasonOperator, Good: -1})
		passTime(time.Minute)
		if got := len(h.tried()) - before; got < 1 || got > 2 {
			t.Errorf("%d attempts in a minute", got)
		}
	})
}

// What was never tried does not wait for what fails after having been counted,
// however long that takes, and what failed is tried on beside it.
func TestNeverTriedIsTriedSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		lost := slotNo(1000)
		h := &healer{outcome: func(ctx context.Context, slot guardian.Slot, _ int) (Report, error) {
			if slot == lost {
				return Report{Outcome: OutcomeRepaired}, nil
			}
			<-ctx.Done()
			return Report{After: Health{N: 3, K: 2, Good: 1}}, ctx.Err()
		}}
		q := newQueue(Config{Poll: time.Minute}, backendtest.NewMemory(), h.heal, noNames)
		defer running(t, q)()
		for i := range 200 {
			mustAdd(t, q, Item{Slot: slotNo(i), Reason: ReasonMissing, Good: -1})
		}
		for _, wait := range []time.Duration{time.Minute, 6 * time.Hour} { // before and after they were counted
			passTime(wait)
			before, again := h.count(lost), h.attemptsAbove(1)
			mustAdd(t, q, damagedItem(lost))
			passTime(5 * time.Minute)
			if h.count(lost) != before+1 || wait > time.Hour && h.attemptsAbove(1) == again {
				t.Errorf("after %v: not tried, or nothing else is", wait)
			}
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
			time.Sleep(time.Second)
			return Report{}, nil
		}}
		q := newQueue(Config{Poll: time.Second, Workers: 3}, backendtest.NewMemory(), h.heal, noNames)
		for i := range 30 {
			mustAdd(t, q, damagedItem(slotNo(i)))
		}
		defer running(t, q)()
		passTime(5*time.Second + time.Millisecond)
		if h.busiest != 3 || len(h.tried()) != 18 {
			t.Errorf("%d at once, %d in all", h.busiest, len(h.tried()))
		}
	})
}

// Two replicas share the work and never work on one item at once, however long
// it takes.
func TestReplicas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		h := &healer{outcome: func(_ context.Context, slot guardian.Slot, _ int) (Report, error) {
			if slot == slotNo(0) {
				time.Sleep(tryTime - renewTime)
			}
			time.Sleep(time.Second)
			return Report{}, nil
		}}
		const items = 200
		for i := range items {
			mustAdd(t, openQueue(store, h), damagedItem(slotNo(i)))
		}
		a, b := openQueue(store, h), openQueue(store, h)
		stopA, stopB := running(t, a), running(t, b)
		passTime(10 * leaseTime)
		stopA()
		stopB()
		if len(objects(store, prefixItems)) > 0 || len(h.tried()) != items || h.busiest != 8 {
			t.Errorf("%d left, %d tried, %d at once", len(objects(store, prefixItems)), len(h.tried()), h.busiest)
		}
		mine, _, err := a.summary.read(t.Context())
		if err != nil || mine.Verified != items {
			t.Errorf("both together count %+v, %v", mine, err)
		}
	})
}

// The items of a process that is gone wait for its lease and are then taken.
func TestLeaseRunsOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		dead := openQueue(store, &healer{})
		mustAdd(t, dead, damagedItem(slotNo(1)))
		if _, ok := dead.lease(t.Context(), slotNo(1)); !ok {
			t.Fatal("no lease")
		}
		h := &healer{}
		q := openQueue(store, h)
		defer running(t, q)()
		q.wake()
		passTime(leaseTime - time.Millisecond)
		if s := mustStatus(t, q); len(h.tried()) != 0 || !s.Items[0].Working || s.Waiting != 1 {
			t.Errorf("taken from a holder in its lease, or %+v", s)
		}
		passTime(2 * time.Millisecond)
		if !h.isVerified(slotNo(1)) {
			t.Error("not taken after the lease")
		}
	})
}

// One whose lease was taken stops, and changes nothing about the item.
func TestLostLease(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			store, slot := backendtest.NewMemory(), slotNo(1)
			var seen error
			h := &healer{outcome: func(ctx context.Context, _ guardian.Slot, _ int) (Report, error) {
				<-ctx.Done()
				seen = context.Cause(ctx)
				if stubborn {
					return Report{}, nil // healed all the same
				}
				return Report{}, ctx.Err()
			}}
			q := openQueue(store, h)
			mustAdd(t, q, damagedItem(slot))
			defer running(t, q)()
			synctest.Wait()
			other := openQueue(store, h)
			item, rev, err := other.read(t.Context(), slot)
			if err != nil {
				t.Fatal(err)
			}
			item.Holder, item.LeaseNS = "other", time.Now().Add(5*leaseTime).UnixNano()
			if _, err := other.write(t.Context(), item, rev); err != nil {
				t.Fatal(err)
			}
			before := string(store.Objects()[itemKey(slot)])
			passTime(renewTime + time.Second)
			if !errors.Is(seen, errLeaseLost) || string(store.Objects()[itemKey(slot)]) != before {
				t.Errorf("stopped by %v, or changed the item", seen)
			}
		})
	}
}

// A lease that cannot be renewed breaks nothing off: the work ends, and with it
// the item.
func TestRenewalFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		memory := backendtest.NewMemory()
		store := &backendtest.Faulty{Backend: memory}
		h := &healer{outcome: func(context.Context, guardian.Slot, int) (Report, error) {
			store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
			time.Sleep(renewTime + renewTime/2)
			store.SetInject(nil)
			return Report{}, nil
		}}
		q := openQueue(store, h)
		mustAdd(t, q, damagedItem(slotNo(1)))
		defer running(t, q)()
		passTime(2 * renewTime)
		if len(h.tried()) != 1 || len(objects(memory, prefixItems)) != 0 {
			t.Errorf("tried %d times, %d left", len(h.tried()), len(objects(memory, prefixItems)))
		}
	})
}

// Being told to stop is no failure: the item is free at once.
func TestStopIsNoFailure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		h := &healer{outcome: func(ctx context.Context, _ guardian.Slot, _ int) (Report, error) {
			<-ctx.Done()
			return Report{}, ctx.Err()
		}}
		q := openQueue(store, h)
		mustAdd(t, q, damagedItem(slotNo(1)))
		stop := running(t, q)
		synctest.Wait()
		stop()
		item := mustRead(t, q, slotNo(1))
		if item.Attempts != 0 || item.Holder != "" || item.LastError != "" {
			t.Errorf("left as %+v", item)
		}
	})
}

func TestAttemptsAreBoundedInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := &healer{outcome: func(ctx context.Context, _ guardian.Slot, _ int) (Report, error) {
			<-ctx.Done()
			return Report{}, ctx.Err()
		}}
		q := openQueue(backendtest.NewMemory(), h)
		mustAdd(t, q, damagedItem(slotNo(1)))
		defer running(t, q)()
		passTime(tryTime + 100*time.Millisecond)
		if item := mustRead(t, q, slotNo(1)); item.Attempts != 1 || !strings.Contains(item.LastError, errTryTime.Error()) {
			t.Errorf("left as %+v", item)
		}
	})
}

// A fault at any call to storage, of either kind: the item leaves once it was
// verified and not before, and a wish made during the repair is not lost.
func TestWorkUnderFaults(t *testing.T) {
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		for at := 1; at <= 40; at++ {
			inBubble(t, func(t *testing.T) {
				memory, slot := backendtest.NewMemory(), slotNo(1)
				h := &healer{}
				mustAdd(t, openQueue(memory, h), damagedItem(slot))
				store := &backendtest.Faulty{Backend: memory, Inject: func(call backendtest.Call) backendtest.Fault {
					if call.Op == backendtest.OpDelete && call.Key == itemKey(slot) && !h.isVerified(slot) {
						t.Errorf("fault %d at %d: removed unverified", fault, at)
					}
					if call.N == at {
						return fault
					}
					return backendtest.None
				}}
				h.outcome = func(_ context.Context, _ guardian.Slot, attempt int) (Report, error) {
					if attempt == 1 {
						return Report{}, errNotNow
					}
					if attempt == 2 {
						mustAdd(t, openQueue(memory, h), damagedItem(slot))
					}
					time.Sleep(renewTime + time.Second)
					return Report{}, nil
				}
				q := openQueue(store, h)
				defer running(t, q)()
				passTime(10 * leaseTime)
				if h.count(slot) < 2 || len(objects(memory, prefixItems)) != 0 {
					t.Errorf("fault %d at %d: verified %d times, %d left", fault, at, h.count(slot), len(objects(memory, prefixItems)))
				}
				if at <= 10 && len(store.Calls()) < at {
					t.Errorf("only %d calls", len(store.Calls()))
				}
			})
		}
	}
}

func TestProblemText(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                                    "plain",
		"two\nlines\r\n\x1b[31m":                   "two lines   [31m",
		"bad \xff bytes":                           "bad ? bytes",
		strings.Repeat("\u00e4", maxProblem):       strings.Repeat("\u00e4", maxProblem/2),
		"a" + strings.Repeat("\u00e4", maxProblem): "a" + strings.Repeat("\u00e4", maxProblem/2-1),
	} {
		if got := problemText(errors.New(text)); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// An item whose report is too large is kept without it.
func TestItemSizeIsBounded(t *testing.T) {
	holders := make([]HolderHealth, 255)
	for i := range holders {
		holders[i] = HolderHealth{X: i + 1, Node: strings.Repeat("n", 4096), State: StateGood}
	}
	item := newQueued(damagedItem(slotNo(1)), time.Now())
	item.Report = &Report{After: Health{Holders: holders}}
	data, err := item.encode()
	if err != nil || len(data) > maxItemSize {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if got, err := decodeQueued(slotNo(1), data); err != nil || got.Report != nil {
		t.Errorf("read as %+v, %v", got, err)
	}
}

func TestBandwidth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBandwidth(1000)
		began := time.Now()
		for range 3 {
			if err := b.spend(t.Context(), largestShare); err != nil {
				t.Fatal(err)
			}
		}
		want := 2 * time.Duration(largestShare) * time.Millisecond
		if took := time.Since(began); took < want-time.Second || took > want+time.Second {
			t.Errorf("3 shares took %v, want about %v", took, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.spend(ctx, largestShare); err == nil {
			t.Error("no error though ctx ends before")
		}
		if err := newBandwidth(1000).spend(t.Context(), 10*largestShare); err != nil {
			t.Errorf("more than a burst: %v", err)
		}
		for _, n := range []int{0, -1} {
			if err := b.spend(t.Context(), n); err != nil {
				t.Errorf("spend(%d) = %v", n, err)
			}
		}
	})
	if b := newBandwidth(0); b.limiter.Burst() != defaultBytesPerSecond {
		t.Errorf("default burst is %d", b.limiter.Burst())
	}
}
