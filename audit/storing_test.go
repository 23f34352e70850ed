package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		l := openStore(t, store, false)
		synctest.Wait()
		if got := store.stored(); len(got) != 1 || len(store.decisions(t)) != 0 {
			t.Fatalf("at its start the chain has %d segments", len(got))
		}
		l.mustRecord(t, "1")
		synctest.Wait()
		if len(store.stored()) != 1 || l.Stats().BacklogBytes == 0 {
			t.Error("a line was stored before its time")
		}
		time.Sleep(storeInterval)
		synctest.Wait()
		if got := store.decisions(t); !slices.Equal(got, []string{"1"}) || l.Stats() != (Stats{}) {
			t.Errorf("after the interval: %v, %+v", got, l.Stats())
		}
		time.Sleep(10*storeInterval + time.Second) // between two intervals
		for i := range segmentLines {
			l.mustRecord(t, fmt.Sprint(i))
		}
		synctest.Wait()
		if got := store.stored(); len(got) != 3 || len(store.decisions(t)) != 1+segmentLines {
			t.Errorf("a full segment was not stored at once: there are %d", len(got))
		}
		l.mustRecord(t, "last")
		l.mustClose(t)
		chain := wantSound(t, l.sealer, store)
		if !chain.Closed || chain.Lines != 1+1+segmentLines+1+1 || chain.To.Sub(chain.From) != 11*storeInterval+time.Second {
			t.Errorf("%+v", chain)
		}
	})
}

// TestSegmentsAreBounded: however many and large the lines that wait.
func TestSegmentsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, false)
		event := pushOf("")
		event.Code = strings.Repeat("\x00", 10*maxFieldSize)
		event.RequestID, event.Actor, event.Remote = event.Code, event.Code, event.Code
		for range 2 * segmentLines {
			if err := l.Record(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		close(store.gate)
		l.mustClose(t)
		largest, total := 0, 0
		for _, segment := range store.stored() {
			largest = max(largest, len(segment.Data))
			total += len(segment.Data)
		}
		if largest > maxSegmentSize || largest < maxSegmentSize/2 || total < 8*maxSegmentSize {
			t.Errorf("the largest of %d bytes has %d", total, largest)
		}
		if chain := wantSound(t, l.sealer, store); chain.Lines != 2*segmentLines+2 || !chain.Closed {
			t.Errorf("%+v", chain)
		}
	})
}

// recordMany calls Record from so many goroutines, and returns the errors of
// those that have returned.
func recordMany(t *testing.T, l subject, first, last int) func() []error {
	var mu sync.Mutex
	var errs []error
	for i := first; i <= last; i++ {
		go func() {
			err := l.Record(t.Context(), pushOf(fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}()
	}
	return func() []error {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return errs
	}
}

func wantErrors(t *testing.T, got []error, want int, target error) {
	t.Helper()
	if len(got) != want {
		t.Fatalf("%d have returned, want %d", len(got), want)
	}
	for _, err := range got {
		if !errors.Is(err, target) || target != nil && !errors.Is(err, ErrNotKept) {
			t.Errorf("error %v, want %v", err, target)
		}
	}
}

// TestGroupCommit: lines that come while a segment is stored go together into
// the next, and nobody returns before theirs is stored.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, true)
		synctest.Wait() // the first put has begun
		returned := recordMany(t, l, 1, 300)
		wantErrors(t, returned(), 0, nil)
		store.gate <- struct{}{} // the first line of the chain
		wantErrors(t, returned(), 0, nil)
		store.gate <- struct{}{}
		wantErrors(t, returned(), 300, nil)
		if store.puts > 3 || len(store.decisions(t)) != 300 {
			t.Errorf("%d lines took %d puts", len(store.decisions(t)), store.puts)
		}
		close(store.gate)
		l.mustClose(t)
		wantSound(t, l.sealer, store)
	})
}

