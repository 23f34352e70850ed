package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

var errNotNow = errors.New("not now")

// slotNo returns one of many slots, in an order that is not that of their
// numbers.
func slotNo(i int) guardian.Slot {
	return guardian.Slot{Identity: fmt.Sprintf("%064x", (uint64(i)+1)*0x9e3779b97f4a7c15)}
}

// healer stands in for recovery. Its outcomes are what outcome says, nil always
// by default.
type healer struct {
	outcome func(ctx context.Context, slot guardian.Slot, attempt int) (Report, error)

	mu       sync.Mutex
	order    []guardian.Slot
	attempts map[guardian.Slot]int
	verified map[guardian.Slot]int
	busy     int
	busiest  int
}

func (h *healer) heal(ctx context.Context, slot guardian.Slot) (Report, error) {
	attempt := h.begin(slot)
	report, err := Report{Outcome: OutcomeRepaired}, error(nil)
	if h.outcome != nil {
		report, err = h.outcome(ctx, slot, attempt)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	if err == nil {
		h.verified[slot]++
	}
	return report, err
}

func (h *healer) begin(slot guardian.Slot) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.attempts == nil {
		h.attempts, h.verified = map[guardian.Slot]int{}, map[guardian.Slot]int{}
	}
	h.order = append(h.order, slot)
	h.attempts[slot]++
	h.busy++
	h.busiest = max(h.busiest, h.busy)
	return h.attempts[slot]
}

func (h *healer) isVerified(slot guardian.Slot) bool { return h.count(slot) > 0 }

func (h *healer) count(slot guardian.Slot) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.verified[slot]
}

// attemptsAbove counts the attempts after the nth of each slot.
func (h *healer) attemptsAbove(n int) (above int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, attempts := range h.attempts {
		above += max(0, attempts-n)
	}
	return above
}

func (h *healer) tried() []guardian.Slot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.order)
}

func noNames(context.Context, string) ([]string, error) { return nil, nil }

func openQueue(store backend.Backend, h *healer) *queue {
	return newQueue(Config{Poll: time.Second, Workers: 4}, store, h.heal, noNames)
}

// running runs the queue until stop is called.
func running(t *testing.T, q *queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func mustAdd(t *testing.T, q *queue, items ...Item) {
	t.Helper()
	for _, item := range items {
		if err := q.add(t.Context(), item); err != nil {
			t.Fatal(err)
		}
	}
}

func damagedItem(slot guardian.Slot) Item { return Item{Slot: slot, Reason: ReasonDamaged, Good: -1} }

func mustRead(t *testing.T, q *queue, slot guardian.Slot) queued {
	t.Helper()
	item, _, err := q.read(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func mustStatus(t *testing.T, q *queue) Status {
	t.Helper()
	s, err := q.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// objects returns the keys that begin with prefix.
func objects(store *backendtest.Memory, prefix string) []string {
	var keys []string
	for key := range store.Objects() {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func putFile(t *testing.T, store backend.Backend, name, content string) {
	t.Helper()
	if _, err := store.Put(t.Context(), prefixInbox+name, []byte(content), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

// logged hands the log of a queue to a test.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func logOf(q *queue) *logged {
	l := new(logged)
	q.log = slog.New(slog.NewTextHandler(l, nil))
	return l
}

// process is one run of a queue that can be killed: from then on nothing it does
// reaches storage.
type process struct {
	*queue
	store *backendtest.Faulty
	stop  func()
}

// startProcess runs a queue over store. The callAt'th call to storage, if there is
// one, is its last: with last, whose answer does not arrive.
func startProcess(t *testing.T, store backend.Backend, h *healer, callAt int, last backendtest.Fault) *process {
	t.Helper()
	dead := make(chan struct{})
	p := &process{store: &backendtest.Faulty{Backend: store}}
	p.store.SetInject(func(call backendtest.Call) backendtest.Fault {
		switch {
		case callAt == 0 || call.N < callAt:
			return backendtest.None
		case call.N == callAt:
			close(dead)
			return last
		default:
			return backendtest.NotApplied
		}
	})
	p.queue = openQueue(p.store, h)
	stop := running(t, p.queue)
	p.stop = stop
	if callAt > 0 {
		go func() {
			select {
			case <-dead:
			case <-time.After(24 * time.Hour):
			}
			stop()
		}()
	}
	return p
}

// passTime lets time pass, and all that comes of it happen.
func passTime(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inBubble runs a test in a bubble of its own, where time passes at once.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }
