package guardian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// The explicit-state model: the production code, with every backend call of
// every request held until the explorer picks which goes next and how it ends.
// The explorer walks all choices depth first, by running the scenario again
// with another prefix of choices, and prunes a state that it has seen: stored
// objects, what every request has been told so far, what is still in flight.
//
// Reductions: objects of a generation that nothing names yet are seen by nobody
// else, so their writes are not interleaved with other requests, only failed; in
// the scenarios without drops the two objects of a generation are read in one
// order and without faults, and what a request drops is one step.

// op is one step of a request.
type op struct {
	kind    string // push, pull, delete, clean, rekey, mend; of a disk: damage, spoil
	version uint64
	bytes   string
	older   bool // pull: ask for version
	// of a redistribution: prepare, obey, release; and pull, for a share of it
	epoch uint64
	fork  bool // it is of another line than the others
}

// scenario is a set of requests running side by side, over a first state made
// by running before without faults.
type scenario struct {
	name     string
	before   []op
	requests [][]op
	faults   int
	jump     bool // 25 hours may pass, once
	drops    bool // interleave what a push or delete drops behind its answer, too
	signed   bool // by the owner: all shares have manifests, all callers a proof
	moves    bool // the manifests let guardians move them
	batched  bool // the storage is a [backend.Batcher]
}

// event is what an op was told, between two moments of the run.
type event struct {
	op
	actor int
	// start is how many events had ended when the op began; it ends behind
	// all before it in the list.
	start int
	err   error
	got   Share
}

func (e event) acked() bool {
	if conflict, ok := errors.AsType[*api.VersionConflictError](e.err); ok && conflict.Stored {
		return true
	}
	return e.err == nil
}

// refusedForGood: a definite answer that the op had no effect.
func (e event) refusedForGood() bool {
	conflict, ok := errors.AsType[*api.VersionConflictError](e.err)
	return ok && !conflict.Stored || errors.Is(e.err, api.ErrNotFound) || errors.Is(e.err, ErrNotMended) ||
		errors.Is(e.err, ErrNotPrepared) || errors.Is(e.err, ErrNotReleased)
}

type verdict int

const (
	apply verdict = iota
	notApplied
	answerLost
	landsLate // fails now, is applied at some later moment
	crash     // the request's process is gone, the call was not applied
	crashDone // the same, the call was applied
)

var (
	errFault   = errors.New("injected fault")
	errCrashed = errors.New("process killed")
)

// call is one backend call waiting for the explorer.
type call struct {
	actor   int
	op, key string
	write   bool
	swap    bool                   // a put that compares revisions
	run     func() (string, error) // does it; the text is what the caller learns
	grant   chan verdict
}

func (c *call) id() string { return fmt.Sprintf("%d %s %s", c.actor, c.op, c.key) }

// invisible: a write to an object that only its own request can name yet.
func (c *call) invisible() bool { return c.op == "put" && c.isObject() && !c.swap }

// isObject: part of a generation.
func (c *call) isObject() bool { return !strings.HasSuffix(c.key, "/version") }

// gate is a Backend whose calls wait for the explorer.
type gate struct {
	backend.Backend
	world *world
	actor int
	free  *bool // while set, calls do not wait
}

func (g gate) pass(name, key string, write, swap bool, run func() (string, error)) error {
	w := g.world
	if !w.gated || *g.free {
		_, err := run()
		return err
	}
	if w.crashed[g.actor] {
		return errCrashed
	}
	if name == "delete" && w.erasing(g.actor) {
		_, err := run()
		return err
	}
	c := &call{actor: g.actor, op: name, key: key, write: write, swap: swap, run: run, grant: make(chan verdict)}
	w.arrive <- c
	var told string
	var err error
	switch <-c.grant {
	case apply:
		told, err = run()
	case answerLost:
		_, _ = run()
		err = errFault
	case crashDone:
		_, _ = run()
		err = errCrashed
	case crash:
		err = errCrashed
	case notApplied, landsLate:
		err = errFault
	}
	w.learn <- learnt{c, fmt.Sprint(told, err)}
	return err
}

func (g gate) Get(ctx context.Context, key string) (data []byte, rev backend.Revision, err error) {
	err = g.pass("get", key, false, false, func() (string, error) {
		var err error
		data, rev, err = g.Backend.Get(ctx, key)
		if !strings.HasSuffix(key, "/version") {
			return claimedKey(data), err // its name says the rest, but for the time of the run
		}
		return string(data), err
	})
	return data, rev, err
}

func (g gate) Put(ctx context.Context, key string, data []byte, rev backend.Revision) (now backend.Revision, err error) {
	swap := !rev.IsAny() && !rev.IsZero()
	if g.world.breakage.unconditional {
		rev = backend.AnyRevision
	}
	if g.world.breakage.unconfirmed && strings.Contains(key, "-e") {
		defer func() { err = nil }()
	}
	err = g.pass("put", key, true, swap, func() (string, error) {
		if g.world.breakage.forgetDeleted && strings.Contains(string(data), "\ndeleted ") {
			return "", g.Backend.Delete(ctx, key, rev)
		}
		var err error
		now, err = g.Backend.Put(ctx, key, data, rev)
		return "", err
	})
	return now, err
}

func (g gate) Delete(ctx context.Context, key string, rev backend.Revision) error {
	return g.pass("delete", key, true, false, func() (string, error) { return "", g.Backend.Delete(ctx, key, rev) })
}

func (g gate) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return g.list(prefix, g.Backend.List(ctx, prefix, after))
}

func (g gate) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return g.list(prefix, g.Backend.ListSegments(ctx, prefix, after))
}

func (g gate) list(prefix string, all iter.Seq2[backend.Entry, error]) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		var entries []backend.Entry
		err := g.pass("list", prefix, false, false, func() (string, error) {
			var keys []string
			for entry, err := range all {
				if err != nil {
					return "", err
				}
				entries = append(entries, entry)
				keys = append(keys, fmt.Sprint(entry.Key, time.Since(entry.ModTime)))
			}
			return strings.Join(keys, " "), nil
		})
		if err != nil {
			yield(backend.Entry{}, err)
			return
		}
		for _, entry := range entries {
			if !yield(entry, nil) {
				return
			}
		}
	}
}

type learnt struct {
	call *call
	text string
}

// breakage takes out rules that are not decisions of the code.
type breakage struct {
	unconditional bool // the compare-and-swap compares nothing
	forgetDeleted bool // a delete removes `version` instead of leaving a tombstone
	nameFirst     bool // a batch puts what names its objects before them
	eraseFirst    bool // what a certificate replaces is erased before that is there
	unconfirmed   bool // shares of later epochs are named without their writes being confirmed
}

