package cluster

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
)

// world is a registry, a network and the guardians on it, in a bubble of
// testing/synctest.
type world struct {
	t     *testing.T
	store *backendtest.Memory // of the registry

	ports int

	mu sync.Mutex
	at map[string]*process // by peer URL
	// cut tells what the network loses between two nodes.
	cut func(from, to string) bool

	calls, wire atomic.Int64 // heartbeats sent, and bytes of JSON both ways
}

func inWorld(t *testing.T, run func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		run(t, &world{t: t, store: backendtest.NewMemory(), at: map[string]*process{}, cut: func(string, string) bool { return false }})
	})
}

// process is one guardian that runs.
type process struct {
	*Cluster
	world    *world
	registry *registryOf
	pins     *keeper
	log      *journal
	paused   atomic.Bool // as by SIGSTOP, for who calls it
	end      func()
}

// start runs a guardian on a port of its own until it is stopped or the test
// ends. change may alter its configuration; what it keeps is empty unless it is
// started as another was.
func (w *world) start(node string, change ...func(*Config)) *process {
	w.t.Helper()
	return w.startWith(node, &keeper{}, &registryOf{Registry: NewBucket(w.store, nil)}, change...)
}

func (w *world) startWith(node string, pins *keeper, registry *registryOf, change ...func(*Config)) *process {
	w.t.Helper()
	p := w.prepare(node, pins, registry, change...)
	p.run()
	synctest.Wait() // so that nodes register in the order in which they start
	return p
}

