package limit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxBuckets bounds the memory of a limit, at about 100 bytes each.
const maxBuckets = 100_000

// buckets are token buckets of one size, which hold the tokens of a whole
// window at most. A bucket is one number, the time at which it will be full
// again (the generic cell rate algorithm of ITU-T I.371), and one that is full
// is not kept. A nil *buckets keeps none.
type buckets struct {
	interval time.Duration // between two tokens
	capacity time.Duration // for which an empty bucket fills

	mu sync.Mutex
	// fullAt is in the order of the last charge.
	fullAt *simplelru.LRU[uint64, time.Duration]
}

// newBuckets returns nil when most is 0 or less.
func newBuckets(most int, window time.Duration) *buckets {
	if most <= 0 {
		return nil
	}
	fullAt, _ := simplelru.NewLRU[uint64, time.Duration](maxBuckets, nil) // refuses a size of 0 only
	interval := window / time.Duration(most)
	return &buckets{interval: interval, capacity: interval * time.Duration(most), fullAt: fullAt}
}

// take charges a token if there is one, and otherwise returns how long there
// will be none.
func (b *buckets) take(key uint64, now time.Duration) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.lacks(key, now); wait > 0 {
		return wait
	}
	b.add(key, now)
	return 0
}

// wait is take without the charge.
func (b *buckets) wait(key uint64, now time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lacks(key, now)
}

// charge is take whether there is a token or not.
func (b *buckets) charge(key uint64, now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(key, now)
}

// lacks does not count as a use: what is refused keeps nobody in memory.
func (b *buckets) lacks(key uint64, now time.Duration) time.Duration {
	fullAt, _ := b.fullAt.Peek(key)
	return max(0, max(fullAt, now)+b.interval-b.capacity-now)
}

func (b *buckets) add(key uint64, now time.Duration) {
	b.forgetFull(now)
	fullAt, _ := b.fullAt.Peek(key)
	b.fullAt.Add(key, max(fullAt, now)+b.interval)
}

// forgetFull drops the buckets that are full, from the one charged longest ago
// to the first that is not. One that was not charged for a window is full, so
// none stays for longer than that behind the others. Each was charged once for
// being dropped once, so the cost per charge is constant; 100,000 in one go
// take some 20 ms.
func (b *buckets) forgetFull(now time.Duration) {
	for {
		if _, fullAt, ok := b.fullAt.GetOldest(); !ok || fullAt > now {
			return
		}
		b.fullAt.RemoveOldest()
	}
}

func (b *buckets) len() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fullAt.Len()
}
