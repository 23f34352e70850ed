package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

// host is one guardian: its keys, its disk, its clock, and the processes that
// are up, of which there may be two.
type host struct {
	world *world
	index int // of world.hosts; its point is one more
	id    string
	keys  nodeKeys
	disk  *disk
	// wrecked are keys and the bytes they were changed to behind the guardian's
	// back.
	wrecked map[string]bool
	// backup is what was on the disk at some time.
	backup map[string][]byte
	up     []*process
	starts int
	skew   atomic.Int64 // nanoseconds that its clock is off
	// sees tells which others its failure detector takes for alive.
	sees []atomic.Bool
	// lies: what it tells others of its shares is wrong.
	lies bool
	// slandered: it lies too, and the run does not know.
	slandered bool
	// gone for good.
	gone bool
	// restored: its disk was put back to what was on it earlier.
	restored bool
}

func (h *host) point() byte { return byte(h.index + 1) }

// now is the host's clock. Processes read it at any time.
func (h *host) now() time.Time { return time.Now().Add(time.Duration(h.skew.Load())) }

// process is one process of a guardian, from its start to its crash.
type process struct {
	world *world
	on    *host
	label string
	store *store

	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
	dead   atomic.Bool
	// ready holds what serves, once the node is open.
	ready atomic.Pointer[serving]
	// calls are the messages it works on, oldest first; the scheduler's.
	calls []*message
}

type serving struct {
	node     *guardian.Node
	repairer *repair.Repairer
}

// start starts a process of the guardian, beside those that are up.
func (h *host) start() {
	h.starts++
	p := &process{world: h.world, on: h, label: fmt.Sprintf("%s.%d", h.id, h.starts), ended: make(chan struct{})}
	p.store = &store{p}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	h.up = append(h.up, p)
	h.world.started = append(h.world.started, p)
	h.world.sched.trace.add(p.label+" starts", delivered)
	go p.run()
}

// run is a process from its start to its end. Like a supervisor's, it tries
// again where the storage does not let it start.
func (p *process) run() {
	defer close(p.ended)
	for p.ctx.Err() == nil {
		if err := p.serve(); p.ctx.Err() == nil {
			p.world.log.Warn("could not start", "process", p.label, "error", err)
			sleep(p.ctx, time.Second)
		}
	}
}

func (p *process) serve() error {
	var now serving
	node, err := guardian.Open(p.ctx, p.store, p.on.keys.sealer, guardian.Config{
		Retain: p.world.retain, Ownership: guardian.OwnershipSticky, RequestTimeout: requestTimeout,
		Logger: p.world.log, Damaged: func(slot guardian.Slot) {
			if s := p.ready.Load(); s != nil {
				s.repairer.Damaged(slot)
			}
		},
	})
	if err != nil {
		return err
	}
	now.node = node
	cfg := repair.Config{
		Node: node, Key: p.on.keys.node, Peers: &peers{p}, FailureDomain: p.on.id,
		ScrubInterval: scrubInterval, Poll: queuePoll, Now: p.on.now, Logger: p.world.log,
	}
	p.world.moves.configure(p, &cfg)
	now.repairer = repair.New(cfg)
	p.world.moves.bend(p, now.repairer)
	p.world.plant.bend(now.repairer)
	p.ready.Store(&now)
	if p.world.plant.noRepair {
		<-p.ctx.Done()
	} else {
		now.repairer.Run(p.ctx)
	}
	return node.Close(p.ctx)
}

// requestTimeout and the like are the settings of every guardian. No two of its
// loops wake at the same moment, in an order that no seed decides.
const (
	requestTimeout = 10 * time.Second
	scrubInterval  = 30*time.Second + 7919*time.Nanosecond
	queuePoll      = 5*time.Second + 1013*time.Nanosecond
)

// crash ends a process at once: nothing that it still asks for happens, but what
// was under way.
func (w *world) crash(p *process) {
	if p.dead.Swap(true) {
		return
	}
	w.count.Crashes++
	w.sched.trace.add(p.label+" crashes", delivered)
	p.on.up = slices.DeleteFunc(p.on.up, func(q *process) bool { return q == p })
	p.cancel()
	w.sched.failAll(p)
	for _, m := range slices.Clone(p.calls) {
		m.finish(nil, errReset)
	}
	p.calls = nil
	synctest.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// nodeKeys are made once for all runs: making them takes longer than a run.
type nodeKeys struct {
	node   *integrity.NodeKey
	sealer *integrity.Sealer
}

func newNodeKeys(index int) (nodeKeys, error) {
	node, err := integrity.ParseNodeKey(fmt.Appendf(nil, "%064x", 0x6e0de+index))
	if err != nil {
		return nodeKeys{}, err
	}
	source := integrity.InlineSource{Text: fmt.Sprintf("%064x", 0x5ea1+index)}
	sealer, err := integrity.NewSealer(context.Background(), nodeID(index), source, slog.New(slog.DiscardHandler))
	return nodeKeys{node, sealer}, err
}

func nodeID(index int) string { return fmt.Sprintf("g%02d", index+1) }
