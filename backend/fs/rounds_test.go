package fs

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestRoundsShareAnFsyncThatBeganLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began, proceed := newRounds(), atomic.Int32{}, make(chan error)
		results := make(chan error, 10)
		start := func(dir string) {
			go func() {
				results <- r.do(dir, func() error {
					began.Add(1)
					return <-proceed
				})
			}()
			synctest.Wait()
		}
		start("a")
		start("a")
		start("a")
		if began.Load() != 1 {
			t.Fatalf("%d began, want 1", began.Load())
		}
		start("b")
		if began.Load() != 2 {
			t.Error("another directory had to wait")
		}
		proceed <- nil
		proceed <- nil
		synctest.Wait()
		if began.Load() != 3 || len(results) != 2 {
			t.Errorf("%d began, %d returned: those who came late must wait for a third", began.Load(), len(results))
		}
		broken := errors.New("input/output error")
		proceed <- broken
		synctest.Wait()
		if began.Load() != 3 {
			t.Error("the late ones did not share one")
		}
		var failed int
		for range 4 {
			if err := <-results; errors.Is(err, broken) {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d saw the failure, want the two who shared it", failed)
		}
		if len(r.running)+len(r.waiting) != 0 {
			t.Error("something is left behind")
		}
	})
}
