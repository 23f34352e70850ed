package peer

import "sync"

// places bounds how many there are at once, in all and of each kind. It
// remembers only kinds of which there are some. It is safe for concurrent use.
type places struct {
	all, each int

	mu    sync.Mutex
	taken int
	of    map[string]int
}

func newPlaces(all, each int) *places {
	return &places{all: all, each: each, of: map[string]int{}}
}

// take reports whether there was a place; leave gives it back.
func (p *places) take(kind string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.all || p.of[kind] >= p.each {
		return false
	}
	p.taken++
	p.of[kind]++
	return true
}

func (p *places) leave(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.of[kind]--; p.of[kind] == 0 {
		delete(p.of, kind)
	}
}
