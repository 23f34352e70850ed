package sim

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

var (
	// errLost is the fault of a storage call or of a message.
	errLost = errors.New("simulated fault")
	// errCrashed is what a process that is dead gets of everything.
	errCrashed = errors.New("this process has crashed")
)

// fate is what becomes of an event.
type fate byte

const (
	delivered  fate = '.'
	notApplied fate = 'x' // it fails and was not carried out
	answerLost fate = '?' // it is carried out, and fails
)

// event is one step of a process or message, which happens when the scheduler
// says so.
type event struct {
	// key says who does what, as a trace shows it. New events are put in its
	// order.
	key  string
	kind kind
	// by is whose step it is; nil for a message under way.
	by *process
	// apply carries it out. It is called by the scheduler and does not block.
	apply func(lost bool)
	// done tells the one who waits; nil when nobody does.
	done chan error

	fate fate
	due  time.Time
	left bool // whoever waited has given up; guarded by the scheduler's mu
}

type kind byte

const (
	kindRead kind = iota
	kindWrite
	kindMessage
	kindAsk  // the registry
	kindSwap // in the registry
)

func (k kind) reads() bool  { return k == kindRead || k == kindAsk }
func (k kind) writes() bool { return k == kindWrite || k == kindSwap }

// scheduler lets one event happen at a time. What follows mu is its own
// goroutine's.
type scheduler struct {
	mu      sync.Mutex
	arrived []*event
	wake    chan struct{}

	rng     *rand.Rand
	weather weather
	pending []*event
	actions []action
	trace   trace
	crash   func(*process)
	count   *counts
}

// action is something that the run does at a time of its own.
type action struct {
	at time.Time
	do func()
}

func newScheduler(rng *rand.Rand, count *counts) *scheduler {
	return &scheduler{wake: make(chan struct{}, 1), rng: rng, count: count, trace: newTrace()}
}

// step posts an event and waits until it has happened. Whoever stops waiting
// when ctx ends does not know whether it will: it may happen later.
func (s *scheduler) step(ctx context.Context, ev *event) error {
	if ev.by != nil && ev.by.dead.Load() {
		return errCrashed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ev.done = make(chan error, 1)
	s.post(ev)
	select {
	case err := <-ev.done:
		return err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		ev.left = true
		return ctx.Err()
	}
}

// post has an event happen some time.
func (s *scheduler) post(ev *event) {
	s.mu.Lock()
	s.arrived = append(s.arrived, ev)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// at has something done at a time.
func (s *scheduler) at(when time.Time, do func()) {
	i, _ := slices.BinarySearchFunc(s.actions, when, func(a action, t time.Time) int {
		if a.at.After(t) {
			return 1
		}
		return -1
	})
	s.actions = slices.Insert(s.actions, i, action{when, do})
}

func (s *scheduler) after(d time.Duration, do func()) { s.at(time.Now().Add(d), do) }

// maxEvents is more than any run that comes to rest has.
const maxEvents = 400_000

// run goes on until the clock says so.
func (s *scheduler) run(until time.Time) {
	for s.count.Events < maxEvents {
		synctest.Wait()
		s.admit()
		now := time.Now()
		switch {
		case len(s.actions) > 0 && !s.actions[0].at.After(now):
			do := s.actions[0].do
			s.actions = s.actions[1:]
			do()
		case s.releaseOne(now):
		case !now.Before(until):
			return
		default:
			s.sleep(now, until)
		}
	}
}

// admit takes in what was posted since, in an order of its own.
func (s *scheduler) admit() {
	s.mu.Lock()
	fresh := s.arrived
	s.arrived = nil
	s.mu.Unlock()
	slices.SortStableFunc(fresh, func(a, b *event) int { return cmp.Compare(a.key, b.key) })
	for _, ev := range fresh {
		s.weather.decide(s.rng, ev)
		s.pending = append(s.pending, ev)
	}
}

// releaseOne lets one event happen, drawn from those that are due.
func (s *scheduler) releaseOne(now time.Time) bool {
	ready := 0
	for _, ev := range s.pending {
		if !ev.due.After(now) {
			ready++
		}
	}
	if ready == 0 {
		return false
	}
	nth := s.rng.IntN(ready)
	for i, ev := range s.pending {
		if ev.due.After(now) {
			continue
		}
		if nth--; nth < 0 {
			s.pending = slices.Delete(s.pending, i, i+1)
			s.tick()
			s.release(ev)
			return true
		}
	}
	return false
}

// tick lets a little time go by, as no two steps are at one moment. Timers that
// are set in different steps then fire at different times: those that fire at one
// do so in an order that no seed decides.
func (s *scheduler) tick() {
	const most = 20 * time.Microsecond
	time.Sleep(1 + time.Duration(s.rng.Int64N(int64(most))))
	synctest.Wait()
	s.admit()
}

func (s *scheduler) release(ev *event) {
	crashes := s.weather.crashes(s.rng, ev)
	if crashes && s.rng.IntN(2) == 0 {
		s.crash(ev.by)
	}
	s.happen(ev)
	if crashes && !ev.by.dead.Load() {
		s.crash(ev.by)
	}
}

// happen carries an event out. Of what nobody waits for any more, a write that
// was under way may still land, and a message arrives.
func (s *scheduler) happen(ev *event) {
	s.mu.Lock()
	left := ev.left
	s.mu.Unlock()
	dead := ev.by != nil && ev.by.dead.Load()
	if (left || dead) && (ev.kind.reads() || ev.kind.writes() && s.rng.IntN(2) == 0) {
		ev.fate = notApplied
	}
	s.count.event(ev)
	s.trace.add(ev.key, ev.fate)
	var err error
	if ev.fate != delivered {
		err = errLost
	}
	if ev.fate != notApplied || ev.kind == kindMessage {
		ev.apply(ev.fate != delivered)
	}
	if ev.done != nil {
		ev.done <- err
	}
}

// sleep lets the clock move on to what comes next.
func (s *scheduler) sleep(now, until time.Time) {
	next := until
	if len(s.actions) > 0 && s.actions[0].at.Before(next) {
		next = s.actions[0].at
	}
	for _, ev := range s.pending {
		if ev.due.Before(next) {
			next = ev.due
		}
	}
	timer := time.NewTimer(next.Sub(now))
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
	}
}

// failAll has everything fail that a process still waits for. It comes after
// the process's context has ended, so that only those are left who do not heed
// it.
func (s *scheduler) failAll(p *process) {
	synctest.Wait()
	s.admit()
	for _, ev := range s.pending {
		if ev.by == p && ev.done != nil {
			select {
			case ev.done <- errCrashed:
			default:
			}
			ev.done = nil
		}
	}
	synctest.Wait()
}

// forget has nothing happen any more that was under way to a disk.
func (s *scheduler) forget(h *host) {
	s.pending = slices.DeleteFunc(s.pending, func(ev *event) bool { return ev.by != nil && ev.by.on == h && ev.kind == kindWrite })
}

// drop forgets what is still to happen.
func (s *scheduler) drop() {
	synctest.Wait()
	s.admit()
	s.pending = nil
}