// prepare makes a guardian that does not run yet.
func (w *world) prepare(node string, pins *keeper, registry *registryOf, change ...func(*Config)) *process {
	w.t.Helper()
	w.ports++
	p := &process{world: w, registry: registry, pins: pins, log: &journal{}}
	cfg := Config{
		Self: Member{
			NodeID: node, PublicKey: publicOf(node),
			ClientURL: "http://" + node + ":7500", PeerURL: fmt.Sprintf("https://10.0.0.1:%d", 10000+w.ports),
		},
		Registry: registry, Caller: caller{w, node}, Pins: pins,
		Shares: func() int64 { return int64(len(node)) },
		Logger: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	for _, alter := range change {
		alter(&cfg)
	}
	var err error
	if p.Cluster, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// run runs a guardian until end is called or the test ends.
func (p *process) run() {
	w, url := p.world, p.cfg.Self.PeerURL
	w.mu.Lock()
	w.at[url] = p
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	p.end = sync.OnceFunc(func() {
		cancel()
		<-done
		w.mu.Lock()
		delete(w.at, url)
		w.mu.Unlock()
	})
	w.t.Cleanup(p.end)
}

// again starts the guardian anew, with what it kept.
func (p *process) again(change ...func(*Config)) *process {
	p.world.t.Helper()
	p.end()
	return p.world.startWith(p.cfg.Self.NodeID, p.pins, p.registry, change...)
}

func (w *world) startAll(nodes ...string) []*process {
	w.t.Helper()
	var all []*process
	for _, node := range nodes {
		all = append(all, w.start(node))
	}
	return all
}

// pass lets time go by and everything that is due be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// caller carries heartbeats as package peer does, in JSON, and proves who from
// is.
type caller struct {
	world *world
	from  string
}

func (c caller) Heartbeat(ctx context.Context, to Member, beat Heartbeat) (Heartbeat, error) {
	w := c.world
	sent := w.carried(beat)
	w.calls.Add(1)
	w.mu.Lock()
	target, there := w.at[to.PeerURL]
	lost := w.cut(c.from, to.NodeID)
	w.mu.Unlock()
	if lost || there && target.paused.Load() {
		<-ctx.Done()
		return Heartbeat{}, ctx.Err()
	}
	if !there {
		return Heartbeat{}, errors.New("connection refused")
	}
	if !target.cfg.Self.PublicKey.Equal(to.PublicKey) {
		return Heartbeat{}, errors.New("another key")
	}
	answer, err := target.Receive(c.from, sent)
	if err != nil {
		return Heartbeat{}, err
	}
	return w.carried(answer), nil
}

// carried is a heartbeat after its way over the wire.
func (w *world) carried(beat Heartbeat) (arrived Heartbeat) {
	data, err := json.Marshal(beat)
	if err != nil {
		panic(err)
	}
	w.wire.Add(int64(len(data)))
	if err := json.Unmarshal(data, &arrived); err != nil {
		panic(err)
	}
	return arrived
}

func (w *world) lose(cut func(from, to string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

// registryOf is one guardian's way to the registry, which can be down or lie.
type registryOf struct {
	Registry
	mu      sync.Mutex
	down    error
	lie     func([]Member) []Member
	roster  func() ([]byte, error)
	refuses error
	calls   int
}

func (r *registryOf) set(change func(*registryOf)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *registryOf) lies(lie func([]Member) []Member) { r.set(func(r *registryOf) { r.lie = lie }) }

func (r *registryOf) fails(err error) { r.set(func(r *registryOf) { r.down = err }) }

func (r *registryOf) Register(ctx context.Context, m Member) (Member, error) {
	r.mu.Lock()
	r.calls++
	err := errors.Join(r.down, r.refuses)
	r.mu.Unlock()
	if err != nil {
		return Member{}, err
	}
	return r.Registry.Register(ctx, m)
}

func (r *registryOf) List(ctx context.Context) ([]Member, error) {
	r.mu.Lock()
	err, lie := r.down, r.lie
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	list, err := r.Registry.List(ctx)
	if lie != nil && err == nil {
		list = lie(list)
	}
	return list, err
}

func (r *registryOf) Load(ctx context.Context, key string) ([]byte, Revision, error) {
	r.mu.Lock()
	err, roster := r.down, r.roster
	r.mu.Unlock()
	if err != nil {
		return nil, Revision{}, err
	}
	if roster != nil {
		data, err := roster()
		return data, Revision{}, err
	}
	return r.Registry.Load(ctx, key)
}

// keeper is a Keeper in memory.
type keeper struct {
	mu             sync.Mutex
	data           []byte
	failLoad, fail error
	saves          int
}

func (k *keeper) Load(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return bytes.Clone(k.data), k.failLoad
}

func (k *keeper) Save(_ context.Context, data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.saves++
	k.data = bytes.Clone(data)
	return nil
}

func (k *keeper) set(change func(*keeper)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

// journal is what a process logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(line))
	return len(line), nil
}

// with returns the lines that have all of the words.
func (j *journal) with(words ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []string
	for _, line := range j.lines {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			found = append(found, line)
		}
	}
	return found
}

// wantLogged wants lines with these words, so many of them.
func (p *process) wantLogged(times int, words ...string) {
	p.world.t.Helper()
	if found := p.log.with(words...); len(found) != times {
		p.world.t.Errorf("%s logged %q %d times, want %d; it logged\n%s", p.cfg.Self.NodeID, words, len(found), times, strings.Join(p.log.with(), ""))
	}
}

// states are the members as a process sees them, as "g1:1:alive".
func (p *process) states() []string {
	var states []string
	for _, m := range p.View().Members {
		states = append(states, fmt.Sprintf("%s:%d:%s", m.NodeID, m.Index, m.State))
	}
	return states
}

func (p *process) wantStates(want ...string) {
	p.world.t.Helper()
	if got := p.states(); !slices.Equal(got, want) {
		p.world.t.Errorf("%s sees %q, want %q", p.cfg.Self.NodeID, got, want)
	}
}

// withRoster makes the admission key known.
func withRoster(cfg *Config) { cfg.Admission = admission.Public().(ed25519.PublicKey) }

// publish puts a roster into the registry.
func (w *world) publish(r *Roster) {
	w.t.Helper()
	registry := NewBucket(w.store, nil)
	_, rev, err := registry.Load(w.t.Context(), RosterKey)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		w.t.Fatal(err)
	}
	if _, err := registry.Swap(w.t.Context(), RosterKey, signRoster(w.t, r), rev); err != nil {
		w.t.Fatal(err)
	}
}

// enlist registers a node that does not run.
func (w *world) enlist(node string) Member {
	w.t.Helper()
	m, err := NewBucket(w.store, nil).Register(w.t.Context(), memberOf(0, node))
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}