// world is one run of a scenario.
type world struct {
	t        testing.TB
	store    *backendtest.Memory
	sealer   *integrity.Sealer
	newer    *integrity.Sealer // what a rekey seals with
	rules    rules
	breakage breakage

	gated   bool
	arrive  chan *call
	learn   chan learnt
	finish  chan int
	crashed []bool
	// finished: what a request knew when it ended matters no more, only what
	// it answered.
	finished []bool

	pending  []*call
	ghosts   []*call // writes that will still land
	known    []uint64
	counts   map[string]int
	events   []event
	asked    []op
	mu       sync.Mutex  // guards events and begun where requests end at once
	begun    map[int]int // when each request began its present op
	doing    map[int]string
	namedAt  map[int][]generation // and what was named then
	records  *recordCache
	drafts   *recordCache
	faults   int
	drops    bool
	signed   bool
	moves    bool
	batched  bool
	lines    map[string]*record.Record // by generation ever named
	damaged  map[string]bool           // generations that a disk has spoilt
	spoilt   bool                      // so is `version`
	lost     []generation              // that named these
	mayJump  bool
	jumped   bool
	named    map[string]bool // every generation ever named by `version`
	previous *commit
	wrong    error
	trace    []string
}

var modelSlot = ownedSlot("")

// modelShares are those of ops, signed once.
var modelShares sync.Map

// share is what an op pushes or recovers, by its owner when the scenario has one.
func (w *world) share(o op) (Share, Caller) {
	share := Share{Data: []byte(o.bytes), Version: o.version}
	if !w.signed || o.bytes == "" {
		return share, Caller{Proof: 2 * bit(w.signed)}
	}
	if o.epoch > 0 {
		_, certified := w.moved(o)
		return certified, Caller{Proof: 2}
	}
	key := fmt.Sprint(w.moves, o.version, o.bytes)
	signed, ok := modelShares.Load(key)
	if !ok {
		sum := sha256.Sum256(share.Data)
		share.Split = hex.EncodeToString(sum[:api.SplitSize])
		var changes []func(*manifest.Manifest)
		if w.moves {
			changes = append(changes, movable)
		}
		signed, _ = modelShares.LoadOrStore(key, withManifest(w.t, modelSlot, share, changes...))
	}
	return signed.(Share), Caller{Proof: 2}
}

// moved is a share of a later epoch, as it is prepared and as it is committed: of
// its version's only share, but for the last epoch of one that is released, which
// has the others'.
func (w *world) moved(o op) (prepared, certified Share) {
	key := fmt.Sprint("moved", o.version, o.bytes, o.epoch, o.fork, o.kind == "release")
	if pair, ok := modelShares.Load(key); ok {
		return pair.([2]Share)[0], pair.([2]Share)[1]
	}
	owner := op{kind: "push", version: o.version, bytes: fmt.Sprintf("%c%d", o.bytes[0], o.version)}
	certified, _ = w.share(owner)
	for epoch := range o.epoch {
		by := round{seed: byte(epoch) + byte(100*bit(o.fork))}
		if o.kind == "release" && epoch+1 == o.epoch {
			by.nodes = away
		}
		prepared, certified = by.after(w.t, certified, fmt.Sprintf("%c%c", o.bytes[0], 'a'+rune(epoch)+10*rune(bit(o.fork))))
	}
	modelShares.Store(key, [2]Share{prepared, certified})
	return prepared, certified
}

func (w *world) node(actor int) *Node {
	var store backend.Backend = gate{w.store, w, actor, new(bool)}
	if w.batched {
		store = backendtest.Stepwise{Backend: store}
	}
	if w.breakage.nameFirst {
		store = nameFirst{backendtest.Stepwise{Backend: gate{w.store, w, actor, new(bool)}}}
	}
	n, err := newNode(store, w.sealer, Config{Retain: 2, RequestTimeout: 30 * time.Second, Logger: quiet})
	if err != nil {
		panic(err)
	}
	n.background.stop()
	close(n.background.closing)
	n.background = &background{jobs: make(chan func(context.Context), 8)} // run by the actor itself
	n.rules, n.records, n.drafts = w.rules, w.records, w.drafts
	attempts := 0
	n.newAttempt = func() string { attempts++; return fmt.Sprintf("%06x%06x", actor+1, attempts) }
	return n
}

// nameFirst is a storage that keeps the order within a batch for nothing.
type nameFirst struct{ backendtest.Stepwise }

func (n nameFirst) Apply(ctx context.Context, batch backend.Batch) (backend.Revision, error) {
	create := batch.Create
	batch.Create = nil
	now, err := n.Stepwise.Apply(ctx, batch)
	for _, object := range create {
		if err == nil {
			_, err = n.Put(ctx, object.Key, object.Data, backend.AnyRevision)
		}
	}
	return now, err
}

// gateOf is the gate through which the calls of a node go.
func gateOf(n *Node) gate {
	switch store := n.store.(type) {
	case backendtest.Stepwise:
		return store.Backend.(gate)
	case nameFirst:
		return store.Backend.(gate)
	}
	return n.store.(gate)
}

// perform runs one op and what it leaves to the background.
func (w *world) perform(n *Node, actor int, o op) event {
	e := w.begin(actor, o)
	ctx := context.Background()
	share, by := w.share(o)
	switch o.kind {
	case "push":
		e.err = n.Push(ctx, modelSlot, share, by)
	case "mend", "obey":
		if g, named := w.previous.find(o.version); named && w.breakage.eraseFirst && o.epoch > g.epoch {
			n.dropGeneration(ctx, modelSlot, g)
		}
		e.err = n.Mend(ctx, modelSlot, share)
	case "prepare":
		prepared, _ := w.moved(o)
		e.err = n.Prepare(ctx, modelSlot, prepared)
	case "release":
		e.err = n.Release(ctx, modelSlot, share.Chain)
	case "damage":
		g, _ := w.previous.find(o.version)
		w.damaged[g.String()] = true
		_, e.err = w.store.Put(ctx, modelSlot.shareKey(g), []byte(spoilt), backend.AnyRevision)
	case "spoil":
		w.lost, w.spoilt, w.previous = w.previous.named(), true, nil
		_, e.err = w.store.Put(ctx, modelSlot.commitKey(), []byte(spoilt), backend.AnyRevision)
	case "pull":
		var version *uint64
		if o.older {
			version = &o.version
		}
		var epoch *uint64
		if o.epoch > 0 {
			epoch = &o.epoch
		}
		e.got, e.err = n.Pull(ctx, modelSlot, version, epoch, by)
	case "delete":
		e.err = n.Delete(ctx, modelSlot, o.version, by)
	case "clean":
		e.err = n.clean(ctx, modelSlot)
	case "rekey":
		n.sealer = w.newer
		_, _, e.err = n.Rekey(ctx, modelSlot)
		n.sealer = w.sealer
	}
	w.judgeErased(e)
	w.end(e)
	free := gateOf(n).free
	*free = !w.drops && (!w.gated || !w.crashed[actor])
	defer func() { *free = false }()
	for {
		select {
		case job := <-n.background.jobs:
			job(ctx)
			continue
		default:
		}
		return e
	}
}