// TestFailedGroup: a write that fails fails those that waited as it began,
// whose lines go before those of the next.
func TestFailedGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{}), inject: func(put int) fault {
			if put == 2 {
				return notApplied
			}
			return none
		}}
		l := openStore(t, store, true)
		synctest.Wait()
		first := recordMany(t, l, 1, 50)
		synctest.Wait()
		store.gate <- struct{}{}
		synctest.Wait() // the second put has begun
		second := recordMany(t, l, 51, 80)
		wantErrors(t, append(first(), second()...), 0, nil)
		store.gate <- struct{}{}
		wantErrors(t, first(), 50, errInjected)
		wantErrors(t, second(), 0, nil)
		close(store.gate)
		wantErrors(t, second(), 30, nil)
		l.mustClose(t)
		if chain := wantSound(t, l.sealer, store); chain.Lines != 82 || !chain.Closed {
			t.Errorf("%+v", chain)
		}
		if l.Stats().Failures != 1 || l.journal.count("audit lines cannot be stored: they wait and are tried again") != 1 ||
			l.journal.count("audit lines are stored again") != 1 {
			t.Errorf("%+v\n%s", l.Stats(), l.journal.text.String())
		}
	})
}

func TestContextBoundsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Record(ctx, pushOf("1")); !errors.Is(err, ErrNotKept) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := l.Record(ctx, pushOf("2")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(store.gate)
		l.mustClose(t)
		if got := store.decisions(t); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("decisions %v were made, but only these are kept: %v", []int{1, 2}, got)
		}
	})
}

// TestFaultAtEveryPut runs one course of events with a fault of each kind at
// each put of it.
func TestFaultAtEveryPut(t *testing.T) {
	const rounds, perRound = 4, 3
	course := func(t *testing.T, store *memory, required bool) (failed int) {
		synctest.Test(t, func(t *testing.T) {
			l := openStore(t, store, required)
			synctest.Wait()
			var want []string
			for round := range rounds {
				for i := range perRound {
					id := fmt.Sprint(round*perRound + i)
					want = append(want, id)
					if err := l.Record(t.Context(), pushOf(id)); err != nil {
						if !errors.Is(err, ErrNotKept) {
							t.Error(err)
						}
						failed++
					}
				}
				time.Sleep(storeInterval)
			}
			l.mustClose(t)
			if chain := wantSound(t, l.sealer, store); !chain.Closed || chain.Lost != 0 {
				t.Errorf("%+v", chain)
			}
			if got := store.decisions(t); !slices.Equal(got, want) {
				t.Errorf("stored %v, want %v", got, want)
			}
			if stats := l.Stats(); stats.BacklogBytes != 0 {
				t.Errorf("%+v", stats)
			}
		})
		return failed
	}
	for _, required := range []bool{false, true} {
		whole := &memory{}
		if failed := course(t, whole, required); failed != 0 || whole.puts < rounds {
			t.Fatalf("%d lines failed in %d puts", failed, whole.puts)
		}
		for at := 1; at <= whole.puts; at++ {
			for _, kind := range []fault{notApplied, answerLost, hanging} {
				store := &memory{inject: func(put int) fault {
					if put == at {
						return kind
					}
					return none
				}}
				failed := course(t, store, required)
				// The first put is that of the chain's first line, the last
				// that of the closing line: nobody waits for either.
				want := 0
				if required && at > 1 && at < whole.puts {
					want = 1
				}
				if failed != want {
					t.Errorf("required %v, fault %d at put %d: %d lines failed, want %d", required, kind, at, failed, want)
				}
			}
		}
	}
}

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var pauses []time.Duration
		last := time.Now()
		store := &memory{inject: func(put int) fault {
			mu.Lock()
			defer mu.Unlock()
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			if put < 9 {
				return notApplied
			}
			return none
		}}
		l := openStore(t, store, false)
		synctest.Wait()
		for range 2 * segmentLines { // not even full segments hurry it
			l.mustRecord(t, "x")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var want []time.Duration
		for _, seconds := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 32, 32, 0, 0} {
			want = append(want, seconds*time.Second)
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("attempts came after %v, want %v", pauses, want)
		}
		if l.Stats().Failures != 8 || strings.Count(l.journal.text.String(), "\n") != 3 {
			t.Errorf("%+v\n%s", l.Stats(), l.journal.text.String())
		}
		l.mustClose(t)
		wantSound(t, l.sealer, store)
	})
}

// TestProgressResetsRetries: an attempt that stored something is followed soon.
func TestProgressResetsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{inject: func(put int) fault { return []fault{none, notApplied}[put%2] }}
		l := openStore(t, store, false)
		for range 5 * segmentLines {
			l.mustRecord(t, "x")
		}
		time.Sleep(10 * firstRetry)
		synctest.Wait()
		if l.Stats().Failures < 5 || l.Stats().BacklogBytes != 0 {
			t.Errorf("%+v", l.Stats())
		}
		l.mustClose(t)
		wantSound(t, l.sealer, store)
	})
}

