package guardian

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

// move is one step of a redistribution at one node.
type move struct {
	before func(b bench, line []Share)
	do     func(b bench, line []Share) error
	// done tells what is true once that was acknowledged.
	done func(b bench, line []Share)
}

// drafted is the share of the next epoch after one, as it is prepared and as it
// is committed, and the record by which it leaves.
func (b bench) drafted(before Share) (prepared, certified, gone Share) {
	prepared, certified = b.next(before, round{seed: 50})
	_, gone = b.next(before, round{seed: 51, nodes: away})
	return prepared, certified, gone
}

func obeyOnce(b bench, line []Share) error {
	_, certified, _ := b.drafted(line[1])
	return b.Mend(b.t.Context(), b.slot, certified)
}

func prepareOnce(b bench, line []Share) error {
	prepared, _, _ := b.drafted(line[1])
	return b.Prepare(b.t.Context(), b.slot, prepared)
}

func releaseOnce(b bench, line []Share) error {
	_, _, gone := b.drafted(line[1])
	return b.Release(b.t.Context(), b.slot, gone.Chain)
}

var moves = map[string]move{
	"prepare": {
		func(b bench, line []Share) { b.pushOwned(4, 5); b.must(b.Mend(b.t.Context(), b.slot, line[1])) },
		prepareOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "1"); b.wantAt(5, 2, "2") },
	},
	"prepare where nothing is": {func(bench, []Share) {}, prepareOnce, func(b bench, _ []Share) { b.wantAt(5, 2, "2") }},
	"prepare again": {
		func(b bench, line []Share) { b.must(prepareOnce(b, line)) },
		prepareOnce,
		func(b bench, _ []Share) { b.wantPrepared(2) },
	},
	"obey": {
		func(b bench, line []Share) {
			b.pushOwned(4, 5)
			b.must(b.Mend(b.t.Context(), b.slot, line[1]))
			b.must(prepareOnce(b, line))
		},
		obeyOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "2"); b.wantAt(5, 1, "none"); b.wantAt(4, -1, "0") },
	},
	"obey for the older": {
		func(b bench, line []Share) { b.pushOwned(5, 6); b.must(b.Mend(b.t.Context(), b.slot, line[1])) },
		obeyOnce,
		func(b bench, _ []Share) { b.wantAt(6, -1, "0"); b.wantAt(5, -1, "2") },
	},
	"obey where nothing is": {
		func(b bench, line []Share) { b.must(prepareOnce(b, line)) },
		obeyOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "2") },
	},
	"obey where the newer is": {
		func(b bench, _ []Share) { b.pushOwned(6) },
		obeyOnce,
		func(b bench, _ []Share) { b.wantAt(6, -1, "0"); b.wantAt(5, -1, "2") },
	},
	"release": {
		func(b bench, line []Share) {
			b.pushOwned(4, 5)
			b.must(b.Mend(b.t.Context(), b.slot, line[1]))
			b.must(prepareOnce(b, line))
		},
		releaseOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "none"); b.wantAt(5, 2, "none"); b.wantAt(4, -1, "0") },
	},
	"release of the older": {
		func(b bench, line []Share) { b.pushOwned(5, 6); b.must(b.Mend(b.t.Context(), b.slot, line[1])) },
		releaseOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "none"); b.wantAt(6, -1, "0") },
	},
	"release of what is prepared": {
		func(b bench, line []Share) { b.must(prepareOnce(b, line)) },
		releaseOnce,
		func(b bench, _ []Share) { b.wantAt(5, 2, "none") },
	},
	"release where version is damaged": {
		func(b bench, line []Share) {
			b.pushOwned(5)
			b.must(b.Mend(b.t.Context(), b.slot, line[1]))
			b.must(prepareOnce(b, line))
			b.spoil(b.slot.commitKey())
		},
		releaseOnce,
		func(b bench, _ []Share) { b.wantAt(5, -1, "none"); b.wantAt(5, 2, "none"); b.wantOnlyNamed() },
	},
	"delete of what is prepared": {
		func(b bench, line []Share) { b.must(prepareOnce(b, line)) },
		deleteOnce,
		func(b bench, _ []Share) { b.wantAt(5, 2, "none"); b.wantTombstone() },
	},
	"delete of what is prepared above": {
		func(b bench, line []Share) { b.pushOwned(4); b.must(prepareOnce(b, line)) },
		deleteOnce,
		func(b bench, _ []Share) { b.wantAt(4, -1, "none"); b.wantAt(5, 2, "none"); b.wantTombstone() },
	},
}

// deleteOnce takes what is deleted already for done, where that is so.
func deleteOnce(b bench, _ []Share) error {
	err := b.Delete(b.t.Context(), b.slot, 5, Caller{Proof: 2})
	if from, errRead := b.fetchCommit(b.t.Context(), b.slot); errors.Is(err, api.ErrNotFound) && errRead == nil && from.commit.deleted() {
		return nil
	}
	return err
}

// wantTombstone: version 5 is deleted, by its owner, and nothing of it is left.
func (b bench) wantTombstone() {
	b.t.Helper()
	now := b.commit()
	if !now.deleted() || now.current != 5 {
		b.t.Fatalf("want version 5 deleted, it is %q", now.lines())
	}
	if !now.standing.owned || !now.standing.manifest || now.standing.proof != 2 {
		b.t.Errorf("its owner is known by %q", now.lines())
	}
	if _, err := b.Examine(b.t.Context(), b.slot); err != nil { // which takes what could not be dropped
		b.t.Error(err)
	}
	b.wantOnlyNamed()
	b.wantPrepared()
}