func (w *world) begin(actor int, o op) event {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[actor], w.doing[actor], w.namedAt[actor] = len(w.events), o.kind, w.previous.named()
	if w.spoilt {
		w.namedAt[actor] = w.lost
	}
	return event{op: o, actor: actor, start: len(w.events)}
}

func (w *world) end(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gated || !w.crashed[e.actor] {
		w.events = append(w.events, e)
	}
}

// explorer walks the tree of choices.
type explorer struct {
	path []int // the choices of this run
	wide []int // how many there were at each
	seen map[uint64]bool
}

// next moves path to the next unexplored leaf.
func (x *explorer) next() bool {
	for i := len(x.path) - 1; i >= 0; i-- {
		if x.path[i]+1 < x.wide[i] {
			x.path, x.wide = x.path[:i+1], x.wide[:i+1]
			x.path[i]++
			return true
		}
	}
	return false
}

// choose returns the choice at this depth, or false where the state is known.
func (x *explorer) choose(depth, options int, state func() uint64) (int, bool) {
	if depth < len(x.path) {
		return x.path[depth], true
	}
	key := state()
	if x.seen[key] {
		return 0, false
	}
	x.seen[key] = true
	x.path, x.wide = append(x.path, 0), append(x.wide, options)
	return 0, true
}

// explore runs a scenario to the end of its tree, or to the first violation.
func explore(t *testing.T, s scenario, r rules, b breakage) (states int, violation error) {
	sealer, newer := sealerWith(t, "k1", "k2"), sealerWith(t, "k2", "k1")
	x := &explorer{seen: map[uint64]bool{}}
	records, drafts := someRecords(t), someRecords(t)
	// A bubble's clock can hold 292 years, a run takes up to 50 hours of them.
	const runsPerBubble = 10_000
	more := true
	bubble := func(*testing.T) {
		for range runsPerBubble {
			w := &world{
				t: t, store: backendtest.NewMemory(), sealer: sealer, newer: newer, rules: r, breakage: b,
				arrive: make(chan *call, 64), learn: make(chan learnt, 64), finish: make(chan int, len(s.requests)),
				finished: make([]bool, len(s.requests)),
				crashed:  make([]bool, len(s.requests)), known: make([]uint64, len(s.requests)),
				counts: map[string]int{}, named: map[string]bool{}, begun: map[int]int{}, doing: map[int]string{}, namedAt: map[int][]generation{},
				faults: s.faults, drops: s.drops, mayJump: s.jump, signed: s.signed, moves: s.moves, batched: s.batched, damaged: map[string]bool{}, lines: map[string]*record.Record{},
				records: records, drafts: drafts,
			}
			if violation = w.run(s, x); violation != nil {
				violation = fmt.Errorf("%w\n  %s", violation, strings.Join(w.trace, "\n  "))
			}
			if more = violation == nil && x.next(); !more {
				return
			}
		}
	}
	for more {
		synctest.Test(t, bubble)
	}
	return len(x.seen), violation
}

// run plays one path; nil when nothing was violated or the state was known.
func (w *world) run(s scenario, x *explorer) error {
	setup := w.node(len(s.requests))
	for _, o := range s.before {
		w.perform(setup, len(s.requests), o)
		w.observe()
	}
	w.gated = true
	done := make(chan struct{}, len(s.requests))
	w.asked = slices.Concat(s.requests...)
	w.asked = append(w.asked, s.before...)
	for actor, ops := range s.requests {
		n := w.node(actor)
		go func() {
			for _, o := range ops {
				w.perform(n, actor, o)
			}
			w.finish <- actor
			done <- struct{}{}
		}()
	}
	complete := w.schedule(x)
	for i := range w.crashed { // let everything end that is still waiting
		w.crashed[i] = !complete || w.crashed[i]
	}
	for range s.requests {
		w.release()
		<-done
	}
	if !complete || w.wrong != nil {
		return w.wrong
	}
	w.gated = false
	return w.judge()
}

// release fails all waiting calls, as often as it takes.
func (w *world) release() {
	for {
		synctest.Wait()
		w.collect()
		if len(w.pending) == 0 {
			return
		}
		for _, c := range w.pending {
			c.grant <- crash
		}
		w.pending = nil
	}
}

// schedule picks until nothing is left to pick; false when pruned.
func (w *world) schedule(x *explorer) bool {
	for depth := 0; ; depth++ {
		synctest.Wait()
		w.collect()
		options := w.options()
		if len(options) == 0 {
			return true
		}
		i, fresh := x.choose(depth, len(options), w.state)
		if !fresh {
			return false
		}
		w.trace = append(w.trace, options[i].text)
		options[i].do()
		synctest.Wait()
		w.collect()
		if w.observe(); w.wrong != nil {
			return false
		}
	}
}

func (w *world) collect() {
	for {
		select {
		case c := <-w.arrive:
			w.pending = append(w.pending, c)
		case l := <-w.learn:
			id := l.call.id()
			w.counts[id]++
			if w.crashed[l.call.actor] {
				continue
			}
			w.known[l.call.actor] += digest(fmt.Sprint(id, w.counts[id], l.text)) // order among siblings is no knowledge
		case actor := <-w.finish:
			w.finished[actor] = true
		default:
			for actor, finished := range w.finished {
				if finished {
					w.known[actor] = 0
				}
			}
			slices.SortFunc(w.pending, func(a, b *call) int { return strings.Compare(a.id(), b.id()) })
			return
		}
	}
}

type option struct {
	text string
	do   func()
}

func (w *world) options() (options []option) {
	for i, c := range w.pending {
		if c.invisible() {
			return w.outcomes(i, c)
		}
	}
	reading := map[int]bool{}
	for i, c := range w.pending {
		if !w.drops && c.op == "get" && c.isObject() {
			if reading[c.actor] {
				continue // its sibling goes first
			}
			reading[c.actor] = true
		}
		options = append(options, w.outcomes(i, c)...)
	}
	for i, c := range w.ghosts {
		options = append(options, option{"lands late: " + c.id(), func() {
			w.ghosts = slices.Delete(w.ghosts, i, i+1)
			_, _ = c.run()
		}})
	}
	if w.mayJump && !w.jumped && !w.committing() {
		options = append(options, option{"25 hours pass", func() { w.jumped = true; time.Sleep(25 * time.Hour) }})
	}
	return options
}

