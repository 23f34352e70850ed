package fs

import "sync"

// rounds lets all who need an fsync of one directory at a time share it. One
// that has begun may have missed the caller's change, so who comes then waits
// for the next one, together with all who come before that begins.
type rounds struct {
	mu      sync.Mutex
	running map[string]*round
	waiting map[string]*round
}

type round struct {
	over chan struct{}
	err  error
}

func newRounds() *rounds {
	return &rounds{running: make(map[string]*round), waiting: make(map[string]*round)}
}

// do returns the outcome of an fsync of dir that began after do was called: of
// its own, or of another caller's. All callers that overlap must mean the same
// directory by dir.
func (r *rounds) do(dir string, fsync func() error) error {
	mine := r.join(dir, fsync)
	<-mine.over
	return mine.err
}

// join is do without waiting for it to be over.
func (r *rounds) join(dir string, fsync func() error) *round {
	mine, before, lead := r.enter(dir)
	if lead {
		go func() {
			if before != nil {
				<-before.over
			}
			r.begin(dir, mine)
			mine.err = fsync()
			r.end(dir, mine)
		}()
	}
	return mine
}

// enter returns the round that is next, the one that is running, and whether
// the caller is to carry out the next.
func (r *rounds) enter(dir string) (next, running *round, lead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if next := r.waiting[dir]; next != nil {
		return next, nil, false
	}
	next = &round{over: make(chan struct{})}
	r.waiting[dir] = next
	return next, r.running[dir], true
}

func (r *rounds) begin(dir string, mine *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, dir)
	r.running[dir] = mine
}

func (r *rounds) end(dir string, mine *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, dir)
	close(mine.over)
}