// Both kinds of fault at each storage call of every move: it is told as what it
// was, nothing that was there is lost, and it succeeds when it is made again.
func TestMovesFaultAtEveryStep(t *testing.T) {
	for name, m := range moves {
		t.Run(name, func(t *testing.T) {
			for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
				for step := 1; m.withFault(t, fault, step); step++ {
				}
			}
		})
	}
}

// withFault reports whether there was such a step.
func (m move) withFault(t *testing.T, fault backendtest.Fault, step int) bool {
	t.Helper()
	b := newBench(t)
	line := b.line(5, 1)
	m.before(b, line)
	faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.N == step {
			return fault
		}
		return backendtest.None
	}}
	scarred := b.VerifyAll(t.Context()) != nil
	b.cfg.MaxBytes = 1 << 20 // so that all steps are made
	b.Node.store = faulty
	err := m.do(b, line)
	settle(t, b.Node)
	steps := len(faulty.Calls())
	if err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Fatalf("fault %v at call %d: %v", fault, step, err)
	}
	after := b
	after.Node = openNode(t, b.store)
	if err == nil {
		m.done(after, line)
	}
	if damage := after.VerifyAll(t.Context()); damage != nil && (err == nil || !scarred) {
		t.Fatalf("fault %v at call %d: %v", fault, step, damage)
	}
	after.must(m.do(after, line))
	m.done(after, line)
	if t.Failed() {
		t.Fatalf("fault %v at call %d", fault, step)
	}
	return step <= steps
}

// Whoever cleans beside a move takes nothing from it, however late and whatever it
// knows.
func TestCleanersLeaveMovesAlone(t *testing.T) {
	for name, m := range moves {
		for what, cleanUp := range map[string]func(b bench, old *commit){
			"a sweep":     func(b bench, _ *commit) { _ = b.clean(b.t.Context(), b.slot) },
			"an examiner": func(b bench, _ *commit) { _, _ = b.Examine(b.t.Context(), b.slot) },
			"a late drop": func(b bench, old *commit) { b.dropReplaced(b.t.Context(), b.slot, nil, old) },
		} {
			t.Run(name+" and "+what, func(t *testing.T) {
				for step := 1; m.beside(t, cleanUp, step); step++ {
				}
			})
		}
	}
}

func (m move) beside(t *testing.T, cleanUp func(b bench, old *commit), step int) bool {
	t.Helper()
	b := newBench(t)
	line := b.line(5, 1)
	m.before(b, line)
	from, _ := b.fetchCommit(t.Context(), b.slot) // which may be damaged
	old := from.commit
	cleaner := b
	cleaner.Node = openNode(t, b.store)
	faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.N == step {
			cleanUp(cleaner, old)
		}
		return backendtest.None
	}}
	b.Node.store = faulty
	b.must(m.do(b, line))
	cleanUp(cleaner, old)
	if m.done(cleaner, line); t.Failed() {
		t.Fatalf("cleaning at call %d", step)
	}
	return step <= len(faulty.Calls())
}

// Many at once, of many processes: whoever is acknowledged is there, and nothing
// else is left.
func TestMoversRace(t *testing.T) {
	for turn := range 40 {
		b := newBench(t)
		b.pushOwned(4, 5)
		line := b.line(5, 2)
		draft, _ := b.next(line[0], round{})
		replicas := []*Node{b.Node, openNode(t, b.store), openNode(t, b.store)}
		var moved [4]error
		var other error
		var wg sync.WaitGroup
		ctx := context.Background()
		wg.Go(func() { _ = replicas[0].Prepare(ctx, b.slot, draft) })
		for i := range moved {
			wg.Go(func() { moved[i] = replicas[i%3].Mend(ctx, b.slot, line[1+i/2]) })
		}
		wg.Go(func() { _, _ = replicas[2].Examine(ctx, b.slot) })
		wg.Go(func() { _, _, _ = replicas[1].Rekey(ctx, b.slot) })
		switch turn % 3 {
		case 1:
			wg.Go(func() { other = replicas[1].Push(ctx, b.slot, b.owned(6), Caller{Proof: 2}) })
		case 2:
			wg.Go(func() { other = replicas[1].Delete(ctx, b.slot, 5, Caller{Proof: 2}) })
		}
		wg.Wait()
		for _, replica := range replicas {
			settle(t, replica)
		}
		b.judgeMovers(fmt.Sprint("turn ", turn), moved[:], turn%3 == 2 && other == nil)
	}
}

func (b bench) judgeMovers(turn string, moved []error, deleted bool) {
	b.t.Helper()
	for i, err := range moved {
		if err != nil && !errors.Is(err, ErrNotMended) && !errors.Is(err, api.ErrStorageUnavailable) {
			b.t.Errorf("%s: %v", turn, err)
		}
		g, named := b.commit().find(5)
		switch {
		case err != nil || deleted:
		case !named || g.epoch < uint64(1+i/2):
			b.t.Errorf("%s: epoch %d was acknowledged, and it is %q", turn, 1+i/2, b.commit().lines())
		}
	}
	if deleted && !b.commit().deleted() {
		b.t.Errorf("%s: deleted, and it is %q", turn, b.commit().lines())
	}
	if _, err := b.Examine(b.t.Context(), b.slot); err != nil {
		b.t.Errorf("%s: %v", turn, err)
	}
	if err := b.VerifyAll(b.t.Context()); err != nil {
		b.t.Errorf("%s: %v", turn, err)
	}
}