// committing: a compare-and-swap is on its way. Deadlines end it long before
// hours pass.
func (w *world) committing() bool {
	return slices.ContainsFunc(w.pending, func(c *call) bool { return c.op == "put" && !c.isObject() })
}

var verdictNames = []string{"", "fails: ", "answer lost: ", "fails, will land: ", "killed before: ", "killed after: "}

// outcomes lists how one waiting call may end.
func (w *world) outcomes(i int, c *call) (options []option) {
	verdicts := []verdict{apply}
	if w.faults > 0 && (c.write || !c.isObject() || w.drops) {
		verdicts = append(verdicts, notApplied)
		if c.write { // a crash at a read is one at the write before or behind it
			verdicts = append(verdicts, crash)
		}
		if c.op == "put" && !c.invisible() {
			verdicts = append(verdicts, answerLost, crashDone)
		}
		if c.op == "put" && !c.invisible() && !w.mayJump {
			verdicts = append(verdicts, landsLate)
		}
	}
	for _, v := range verdicts {
		options = append(options, option{verdictNames[v] + c.id(), func() {
			w.pending = slices.Delete(w.pending, i, i+1)
			if v != apply {
				w.faults--
			}
			if v == landsLate {
				w.ghosts = append(w.ghosts, c)
			}
			if v == crash || v == crashDone {
				w.kill(c.actor)
			}
			c.grant <- v
		}})
	}
	return options
}

// kill ends a process: its other calls in flight end without effect.
func (w *world) kill(actor int) {
	w.crashed[actor], w.known[actor] = true, 0
	w.pending = slices.DeleteFunc(w.pending, func(c *call) bool {
		if c.actor != actor {
			return false
		}
		c.grant <- crash
		return true
	})
}

// state is the key under which an explored state is remembered.
func (w *world) state() uint64 {
	var b strings.Builder
	objects := w.store.Objects()
	for entry, err := range w.store.List(context.Background(), "", "") {
		if err != nil {
			panic(err)
		}
		fmt.Fprint(&b, entry.Key, time.Since(entry.ModTime), ";")
		if strings.HasSuffix(entry.Key, "/version") {
			b.Write(objects[entry.Key])
		} else {
			b.WriteString(claimedKey(objects[entry.Key]))
		}
	}
	fmt.Fprint(&b, w.known, w.crashed, w.faults, w.jumped, w.begun)
	for _, c := range append(slices.Clone(w.pending), w.ghosts...) {
		fmt.Fprint(&b, c.id(), ";")
	}
	for _, e := range w.events { // what was promised is part of what must hold
		fmt.Fprint(&b, e.actor, e.op, e.start, e.err, e.got.Version, string(e.got.Data), "|")
	}
	return digest(b.String())
}

