package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/repair"
)

// errReset is what a caller gets when the other side goes.
var errReset = errors.New("connection reset")

// message is one request to a guardian and its answer.
type message struct {
	world *world
	key   string
	from  int // host, or outside
	to    *host
	// pinned is the process that must answer; nil for whichever.
	pinned *process
	// body is what others on the wire would see; nil of what is not looked at.
	body []byte
	// handle answers it, in a goroutine of the process.
	handle func(ctx context.Context, p *process) ([]byte, error)
	// then gets the answer, or why there is none, once; called by the scheduler.
	then func(answer []byte, err error)

	ctx      context.Context // ends when nobody waits for the answer any more
	cancel   context.CancelFunc
	taken    *process
	finished bool
}

// outside is where owners are, whom no partition cuts off.
const outside = -1

// messageTimeout bounds how long a guardian works on a message.
const messageTimeout = 30 * time.Second

// send has a message arrive some time, or not.
func (w *world) send(m *message) {
	m.world = w
	m.ctx, m.cancel = context.WithTimeout(context.Background(), messageTimeout)
	w.sched.post(&event{key: m.key, kind: kindMessage, apply: func(lost bool) { m.arrive(lost) }})
}

func (m *message) arrive(lost bool) {
	p := m.process()
	m.world.spy(m.from, m.to.index, m.body)
	switch {
	case lost || m.world.cut(m.from, m.to.index):
		m.finish(nil, errLost)
	case p == nil:
		m.finish(nil, errReset)
	default:
		m.taken = p
		p.calls = append(p.calls, m)
		go m.work(p)
	}
}

// process draws which process of the guardian the message comes to.
func (m *message) process() *process {
	if m.pinned != nil {
		if m.pinned.dead.Load() {
			return nil
		}
		return m.pinned
	}
	up := slices.DeleteFunc(slices.Clone(m.to.up), func(p *process) bool { return p.ready.Load() == nil })
	if len(up) == 0 {
		return nil
	}
	return up[m.world.rng.IntN(len(up))]
}

// work is the process's part.
func (m *message) work(p *process) {
	stop := context.AfterFunc(p.ctx, m.cancel)
	defer stop()
	answer, err := m.handle(m.ctx, p)
	if p.dead.Load() {
		return
	}
	m.world.sched.post(&event{
		key: m.key + " answered " + outcome(answer, err), kind: kindMessage, by: p,
		apply: func(lost bool) { m.answered(p, lost, answer, err) },
	})
}

func outcome(answer []byte, err error) string {
	if err != nil {
		return "no"
	}
	return digest(answer)
}

func (m *message) answered(p *process, lost bool, answer []byte, err error) {
	p.calls = slices.DeleteFunc(p.calls, func(c *message) bool { return c == m })
	m.world.spy(m.to.index, m.from, answer)
	if lost || m.world.cut(m.from, m.to.index) {
		answer, err = nil, errLost
	}
	m.finish(answer, err)
}

func (m *message) finish(answer []byte, err error) {
	if m.finished {
		return
	}
	m.finished = true
	m.cancel()
	m.then(answer, err)
}

// peers are the other guardians as a process reaches them.
type peers struct{ p *process }

var _ repair.Peers = (*peers)(nil)

// Dial implements [repair.Peers].
func (n *peers) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	for _, h := range n.p.world.hosts {
		if h != n.p.on && key.Equal(h.keys.node.PublicKey()) {
			return &conn{from: n.p, to: h}, nil
		}
	}
	return nil, repair.ErrUnknownPeer
}

// Members implements [repair.Peers]. The failure detector is as good as its last
// heartbeat.
func (n *peers) Members() []repair.Member {
	var all []repair.Member
	for _, h := range n.p.world.hosts {
		if h != n.p.on {
			all = append(all, n.member(h))
		}
	}
	return all
}

// Self implements [repair.Peers].
func (n *peers) Self() repair.Member { return n.member(n.p.on) }

func (n *peers) member(h *host) repair.Member {
	return repair.Member{
		Key: h.keys.node.PublicKey(), NodeID: h.id, Index: h.index + 1, FailureDomain: h.id,
		Alive: h == n.p.on || n.p.on.sees[h.index].Load(), Silent: n.p.world.moves.silent(n.p.on, h),
	}
}

// conn is one connection to one process of another guardian.
type conn struct {
	from *process
	to   *host
	// taken is the process that answered first; the scheduler's.
	taken *process
}

type result struct {
	answer []byte
	err    error
}

// Call implements [repair.Conn].
func (c *conn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	if c.from.dead.Load() {
		return nil, errCrashed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, body := c.from.world, bytes.Clone(body)
	got := make(chan result, 1)
	m := &message{
		key:  fmt.Sprintf("%s>%s %s %s", c.from.label, c.to.id, route, digest(body)),
		from: c.from.on.index, to: c.to, pinned: c.taken, body: body,
		handle: func(ctx context.Context, p *process) ([]byte, error) {
			return p.answer(ctx, c.from.on, route, body)
		},
	}
	m.then = func(answer []byte, err error) {
		if c.taken == nil {
			c.taken = m.taken
		}
		got <- result{answer, err}
	}
	w.send(m)
	select {
	case r := <-got:
		return r.answer, r.err
	case <-ctx.Done():
		m.cancel()
		return nil, ctx.Err()
	}
}

// Close implements [repair.Conn].
func (c *conn) Close() {}

// answer is what a guardian says to another one, with a lie in it where it is
// a liar.
func (p *process) answer(ctx context.Context, from *host, route string, body []byte) ([]byte, error) {
	answer, err := p.ready.Load().repairer.Handle(ctx, from.keys.node.PublicKey(), route, body)
	switch {
	case err != nil:
		return nil, err
	case p.on.lies && p.world.moves != nil:
		return p.world.moves.lie.lie(route, answer), nil
	case p.on.lies || p.on.slandered:
		return lie(route, answer), nil
	case p.world.plant.votesTwice && route == repair.RouteStanding:
		return []byte("{}"), nil // nobody else keeps the second vote from counting
	case p.world.plant.tells && route == repair.RouteSurvey:
		return p.world.tell(p.on, answer), nil
	}
	return answer, nil
}
