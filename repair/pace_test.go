package repair

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the pieces of work, a tenth of the time is spent on them.
func TestPace(t *testing.T) {
	for name, piece := range map[string]time.Duration{
		"far below a stretch": 100 * time.Microsecond,
		"about a stretch":     19 * time.Millisecond,
		"long":                3 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := newPacer().begin(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				const pieces = 4000
				for range pieces {
					time.Sleep(piece)
					if err := w.breathe(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				w.end()
				if share := float64(pieces*piece) / float64(time.Since(began)); share > 0.101 || share < 0.099 {
					t.Errorf("it worked for %v of the time", share)
				}
				if w.worked != pieces*piece {
					t.Errorf("it counted %v of %v", w.worked, pieces*piece)
				}
			})
		})
	}
}

// All that share a pacer have a tenth together, and each has its turns.
func TestPaceIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		began := time.Now()
		var mu sync.Mutex
		working := 0
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for range 20 {
					w, err := p.begin(t.Context(), nil)
					if err != nil {
						t.Error(err)
						return
					}
					for range 5 {
						mu.Lock()
						if working++; working > 1 {
							t.Error("two work at a time")
						}
						mu.Unlock()
						time.Sleep(7 * time.Millisecond)
						mu.Lock()
						working--
						mu.Unlock()
						if err := w.breathe(t.Context()); err != nil {
							t.Error(err)
						}
					}
					w.end()
					w.end()
				}
			})
		}
		group.Wait()
		worked := 3 * 20 * 5 * 7 * time.Millisecond
		if share := float64(worked) / float64(time.Since(began)); share > 0.101 {
			t.Errorf("they worked for %v of the time", share)
		}
	})
}

// A process that was stopped does not make up for it.
func TestPaceForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newPacer().begin(t.Context(), nil)
		defer w.end()
		time.Sleep(time.Hour)
		began := time.Now()
		if err := w.breathe(t.Context()); err != nil || time.Since(began) != restTimes*longestStretch {
			t.Errorf("it rested for %v, %v", time.Since(began), err)
		}
	})
}

// A rest ends with its context, and what cannot wait is done in between.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errBetween := errors.New("between")
		calls := 0
		w, _ := newPacer().begin(t.Context(), func(context.Context) error {
			if calls++; calls == 6 {
				return errBetween
			}
			return nil
		})
		defer w.end()
		time.Sleep(2 * time.Second)
		if err := w.breathe(t.Context()); err != nil || calls != 4 {
			t.Errorf("%d calls in 18 s, %v", calls, err)
		}
		time.Sleep(2 * time.Second)
		if err := w.breathe(t.Context()); !errors.Is(err, errBetween) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		began := time.Now()
		if err := w.breathe(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestTurnEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		w, _ := p.begin(t.Context(), nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		other, err := p.begin(ctx, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		other.end() // has nothing to hand over
		w.end()
		if _, err := p.begin(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// slowConn takes its time, and tells when a call was given up.
type slowConn struct{ takes time.Duration }

func (slowConn) Close() {}

func (c slowConn) Call(ctx context.Context, _ string, _ []byte) ([]byte, error) {
	if sleep(ctx, c.takes) != nil {
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// Who waits for another guardian leaves the turn to others, and does not rest
// from it.
func TestPaceOfCalls(t *testing.T) {
	slots := func(t *testing.T, beside bool) (count, calls int) {
		synctest.Test(t, func(t *testing.T) {
			p := newPacer()
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			var group sync.WaitGroup
			if beside {
				group.Go(func() {
					w, err := p.begin(ctx, nil)
					for ; err == nil; calls++ {
						if err = w.breathe(ctx); err == nil {
							_, err = pacedConn{slowConn{20 * time.Second}, w}.Call(ctx, "", nil)
						}
					}
					w.end()
				})
			}
			w, err := p.begin(ctx, nil)
			for ; err == nil; count++ {
				time.Sleep(2 * time.Millisecond)
				err = w.breathe(ctx)
			}
			w.end()
			group.Wait()
		})
		return count, calls
	}
	alone, _ := slots(t, false)
	beside, calls := slots(t, true)
	if beside < alone*99/100 {
		t.Errorf("%d slots beside slow calls, %d without", beside, alone)
	}
	if calls < 175 {
		t.Errorf("%d calls of 20 s in an hour", calls)
	}
}

func TestPacedCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newPacer().begin(t.Context(), nil)
		defer w.end()
		began := time.Now()
		_, err := pacedConn{slowConn{time.Hour}, w}.Call(t.Context(), "", nil)
		if !errors.Is(err, errNoAnswer) || time.Since(began) != pacedCallTime || !w.has || w.worked != 0 {
			t.Errorf("got %v after %v, turn %v, worked %v", err, time.Since(began), w.has, w.worked)
		}
	})
}

// What cannot wait is done also while another has the turn.
func TestWaitForTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		calls := 0
		w, _ := p.begin(t.Context(), func(context.Context) error { calls++; return nil })
		var group sync.WaitGroup
		group.Go(func() {
			other, err := p.begin(t.Context(), nil)
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute + time.Second)
			other.end()
		})
		synctest.Wait()
		time.Sleep(shortStretch)
		if err := w.breathe(t.Context()); err != nil || calls != 13 {
			t.Errorf("%d calls in a minute, %v", calls, err)
		}
		w.end()
		group.Wait()
	})
}