func digest(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// observe looks at `version` after every step.
func (w *world) observe() {
	raw, ok := w.store.Objects()[modelSlot.commitKey()]
	if !ok {
		if w.previous != nil {
			w.wrong = errors.New("the version object is gone")
		}
		return
	}
	if w.spoilt && string(raw) == spoilt {
		return
	}
	now, err := openCommit(context.Background(), w.sealer, modelSlot, raw)
	if err != nil {
		w.wrong = err
		return
	}
	before := w.previous
	w.previous, w.spoilt = now, false
	for _, g := range now.named() {
		if _, kept := w.store.Objects()[modelSlot.shareKey(g)]; !kept && !w.named[g.String()] {
			w.wrong = fmt.Errorf("generation %s is named and not there", g)
		}
		w.named[g.String()] = true
	}
	w.learnRecords(now)
	switch {
	case w.wrong != nil, before == nil:
	case w.observeMoves(before, now):
	case now.current < before.current:
		w.wrong = fmt.Errorf("version went back from %d to %d", before.current, now.current)
	case now.current == before.current && now.live != nil && before.live != nil && *now.live != *before.live && !w.damaged[before.live.String()]:
		w.wrong = fmt.Errorf("two splits were committed at version %d", now.current)
	case now.current > before.current && before.live != nil && (len(now.older) == 0 || now.older[0] != *before.live):
		w.wrong = errors.New("the previous version was not retained")
	case now.current == before.current && now.live != nil && len(now.older) != len(before.older):
		w.wrong = errors.New("another version is retained than before")
	}
}

// broken: what a disk has spoilt is still named, or does still name.
func (w *world) broken() bool {
	return w.spoilt || slices.ContainsFunc(w.previous.named(), func(g generation) bool { return w.damaged[g.String()] })
}

// judge checks the promises made, then what can still be done.
func (w *world) judge() error {
	if err := w.judgeEvents(); err != nil {
		return err
	}
	n := w.node(len(w.crashed) + 1)
	for _, e := range slices.Clone(w.events) {
		if !e.writes() || e.acked() || e.refusedForGood() {
			continue
		}
		again := w.perform(n, e.actor, e.op)
		if e.kind != "push" && again.err != nil && !again.refusedForGood() {
			return fmt.Errorf("a retry of %v fails: %w", e.op, again.err)
		}
		if e.kind == "push" && !w.spoilt && !again.acked() && w.previous != nil && e.version > w.previous.current {
			return fmt.Errorf("a retry of version %d with the same bytes fails: %w", e.version, again.err)
		}
		if w.observe(); w.wrong != nil {
			return w.wrong
		}
	}
	if w.previous != nil && w.previous.live == nil {
		for _, kind := range []string{"push", "mend"}[:1+bit(w.signed)] {
			refused := w.perform(n, len(w.crashed), op{kind: kind, version: w.previous.current, bytes: "replay"})
			if refused.acked() {
				return fmt.Errorf("a %s at the deleted version %d was taken", kind, w.previous.current)
			}
		}
	}
	time.Sleep(25 * time.Hour)
	if e := w.perform(n, len(w.crashed), rekey); e.err != nil && !w.broken() {
		return fmt.Errorf("re-sealing: %w", e.err)
	}
	if e := w.perform(n, len(w.crashed), op{kind: "clean"}); e.err != nil {
		return fmt.Errorf("cleaning: %w", e.err)
	}
	return w.judgeObjects(n)
}

// judgeObjects: after cleaning, everything named is there and sound, and
// nothing else is there.
func (w *world) judgeObjects(n *Node) error {
	if w.observe(); w.wrong != nil {
		return w.wrong
	}
	if w.spoilt {
		return nil
	}
	expected := map[string]bool{modelSlot.commitKey(): true, modelSlot.quarantineKey(): true}
	for _, g := range w.previous.named() {
		expected[modelSlot.shareKey(g)], expected[modelSlot.checksumKey(g)] = true, true
		if _, st, err := n.load(context.Background(), modelSlot, g); !w.broken() && (err != nil || st.KeyID != "k2") {
			return fmt.Errorf("generation %s is named but under %q: %w", g, st.KeyID, err)
		}
	}
	if err := w.judgePrepared(n, expected); err != nil {
		return err
	}
	for key := range w.store.Objects() {
		if !expected[key] && w.previous != nil {
			return fmt.Errorf("%s is left over after cleaning", key)
		}
	}
	return nil
}

func (w *world) judgeEvents() error {
	content := map[[2]uint64]string{}
	for _, e := range w.events {
		if err := errors.Join(w.judgePullEpoch(e), w.judgeDelete(e)); err != nil {
			return err
		}
		switch {
		case errors.Is(e.err, api.ErrIntegrityFailed) && !w.scarred():
			return fmt.Errorf("%v is told of damage where there is none: %w", e.op, e.err)
		case e.kind == "push" && e.refusedForGood() && w.wasNamed(e):
			return fmt.Errorf("%v was committed, yet refused", e.op)
		case (e.kind == "push" || e.kind == "mend") && e.acked():
			if err := sameContent(content, [2]uint64{e.version}, e.bytes); err != nil {
				return err
			}
		case e.kind == "pull" && e.err == nil:
			if err := sameContent(content, [2]uint64{e.got.Version, e.got.Epoch}, string(e.got.Data)); err != nil {
				return err
			}
			if err := w.judgePull(e); err != nil {
				return err
			}
		case e.kind == "pull" && !e.older && e.epoch == 0 && errors.Is(e.err, api.ErrNotFound):
			if err := w.judgeAbsence(e); err != nil {
				return err
			}
		}
	}
	return w.judgeEnd()
}

// scarred: a disk has spoilt something at some time.
func (w *world) scarred() bool {
	return slices.ContainsFunc(w.asked, func(o op) bool { return o.kind == "damage" || o.kind == "spoil" })
}

// stores: whose acknowledgement promises that the version is there.
func (e event) stores() bool {
	return (e.kind == "push" || e.kind == "mend" || e.kind == "obey") && e.acked()
}

// writes: what may be asked again.
func (e event) writes() bool {
	return slices.Contains([]string{"push", "mend", "obey", "prepare", "release"}, e.kind)
}

// wasNamed: whether the attempt of a push was ever committed.
func (w *world) wasNamed(e event) bool {
	for name := range w.named {
		if strings.HasPrefix(name, fmt.Sprintf("%d-%06x", e.version, e.actor+1)) {
			return true
		}
	}
	return false
}

func sameContent(content map[[2]uint64]string, version [2]uint64, bytes string) error {
	if before, ok := content[version]; ok && before != bytes {
		return fmt.Errorf("version and epoch %d was both %q and %q", version, before, bytes)
	}
	content[version] = bytes
	return nil
}

// judgePull: what was acknowledged before a pull began binds its answer.
func (w *world) judgePull(pull event) error {
	for _, e := range w.events[:pull.start] {
		if !e.acked() || pull.older || pull.epoch > 0 {
			continue
		}
		if e.kind == "obey" && pull.got.Version == e.version && pull.got.Epoch < e.epoch {
			return fmt.Errorf("a pull got epoch %d after %d was acknowledged", pull.got.Epoch, e.epoch)
		}
		if e.stores() && pull.got.Version < e.version {
			return fmt.Errorf("a pull got version %d after %d was acknowledged", pull.got.Version, e.version)
		}
		if e.kind == "delete" && pull.got.Version <= e.version {
			return fmt.Errorf("a pull got version %d after its delete was acknowledged", pull.got.Version)
		}
	}
	return nil
}

// judgeAbsence: an acknowledged push is found unless somebody deletes it.
func (w *world) judgeAbsence(pull event) error {
	for _, e := range w.events[:pull.start] {
		if e.stores() && !w.someDelete(e.version) && !w.someRelease(e.version) {
			return fmt.Errorf("version %d was acknowledged, yet not found", e.version)
		}
	}
	return nil
}

// judgeEnd: the final state keeps every promise.
func (w *world) judgeEnd() error {
	for _, e := range w.events {
		if w.spoilt || !e.stores() && (e.kind != "delete" || !e.acked()) {
			continue
		}
		if err := w.judgeMoved(e); err != nil {
			return err
		}
		switch {
		case w.previous == nil || w.previous.current < e.version:
			return fmt.Errorf("%v was acknowledged and is lost", e.op)
		case e.kind == "delete" && w.previous.live != nil && w.previous.current == e.version:
			return fmt.Errorf("%v was acknowledged and undone", e.op)
		case e.stores() && w.previous.current == e.version && w.previous.live == nil && !w.someDelete(e.version) && !w.someRelease(e.version):
			return fmt.Errorf("%v was acknowledged and nobody deleted it", e.op)
		}
	}
	return nil
}

// someDelete: whether anybody was asked to delete the version or a later one.
func (w *world) someDelete(version uint64) bool {
	return slices.ContainsFunc(w.asked, func(o op) bool { return o.kind == "delete" && o.version >= version })
}

func push(version uint64, bytes string) op { return op{kind: "push", version: version, bytes: bytes} }

var (
	pull  = op{kind: "pull"}
	clean = op{kind: "clean"}
	rekey = op{kind: "rekey"}
	spoil = op{kind: "spoil"}
)

// spoilt is what a disk makes of an object.
const spoilt = "spoilt"

func mend(version uint64, bytes string) op { return op{kind: "mend", version: version, bytes: bytes} }
func damage(version uint64) op             { return op{kind: "damage", version: version} }

func pullOlder(version uint64) op { return op{kind: "pull", version: version, older: true} }
func remove(version uint64) op    { return op{kind: "delete", version: version} }

var scenarios = []scenario{
	{name: "first push", requests: [][]op{{push(1, "A")}, {pull}}, faults: 2, drops: true},
	{name: "two first pushes", requests: [][]op{{push(1, "A")}, {push(1, "B")}}, faults: 2, drops: true},
	{name: "the same push twice", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(2, "B")}}, faults: 2, drops: true},
	{name: "two pushes of one version", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(2, "C")}}, faults: 2, drops: true},
	{name: "two pushes of two versions", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(3, "C")}}, faults: 2, drops: true},
	{name: "a push overtaken twice", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(3, "C"), push(4, "D")}}, faults: 1, drops: true},
	{name: "push and pull", before: []op{push(1, "A"), push(2, "B")}, requests: [][]op{{push(3, "C")}, {pull}}, faults: 2, drops: true},
	{name: "push and pull of the older", before: []op{push(1, "A"), push(2, "B")}, requests: [][]op{{push(3, "C")}, {pullOlder(1)}}, faults: 2, drops: true},
	{name: "two pushes behind a pull", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B"), push(3, "C")}, {pull}}, faults: 1, drops: true},
	{name: "push and delete", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {remove(1)}}, faults: 2, drops: true},
	{name: "push and delete of it", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {remove(2)}}, faults: 2, drops: true},
	{name: "delete and pull", before: []op{push(1, "A")}, requests: [][]op{{remove(1), pull}, {pull}}, faults: 2, drops: true},
	{name: "two deletes", before: []op{push(1, "A")}, requests: [][]op{{remove(1)}, {remove(1)}}, faults: 2, drops: true},
	{name: "push after delete", before: []op{push(1, "A"), remove(1)}, requests: [][]op{{push(2, "B"), pull}, {push(1, "C")}}, faults: 1, drops: true},
	{name: "push and clean", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {clean}}, faults: 2, drops: true},
	{name: "two pushes and clean", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(3, "C")}, {clean}}, faults: 1, drops: true},
	{name: "three pushes", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(3, "C")}, {push(4, "D")}}, faults: 1},
	{name: "push, delete, pull", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {remove(1)}, {pull}}, faults: 1},
	{name: "a writer asleep, and clean", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {clean}}, faults: 1, jump: true, drops: true},
	{name: "push and rekey", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {rekey}}, faults: 2, drops: true},
	{name: "first push and rekey", requests: [][]op{{push(1, "A")}, {rekey}}, faults: 2, drops: true},
	{name: "two pushes and rekey", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B"), push(3, "C")}, {rekey}}, faults: 1, drops: true},
	{name: "delete and rekey", before: []op{push(1, "A"), push(2, "B")}, requests: [][]op{{remove(2)}, {rekey}}, faults: 1, drops: true},
	{name: "pull and rekey", before: []op{push(1, "A"), push(2, "B")}, requests: [][]op{{pull, pullOlder(1)}, {rekey}}, faults: 1, drops: true},
	{name: "two rekeys and a push", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {rekey}, {rekey}}},
	{name: "two pushes of one version and rekey", before: []op{push(1, "A")}, requests: [][]op{{push(2, "B")}, {push(2, "C")}, {rekey}}, faults: 1},

	{name: "mend and pull", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {pull}}, faults: 1},
	{name: "two mends", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {mend(1, "A1")}}, faults: 2},
	{name: "mend and push", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {push(2, "B2")}}, faults: 2},
	{name: "mend and push, and what they drop", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {push(2, "B2")}}, drops: true},
	{name: "mend and two pushes", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {push(2, "B2"), push(3, "C3")}}, faults: 1},
	{name: "mend and push of one version", signed: true, before: []op{push(1, "A1")}, requests: [][]op{{mend(2, "B2")}, {push(2, "C2")}}, faults: 2},
	{name: "mend of the older, and push", signed: true, before: []op{push(1, "A1"), push(2, "B2"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {push(3, "C3")}}, faults: 1},
	{name: "mends of both", signed: true, before: []op{push(1, "A1"), push(2, "B2"), damage(1), damage(2)}, requests: [][]op{{mend(1, "A1")}, {mend(2, "B2")}}, faults: 1},
	{name: "mend and delete", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {remove(1)}}, faults: 2},
	{name: "mend after delete", signed: true, before: []op{push(1, "A1"), remove(1)}, requests: [][]op{{mend(1, "A1")}, {mend(2, "B2")}}, faults: 2},
	{name: "mend and clean", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {clean}}, faults: 1, drops: true},
	{name: "a mender asleep, and clean", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {clean}}, faults: 1, jump: true},
	{name: "mend and rekey", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {rekey}}, faults: 1},
	{name: "first mend and push", signed: true, requests: [][]op{{mend(1, "A1")}, {push(1, "B1")}}, faults: 2},
	{name: "mend of version and push", signed: true, before: []op{push(1, "A1"), push(2, "B2"), spoil}, requests: [][]op{{mend(2, "B2")}, {push(3, "C3")}}, faults: 1},
	{name: "two mends of version", signed: true, before: []op{push(1, "A1"), push(2, "B2"), spoil}, requests: [][]op{{mend(2, "B2")}, {mend(1, "A1")}}, faults: 1},
	{name: "prepare and pull", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {pull, pullEpoch(1, 1)}}, faults: 1},
	{name: "prepare and clean", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {clean}}, faults: 1, jump: true},
	{name: "prepare where nothing is, and clean", signed: true, moves: true, requests: [][]op{{prepare(1)}, {clean}}, faults: 1, jump: true},
	{name: "prepare and push", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {push(2, "B2")}}, faults: 1},
	{name: "prepare and delete", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {remove(1)}}, faults: 1},
	{name: "prepare and rekey", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {rekey}}, faults: 1},
	{name: "prepare twice", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {prepare(1)}}, faults: 1},
	{name: "obey", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}}, faults: 2, drops: true},
	{name: "obey and pull", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {pull}}, faults: 1},
	{name: "obey and pull of the epoch", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {pullEpoch(1, 1)}}, faults: 1},
	{name: "two obey", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {obey(1)}}, faults: 1},
	{name: "obey and push", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {push(2, "B2")}}, faults: 1},
	{name: "obey and delete", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {remove(1)}}, faults: 1},
	{name: "obey and clean", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {clean}}, faults: 1, jump: true},
	{name: "obey for the older, and push", signed: true, moves: true, before: []op{push(1, "A1"), push(2, "B2"), prepare(1)}, requests: [][]op{{obey(1)}, {push(3, "C3")}}, faults: 1},
	{name: "obey where nothing is, and push", signed: true, moves: true, before: []op{prepare(1)}, requests: [][]op{{obey(1)}, {push(2, "B2")}}, faults: 1},
	{name: "obey over the damaged, and clean", signed: true, moves: true, before: []op{push(1, "A1"), obey(1), damage(1)}, requests: [][]op{{obey(1)}, {clean}}, faults: 1},
	{name: "obey where nothing is, and release", signed: true, moves: true, requests: [][]op{{obey(1)}, {release(2)}}, faults: 1},
	{name: "obey and mend", signed: true, moves: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{obey(1)}, {mend(1, "A1")}}, faults: 1},
	{name: "two epochs", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{obey(1)}, {obey(2)}}, faults: 1},
	{name: "two lines", signed: true, moves: true, before: []op{push(1, "A1"), obey(1)}, requests: [][]op{{forked(obey(2))}, {pull}}, faults: 1},
	{name: "two lines at once", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{obey(1)}, {forked(obey(1))}}, faults: 1},
	{name: "prepare, obey, clean", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{prepare(1)}, {obey(1)}, {clean}}},
	{name: "obey, push, pull", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {push(2, "B2")}, {pull}}},
	{name: "obey and rekey", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{obey(1)}, {rekey}}},
	{name: "release and prepare", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{release(1)}, {prepare(2)}}, faults: 1},
	{name: "release and pull", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{release(2)}, {pull}}, faults: 1},
	{name: "release alone", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1)}, requests: [][]op{{release(1)}}, faults: 2, drops: true},
	{name: "release and push", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{release(1)}, {push(2, "B2")}}, faults: 1},
	{name: "release and delete", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{release(1)}, {remove(1)}}, faults: 1},
	{name: "release and obey", signed: true, moves: true, before: []op{push(1, "A1")}, requests: [][]op{{release(2)}, {obey(1)}}, faults: 1},
	{name: "release for another line", signed: true, moves: true, before: []op{push(1, "A1"), obey(1)}, requests: [][]op{{forked(release(2))}, {pull}}, faults: 1},
	{name: "release of the older, and push", signed: true, moves: true, before: []op{push(1, "A1"), push(2, "B2")}, requests: [][]op{{release(1)}, {push(3, "C3")}}, faults: 1},
	{name: "release of version and push", signed: true, moves: true, before: []op{push(1, "A1"), prepare(1), spoil}, requests: [][]op{{release(1)}, {push(2, "B2")}}, faults: 1},
	{name: "release of version and obey", signed: true, moves: true, before: []op{push(1, "A1"), spoil}, requests: [][]op{{release(2)}, {obey(1)}}},
	{name: "two releases of version", signed: true, moves: true, before: []op{push(1, "A1"), spoil}, requests: [][]op{{release(1)}, {release(2)}}, faults: 1},
	{name: "release of version beside the newer", signed: true, moves: true, before: []op{push(1, "A1"), push(2, "B2"), spoil}, requests: [][]op{{release(1)}, {pull}}, faults: 1, jump: true},
	{name: "delete of what is prepared", signed: true, moves: true, before: []op{prepare(1)}, requests: [][]op{{remove(1)}, {obey(1)}}, faults: 1},
	{name: "delete of what is prepared above", signed: true, moves: true, before: []op{push(1, "A1"), remove(1)}, requests: [][]op{{op{kind: "prepare", version: 2, bytes: "A", epoch: 1}, remove(2)}, {push(2, "A2")}}, faults: 1},
	{name: "mend, push, delete", signed: true, before: []op{push(1, "A1"), damage(1)}, requests: [][]op{{mend(1, "A1")}, {push(2, "B2")}, {remove(1)}}},
}

