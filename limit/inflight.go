package limit

import "sync"

// calls counts the requests in flight of each actor that has any. A nil *calls
// counts none.
type calls struct {
	most int

	mu sync.Mutex
	of map[string]int
}

// newCalls returns nil when most is 0 or less.
func newCalls(most int) *calls {
	if most <= 0 {
		return nil
	}
	return &calls{most: most, of: map[string]int{}}
}

func (c *calls) begin(actor string) (end func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[actor] >= c.most {
		return func() {}, false
	}
	c.of[actor]++
	return sync.OnceFunc(func() { c.end(actor) }), true
}

func (c *calls) end(actor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[actor]--; c.of[actor] == 0 {
		delete(c.of, actor)
	}
}

func (c *calls) len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.of)
}