// TestLost: lines that find no room are counted, and the chain tells of them
// where they would stand.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		store := &memory{inject: func(int) fault {
			if broken.Load() {
				return notApplied
			}
			return none
		}}
		l := openStore(t, store, false)
		synctest.Wait()
		const room = 20_000
		l.shrink(room)
		var want []string
		for episode := range 3 {
			broken.Store(true)
			kept, lost := 0, 0
			for i := range 100 {
				before := l.Stats().Lost
				l.mustRecord(t, fmt.Sprint(episode, i))
				if l.Stats().Lost == before {
					want = append(want, fmt.Sprint(episode, i))
					kept++
				} else {
					lost++
				}
			}
			if size := l.Stats().BacklogBytes; kept < 10 || lost < 10 || size > room || size < room*8/10 {
				t.Fatalf("%d kept, %d lost, %d bytes wait", kept, lost, size)
			}
			want = append(want, fmt.Sprintf("lost %d", lost))
			time.Sleep(time.Minute)
			broken.Store(false)
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := store.decisions(t); !slices.Equal(got, want) {
				t.Fatalf("the chain has\n%v, want\n%v", got, want)
			}
		}
		l.mustClose(t)
		if chain := wantSound(t, l.sealer, store); chain.Lost != l.Stats().Lost || chain.Lost == 0 {
			t.Errorf("%+v, %+v", chain, l.Stats())
		}
		for _, msg := range []string{
			"audit lines are lost", "audit lines are no longer lost",
			"audit lines cannot be stored: they wait and are tried again", "audit lines are stored again",
		} {
			if got := l.journal.count(msg); got != 3 {
				t.Errorf("%d times %q", got, msg)
			}
		}
	})
}

// TestLostIsToldAtOnce: when there is room again, before any other line, and
// without waiting for one.
func TestLostIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, false)
		synctest.Wait()
		l.shrink(2300)
		large := pushOf("large")
		large.Code = strings.Repeat("x", maxFieldSize)
		var want []string
		for ; l.Stats().Lost == 0; want = append(want, "large") {
			if err := l.Record(t.Context(), large); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Record(t.Context(), Event{RequestID: "fits, but would stand before what was lost"}); err != nil {
			t.Fatal(err)
		}
		want[len(want)-1] = "lost 2"
		const over = "audit lines are no longer lost"
		store.gate <- struct{}{} // the first line of the chain: all others wait on
		synctest.Wait()
		if l.journal.count(over) != 0 {
			t.Error("there is no room yet")
		}
		close(store.gate)
		synctest.Wait()
		if l.journal.count(over) != 1 {
			t.Error("there is room again")
		}
		if got := store.decisions(t); !slices.Equal(got, want) {
			t.Errorf("the chain has %v, want %v", got, want)
		}
		l.mustClose(t)
		wantSound(t, l.sealer, store)
	})
}

// TestLostAtTheEnd: the closing line comes after what it has to tell.
func TestLostAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, false)
		l.shrink(3000)
		for i := range 10 {
			l.mustRecord(t, fmt.Sprint(i))
		}
		close(store.gate)
		l.mustClose(t)
		chain := wantSound(t, l.sealer, store)
		if !chain.Closed || chain.Lost == 0 || int(chain.Lost)+chain.Lines != 10+3 {
			t.Errorf("%+v", chain)
		}
	})
}

// TestRequiredAndFull: no room is an answer, with its cause, and ends as soon
// as the store works.
func TestRequiredAndFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		store := &memory{inject: func(int) fault {
			if broken.Load() {
				return notApplied
			}
			return none
		}}
		l := openStore(t, store, true)
		synctest.Wait()
		l.shrink(2000)
		for range 20 {
			if err := l.Record(t.Context(), pushOf("x")); !errors.Is(err, ErrNotKept) || !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
		}
		if err := l.Record(t.Context(), pushOf("x")); !errors.Is(err, errBacklogFull) {
			t.Error(err)
		}
		synctest.Wait()
		broken.Store(false)
		if err := l.Record(t.Context(), pushOf("x")); !errors.Is(err, errBacklogFull) {
			t.Error(err)
		}
		synctest.Wait()
		l.mustRecord(t, "served again")
		l.mustClose(t)
		if chain := wantSound(t, l.sealer, store); chain.Lost == 0 || int(chain.Lost)+chain.Lines != 23+3 {
			t.Errorf("%+v", chain)
		}
	})
}

