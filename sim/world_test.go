package sim

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/quorum"
)

// world is one run.
type world struct {
	seed  uint64
	rng   *rand.Rand // the scheduler's
	sched *scheduler
	log   *slog.Logger

	hosts   []*host
	started []*process
	secrets []*secret
	k       int
	retain  int
	twins   bool // two devices of an owner push at the same time
	// apart is who cannot reach whom, by index, owners last.
	apart map[[2]int]int
	leaks leaks
	plant plant
	// moves is what runs with redistribution have; nil in others.
	moves *moves

	count    counts
	failures []string
}

// broken notes that something is wrong.
func (w *world) broken(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.sched.trace.add("BROKEN: "+text, delivered)
	w.failures = append(w.failures, text)
}

// note adds a remark to the trace.
func (w *world) note(format string, args ...any) {
	w.sched.trace.add("  "+fmt.Sprintf(format, args...), delivered)
}

var allKeys = func() []nodeKeys {
	var all []nodeKeys
	for i := range 14 {
		keys, err := newNodeKeys(i)
		if err != nil {
			panic(err)
		}
		all = append(all, keys)
	}
	return all
}()

// emptyWorld has nobody in it yet.
func emptyWorld(seed uint64, plant plant) *world {
	w := &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), plant: plant, apart: map[[2]int]int{}}
	w.sched = newScheduler(w.rng, &w.count)
	w.sched.crash = w.crash
	w.log = slog.New(slog.DiscardHandler)
	return w
}

// newWorld draws who there is.
func newWorld(seed uint64, plant plant) *world {
	w := emptyWorld(seed, plant)
	n := 3 + min(w.rng.IntN(12), w.rng.IntN(12), w.rng.IntN(16)) // small ones are faster
	w.k = min(n, quorum.Threshold(n))
	if w.rng.IntN(3) == 0 {
		w.k = 2 + w.rng.IntN(n-1)
	}
	w.retain, w.twins = 2+w.rng.IntN(3), w.rng.IntN(8) == 0
	w.settle(n)
	w.chooseLiars()
	w.own(1 + min(w.rng.IntN(3), w.rng.IntN(3)))
	return w
}

// settle makes the guardians.
func (w *world) settle(n int) {
	w.count.Runs, w.count.ByN[n] = 1, 1
	for i := range n {
		h := &host{world: w, index: i, id: nodeID(i), keys: allKeys[i], wrecked: map[string]bool{}, sees: make([]atomic.Bool, n)}
		h.disk = newDisk(h)
		w.hosts = append(w.hosts, h)
	}
}

// own makes the secrets.
func (w *world) own(count int) {
	for i := range count {
		s := &secret{world: w, owner: owners[i]}
		s.slot = guardian.Slot{Identity: identityOf(s.owner), Name: []string{"", "photos"}[w.rng.IntN(2)]}
		w.secrets = append(w.secrets, s)
	}
}

// chooseLiars makes as many lie as an audit can name, in some runs, and as leave
// an acknowledged secret K others.
func (w *world) chooseLiars() {
	n := len(w.hosts)
	most := min((n-w.k)/2, quorum.Acks(n, w.k)-w.k)
	if most == 0 || w.rng.IntN(3) != 0 {
		return
	}
	for _, i := range w.rng.Perm(n)[:1+w.rng.IntN(most)] {
		w.hosts[i].lies = true
	}
}

func (w *world) liars() int {
	count := 0
	for _, h := range w.hosts {
		if h.lies {
			count++
		}
	}
	return count
}

// cut tells whether a partition is between two; outside is where owners are.
func (w *world) cut(from, to int) bool { return w.apart[[2]int{from, to}] > 0 }

// heartbeats tells everybody whom they reach, every now and then.
func (w *world) heartbeats() {
	for _, h := range w.hosts {
		for _, other := range w.hosts {
			alive := len(other.up) > 0 && !w.cut(h.index, other.index)
			h.sees[other.index].Store(alive)
			if alive {
				w.moves.hear(h, other)
			}
		}
	}
	w.sched.after(5*time.Second, w.heartbeats)
}

// runResult is what came of a run.
type runResult struct {
	counts   counts
	failures []string
	tail     string
	hash     uint64
}

// simulate is one run.
func simulate(t *testing.T, seed uint64, plant plant, full func(string)) runResult {
	t.Helper()
	return simulateIn(t, newWorld, seed, plant, full)
}

// simulateIn is one run in a world.
func simulateIn(t *testing.T, world func(seed uint64, plant plant) *world, seed uint64, plant plant, full func(string)) (r runResult) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		w := world(seed, plant)
		w.sched.trace.full = full
		if full != nil {
			w.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		w.live()
		if w.count.Events >= maxEvents {
			w.broken("it does not come to rest: %d events", w.count.Events)
		}
		w.stop()
		r = runResult{w.count, w.failures, w.sched.trace.String(), w.sched.trace.hash.Sum64()}
	})
	return r
}

// live is the run from start to end. A panic of the run itself must not keep it
// from being ended: that would hide it.
func (w *world) live() {
	defer func() {
		if p := recover(); p != nil {
			w.broken("panic: %v\n%s", p, debug.Stack())
		}
	}()
	for _, h := range w.hosts {
		h.start()
	}
	w.heartbeats()
	w.run(2 * time.Second)
	for _, s := range w.secrets {
		s.pushNext(time.Minute)
	}
	w.runUntil(time.Minute, w.idle)
	if w.moves != nil {
		w.liveOn()
		return
	}
	w.run(time.Duration(w.rng.IntN(20)) * time.Second)
	w.storm()
	w.heal()
}

func (w *world) run(d time.Duration) {
	w.sched.run(time.Now().Add(d))
}

// runUntil goes on until something is so, at most so long.
func (w *world) runUntil(most time.Duration, so func() bool) {
	for end := time.Now().Add(most); !so() && time.Now().Before(end) && w.count.Events < maxEvents; {
		w.run(time.Second)
	}
}

// idle tells whether no owner is at anything.
func (w *world) idle() bool {
	return !slices.ContainsFunc(w.secrets, func(s *secret) bool { return s.busy > 0 })
}

// stop ends all processes, so that nothing is left in the bubble.
func (w *world) stop() {
	for _, h := range w.hosts {
		for len(h.up) > 0 {
			w.crash(h.up[0])
		}
	}
	w.sched.actions = nil
	w.sched.drop()
	for _, p := range w.started {
		<-p.ended
	}
}

// snapshot is a copy of what is on a disk.
func (h *host) snapshot() map[string][]byte { return maps.Clone(h.disk.mem.Objects()) }