// batched are scenarios of pushes as they are on a storage that takes batches. There
// the second push of a process tries what it remembers first.
func batched() (all []scenario) {
	remembers := []op{push(1, "A1"), push(3, "C3")}
	for name, other := range map[string][]op{
		"a lower one": {push(2, "B2")}, "another": {push(3, "D3")}, "the same": {push(3, "C3")},
		"two others": {push(2, "B2"), push(4, "D4")}, "delete": {remove(1)}, "rekey": {rekey}, "clean": {clean},
	} {
		all = append(all, scenario{name: "a second push and " + name + ", in batches", requests: [][]op{remembers, other}, faults: 1, batched: true})
	}
	for _, s := range scenarios {
		if s.batched = strings.Contains(s.name, "push"); !s.batched || s.signed || len(s.requests) > 2 || len(s.requests[0]) > 1 {
			continue
		}
		s.name += ", in batches"
		s.faults = min(s.faults, 1)
		all = append(all, s)
	}
	return all
}

var mostFaults, fewestStates = 2, 10

// TestModel explores every scenario: no promise is ever broken. With
// GUARDIAN_TEST_LONG=1 all have two faults.
func TestModel(t *testing.T) {
	for _, s := range append(batched(), scenarios...) {
		if os.Getenv("GUARDIAN_TEST_LONG") == "1" && s.faults < 2 {
			s.faults++
		}
		s.faults = min(s.faults, mostFaults)
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			states, violation := explore(t, s, pageRules, breakage{})
			if violation != nil {
				t.Fatal(violation)
			}
			if states < fewestStates {
				t.Fatalf("only %d states explored", states)
			}
			t.Logf("%d states", states)
		})
	}
}