func TestClose(t *testing.T) {
	for _, required := range []bool{false, true} {
		store := &memory{}
		l := openStore(t, store, required)
		l.mustRecord(t, "1")
		l.mustClose(t)
		err := l.Record(t.Context(), pushOf("2"))
		if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotKept) {
			t.Error(err)
		}
		if chain := wantSound(t, l.sealer, store); !chain.Closed || chain.Lines != 3 {
			t.Errorf("%+v", chain)
		}
		if l.journal.count("audit chain started") != 1 || l.journal.count("audit chain closed") != 1 {
			t.Error(l.journal.text.String())
		}
	}
}

func TestCloseManyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{gate: make(chan struct{})}
		l := openStore(t, store, false)
		synctest.Wait() // the first put has begun
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if err := l.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(store.gate)
		all.Wait()
		if chain := wantSound(t, l.sealer, store); !chain.Closed || chain.Lines != 2 {
			t.Errorf("%+v", chain)
		}
	})
}

// TestCloseIsBounded: by its ctx, whether the store fails or hangs; those who
// wait are told.
func TestCloseIsBounded(t *testing.T) {
	for _, kind := range []fault{notApplied, hanging} {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{inject: func(int) fault { return kind }}
			l := openStore(t, store, true)
			waiting := recordMany(t, l, 1, 5)
			synctest.Wait()
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := l.Close(ctx)
			if !errors.Is(err, ErrNotKept) || !strings.Contains(err.Error(), "7 lines are left") {
				t.Error(err)
			}
			if took := time.Since(begun); took != 3*time.Second {
				t.Errorf("closing took %v of the fake clock", took)
			}
			if again := l.Close(t.Context()); again == nil || again.Error() != err.Error() {
				t.Error(again)
			}
			wantErrors(t, waiting(), 5, ErrNotKept)
		})
	}
}

// TestCloseTriesAgain: a store that comes back in time has the whole chain.
func TestCloseTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{inject: func(put int) fault {
			if put < 4 {
				return answerLost
			}
			return none
		}}
		l := openStore(t, store, false)
		l.mustRecord(t, "1", "2")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if chain := wantSound(t, l.sealer, store); !chain.Closed || chain.Lines != 4 {
			t.Errorf("%+v", chain)
		}
	})
}

// TestRotation: a chain goes on under a new key.
func TestRotation(t *testing.T) {
	store, source := &memory{}, &keys{primary: "k1", ids: []string{"k1"}}
	sealer := sealerOf(t, nodeID, source)
	l, err := Open(Config{Mode: ToStore, Required: true, NodeID: nodeID, Sealer: sealer, Store: store, Logger: (&journal{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"k2", "k3"} {
		if err := l.Record(t.Context(), pushOf(id)); err != nil {
			t.Fatal(err)
		}
		source.rotate(id)
		if err := sealer.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if chain := wantSound(t, sealer, store); !chain.Closed || chain.Lines != 4 {
		t.Errorf("%+v", chain)
	}
	report := verify(t, newSealer(t, nodeID, "k1", "k3"), store.stored())
	if c := report.Chains[0]; len(c.Problems) != 1 || c.Problems[0].Kind != KeyUnknown || c.Lines != 3 || !c.Closed {
		t.Errorf("without the second key: %+v", c)
	}
}

// TestManyAtOnce records from a thousand goroutines over a store that fails now
// and then.
func TestManyAtOnce(t *testing.T) {
	for _, required := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := &memory{inject: func(put int) fault { return []fault{none, none, answerLost, none, notApplied}[put%5] }}
			l := openStore(t, store, required)
			var all sync.WaitGroup
			for i := range 1000 {
				all.Go(func() {
					for j := range 5 {
						if err := l.Record(t.Context(), pushOf(fmt.Sprintf("%d/%d", i, j))); err != nil && !errors.Is(err, errInjected) {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			l.mustClose(t)
			got := store.decisions(t)
			slices.Sort(got)
			if len(slices.Compact(got)) != 5000 || len(got) != 5000 {
				t.Errorf("%d lines are stored", len(got))
			}
			if chain := wantSound(t, l.sealer, store); !chain.Closed || chain.Lost != 0 {
				t.Errorf("%+v", chain)
			}
		})
	}
}
