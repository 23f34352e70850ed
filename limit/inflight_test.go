package limit_test

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/limit"
)

func acquire(t *testing.T, l *limit.Limits, c limit.Caller, want bool) (release func()) {
	t.Helper()
	release, ok := l.Acquire(c)
	if ok != want {
		t.Fatalf("acquired %v, want %v", ok, want)
	}
	return release
}

func TestAcquire(t *testing.T) {
	refusals := map[string]int{}
	l := limit.New(limit.Config{InFlight: 2, OnRefused: func(name string) { refusals[name]++ }})
	bob := limit.Caller{Address: alice.Address, Actor: "bob"}
	first := acquire(t, l, alice, true)
	second := acquire(t, l, alice, true)
	refused := acquire(t, l, alice, false)
	bobs := acquire(t, l, bob, true)

	refused()
	acquire(t, l, alice, false)
	first()
	first() // gives back nobody else's place
	third := acquire(t, l, alice, true)
	acquire(t, l, alice, false)
	if !maps.Equal(refusals, map[string]int{limit.NameInFlight: 3}) {
		t.Errorf("refusals seen: %v", refusals)
	}
	if l.Len() != 2 {
		t.Errorf("%d actors are remembered, want 2", l.Len())
	}
	for _, release := range []func(){second, third, bobs, bobs, first} {
		release()
	}
	if l.Len() != 0 {
		t.Errorf("%d actors are remembered, want none", l.Len())
	}
	acquire(t, l, alice, true)
	acquire(t, l, alice, true)
	acquire(t, l, alice, false)
}

func TestCallsWithoutActorAreNotCounted(t *testing.T) {
	l := limit.New(limit.Config{InFlight: 1})
	for range 3 {
		acquire(t, l, limit.Caller{Address: alice.Address}, true)
	}
	if l.Len() != 0 {
		t.Errorf("%d are remembered", l.Len())
	}
}

// TestConcurrentAcquire never sees more in flight than allowed, whatever is
// released twice, and nobody in the end.
func TestConcurrentAcquire(t *testing.T) {
	const most = 4
	l := limit.New(limit.Config{InFlight: most})
	var inFlight, let atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				release, ok := l.Acquire(alice)
				if !ok {
					continue
				}
				let.Add(1)
				if n := inFlight.Add(1); n > most {
					t.Errorf("%d in flight", n)
				}
				inFlight.Add(-1)
				var twice sync.WaitGroup
				twice.Go(release)
				release()
				twice.Wait()
			}
		})
	}
	wg.Wait()
	if let.Load() == 0 || l.Len() != 0 {
		t.Errorf("%d were let in, %d actors are remembered", let.Load(), l.Len())
	}
}