// mendOver takes out the rule that what is there so stays.
func mendOver(stays holding) func(*commit, holding, generation, int) (*commit, error) {
	return func(s *commit, at holding, g generation, retain int) (*commit, error) {
		if at == stays {
			at = holdsNothing
		}
		return decideMend(s, at, g, retain)
	}
}

// TestModelCatchesEveryRuleTakenOut: each rule is needed, and the model sees
// when it is not kept.
func TestModelCatchesEveryRuleTakenOut(t *testing.T) {
	change := func(f func(*rules)) rules { r := pageRules; f(&r); return r }
	for _, without := range []struct {
		rule     string
		seenIn   string
		rules    rules
		breakage breakage
	}{
		{rule: "a version may not be pushed twice", seenIn: "the same push twice", rules: change(func(r *rules) {
			r.push = func(s *commit, g generation, retain int) (*commit, bool) {
				if s != nil && g.version == s.current {
					lower := *s
					lower.current--
					s = &lower
				}
				return decidePush(s, g, retain)
			}
		})},
		{rule: "versions only grow", seenIn: "two pushes of two versions", rules: change(func(r *rules) {
			r.push = func(s *commit, g generation, retain int) (*commit, bool) {
				return &commit{current: g.version, live: &g}, true
			}
		})},
		{rule: "the previous generation is retained", seenIn: "push and pull", rules: change(func(r *rules) {
			r.push = func(s *commit, g generation, _ int) (*commit, bool) { return decidePush(s, g, 1) }
		})},
		{rule: "the commit is a compare-and-swap", seenIn: "two pushes of two versions", rules: pageRules, breakage: breakage{unconditional: true}},
		{rule: "what a push remembers is not believed", seenIn: "a second push and another, in batches", rules: pageRules, breakage: breakage{unconditional: true}},
		{rule: "re-sealing is a compare-and-swap", seenIn: "push and rekey", rules: pageRules, breakage: breakage{unconditional: true}},
		{rule: "a delete leaves a tombstone", seenIn: "delete and pull", rules: pageRules, breakage: breakage{forgetDeleted: true}},
		{rule: "only the version named is deleted", seenIn: "push and delete", rules: change(func(r *rules) {
			r.remove = func(s *commit, _ uint64, _ bool) decision {
				if s == nil || s.live == nil {
					return decidedNotFound
				}
				return decidedGo
			}
		})},
		{rule: "an unknown outcome is never a refusal", seenIn: "push and delete of it", rules: change(func(r *rules) {
			r.resolve = func(s *commit, same bool, g generation) outcome {
				if o := resolvePush(s, same, g); o != outcomeUnknown {
					return o
				}
				return outcomeAgain
			}
		})},
		{rule: "what names us after a lost answer is a success", seenIn: "first push", rules: change(func(r *rules) {
			r.resolve = func(*commit, bool, generation) outcome { return outcomeAgain }
		})},
		{rule: "what is above version is not dropped", seenIn: "push and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, _ time.Duration, _ int) bool { return !s.names(g) }
		})},
		{rule: "what version names is not dropped", seenIn: "push and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				return s != nil && g.version < s.current || obsolete(s, g, age, retain)
			}
		})},
		{rule: "what can never be committed is dropped", seenIn: "two pushes of one version", rules: change(func(r *rules) {
			r.obsolete = func(*commit, generation, time.Duration, int) bool { return false }
		})},
		{rule: "no commit comes later than the request timeout", seenIn: "a writer asleep, and clean", rules: change(func(r *rules) {
			r.mayCommit = func(time.Duration, time.Duration) bool { return true }
		})},
		{rule: "what a mend has put is not dropped below version", seenIn: "mend and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				return !s.names(g) && s != nil && g.version <= s.current || obsolete(s, g, age, retain)
			}
		})},
		{rule: "no mend comes later than the request timeout", seenIn: "a mender asleep, and clean", rules: change(func(r *rules) {
			r.mayCommit = func(time.Duration, time.Duration) bool { return true }
		})},
		{rule: "what is sound is not mended", seenIn: "mend and push of one version", rules: change(func(r *rules) {
			r.mend = func(s *commit, _ holding, g generation, retain int) (*commit, error) {
				return decideMend(s, holdsNothing, g, retain)
			}
		})},
		{rule: "what is deleted is not mended", seenIn: "mend and delete", rules: change(func(r *rules) {
			r.mend = func(s *commit, at holding, g generation, retain int) (*commit, error) {
				if s != nil && s.live == nil {
					s = nil
				}
				return decideMend(s, at, g, retain)
			}
		})},
		{rule: "a mend does not take the version back", seenIn: "mend and two pushes", rules: change(func(r *rules) {
			r.mend = func(s *commit, at holding, g generation, retain int) (*commit, error) {
				next, err := decideMend(s, at, g, retain)
				if err != nil {
					next, err = &commit{current: g.version, live: &g}, nil
				}
				return next, err
			}
		})},
		{rule: "an older version is mended in its place", seenIn: "mend of the older, and push", rules: change(func(r *rules) {
			r.mend = func(s *commit, at holding, g generation, retain int) (*commit, error) {
				next, err := decideMend(s, at, g, retain)
				if next != nil && next.current > g.version {
					next.older = nil
				}
				return next, err
			}
		})},
		{rule: "what is sound above outlives version", seenIn: "two mends of version", rules: change(func(r *rules) {
			r.restore = func(_ standsBeside, at holding, g generation) (*commit, error) {
				return decideRestore(standsBeside{}, at, g)
			}
		})},
		{rule: "what is prepared waits for its certificate", seenIn: "prepare and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				return !s.names(g) && s != nil && g.version <= s.current || obsolete(s, g, age, retain)
			}
		})},
		{rule: "what is prepared is not too old after a day", seenIn: "prepare where nothing is, and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				return !s.names(g) && age >= orphanAge || obsolete(s, g, age, retain)
			}
		})},
		{rule: "what a certificate has put an end to is dropped", seenIn: "obey", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				return g.epoch == 0 && obsolete(s, g, age, retain)
			}
		})},
		{rule: "what is put in the place of the damaged is not dropped", seenIn: "obey over the damaged, and clean", rules: change(func(r *rules) {
			r.obsolete = func(s *commit, g generation, age time.Duration, retain int) bool {
				named, ok := s.find(g.version)
				return ok && named != g && named.epoch == g.epoch || obsolete(s, g, age, retain)
			}
		})},
		{rule: "only what follows a share replaces it", seenIn: "two lines", rules: change(func(r *rules) { r.mend = mendOver(holdsFork) })},
		{rule: "an epoch does not go back", seenIn: "two epochs", rules: change(func(r *rules) { r.mend = mendOver(holdsLater) })},
		{rule: "one share is committed at an epoch", seenIn: "two lines at once", rules: change(func(r *rules) { r.mend = mendOver(holdsFork) })},
		{rule: "what a batch creates is there before its name", seenIn: "push and pull, in batches", rules: pageRules, breakage: breakage{nameFirst: true}},
		{rule: "the new share is durable before it is named", seenIn: "obey", rules: pageRules, breakage: breakage{unconfirmed: true}},
		{rule: "the new share is named before the old is erased", seenIn: "obey", rules: pageRules, breakage: breakage{eraseFirst: true}},
		{rule: "only what follows a share releases it", seenIn: "release for another line", rules: change(func(r *rules) {
			r.release = func(s *commit, _ holding, by departure, version uint64) (*commit, error) {
				return decideRelease(s, holdsEarlier, by, version)
			}
		})},
		{rule: "what has moved away does not come back", seenIn: "release and obey", rules: change(func(r *rules) {
			r.mend = func(s *commit, at holding, g generation, retain int) (*commit, error) {
				if s.departedAt(g.version) != nil {
					return s.with(g), nil
				}
				return decideMend(s, at, g, retain)
			}
		})},
		{rule: "what is sound above outlives version that is released", seenIn: "release of version beside the newer", rules: change(func(r *rules) {
			r.depart = func(_ remains, by departure, version uint64, retain int) (*commit, error) {
				return decideDepart(remains{}, by, version, retain)
			}
		})},
		{rule: "what version named is erased when it is released", seenIn: "release of version and push", rules: change(func(r *rules) {
			r.depart = func(_ remains, _ departure, version uint64, _ int) (*commit, error) {
				return &commit{current: version - 1}, nil
			}
		})},
		{rule: "what is prepared is deleted", seenIn: "delete of what is prepared", rules: change(func(r *rules) {
			r.remove = func(s *commit, version uint64, _ bool) decision { return decideDelete(s, version, false) }
		})},
		{rule: "a pull that misses an object reads version again", seenIn: "two pushes behind a pull", rules: change(func(r *rules) {
			r.mayReread = func(bool) bool { return false }
		})},
	} {
		t.Run(without.rule, func(t *testing.T) {
			t.Parallel()
			all := append(batched(), scenarios...)
			i := slices.IndexFunc(all, func(s scenario) bool { return s.name == without.seenIn })
			_, violation := explore(t, all[i], without.rules, without.breakage)
			if violation == nil {
				t.Fatalf("%q does not notice that the rule is gone", without.seenIn)
			}
			t.Log(violation)
		})
	}
}
