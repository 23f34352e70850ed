package guardian

import (
	"sync"
	"time"
)

// ages tells how long ago something was written, which decides whether it was
// left behind. Somebody may set the wall clock while a push is between its
// objects and its commit: by a day, and the objects would seem to be a day old. So
// what this process is writing has no age, however the clock goes; and what
// others are writing is as old as it is by the clock that shows the less, the one
// of now or the one of the start with the time that has passed since.
type ages struct {
	opened time.Time

	mu      sync.Mutex
	writing map[written]struct{}
}

// written is a generation of a slot.
type written struct {
	slot Slot
	generation
}

func newAges() *ages { return &ages{opened: time.Now(), writing: make(map[written]struct{})} }

// write tells that this process writes a generation, which nobody else does,
// until done is called.
func (a *ages) write(slot Slot, g generation) (done func()) {
	key := written{slot, g}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing[key] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.writing, key)
	}
}

// of is the age of an object of a generation that was written then.
func (a *ages) of(slot Slot, g generation, then time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ours := a.writing[written{slot, g}]; ours {
		return 0
	}
	steady := a.opened.Add(time.Since(a.opened))
	return min(time.Since(then), steady.Sub(then))
}
