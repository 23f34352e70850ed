package guardian

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/record"
)

// sessions are what a node has voted in, by the seed of their records.
type sessions map[[32]byte]bool

func (s sessions) needed(of *record.Record) (bool, error) { return s[of.Seed], nil }

func (b bench) sessionOf(share Share) [32]byte {
	b.t.Helper()
	_, _, _, seed, err := record.ParseDraft(share.Chain)
	if err != nil {
		b.t.Fatal(err)
	}
	return seed
}

// wantLingering drops what is not needed.
func (b bench) wantLingering(lingering int, voted sessions, dropped int) {
	b.t.Helper()
	found, err := b.Examine(b.t.Context(), b.slot)
	if err != nil || found.Lingering != lingering || found.Orphans != 0 {
		b.t.Errorf("%d are found to linger, %d went, %v, want %d", found.Lingering, found.Orphans, err, lingering)
	}
	if got, err := b.DropLingering(b.t.Context(), b.slot, voted.needed); err != nil || got != dropped {
		b.t.Errorf("%d were dropped, %v, want %d", got, err, dropped)
	}
}

// What nobody has voted for is given up after seven days, what this node has voted
// for never, but by its version.
func TestDropLingering(t *testing.T) {
	for name, before := range map[string]func(b bench){
		"the version is here":  func(b bench) { b.pushOwned(5) },
		"an older is here":     func(b bench) { b.pushOwned(4) },
		"nothing else is here": func(bench) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				before(b)
				aborted, pending, late := b.draft(5, 1), b.draft(5, 2), b.draft(5, 3)
				b.must(b.Prepare(t.Context(), b.slot, aborted))
				b.must(b.Prepare(t.Context(), b.slot, pending))
				voted := sessions{b.sessionOf(pending): true}
				time.Sleep(preparedAge - 1)
				b.must(b.Prepare(t.Context(), b.slot, late))
				b.wantLingering(0, nil, 0)
				time.Sleep(time.Nanosecond)
				b.wantLingering(2, voted, 1)
				b.wantPrepared(1, 1)
				b.wantLingering(1, voted, 0)
				time.Sleep(preparedAge)
				voted[b.sessionOf(late)] = true
				b.wantLingering(2, voted, 0)
				time.Sleep(100 * preparedAge)
				b.wantLingering(2, voted, 0)
				b.wantPrepared(1, 1)
				_, certified := b.next(b.owned(5), round{seed: 2})
				b.must(b.Mend(t.Context(), b.slot, certified))
				b.wantAt(5, -1, "1")
				b.wantLingering(0, nil, 0) // nor what is committed
				b.wantAt(5, -1, "1")
				b.wantOnlyNamed()
			})
		})
	}
}

// What is prepared again is young again.
func TestPreparedAgainDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
		time.Sleep(preparedAge)
		b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
		b.wantLingering(0, nil, 0)
		b.wantPrepared(1)
	})
}

// Of one that is damaged its record may still be known; where it is not, nobody can
// tell whether it was voted for.
func TestDamagedLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
		voted := sessions{b.sessionOf(b.draft(5, 1)): true}
		g := must(b.generations(t.Context(), b.slot))(t).prepared()[0]
		b.spoil(b.slot.shareKey(g))
		time.Sleep(preparedAge)
		b.wantLingering(1, voted, 0)
		b.spoil(b.slot.checksumKey(g))
		time.Sleep(preparedAge)
		b.wantLingering(1, nil, 0)
		b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 2)))
		b.spoil(b.slot.commitKey())
		time.Sleep(preparedAge)
		if dropped, err := b.DropLingering(t.Context(), b.slot, sessions(nil).needed); !errors.Is(err, api.ErrIntegrityFailed) || dropped != 0 {
			t.Errorf("where the version object is damaged %d were dropped, %v", dropped, err)
		}
	})
}

// Whoever cannot say whether it is needed keeps it.
func TestLingeringThatNobodyJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
		time.Sleep(preparedAge)
		refused := errors.New("the ballots cannot be read")
		for _, keep := range []bool{true, false} {
			dropped, err := b.DropLingering(t.Context(), b.slot, func(*record.Record) (bool, error) { return keep, refused })
			if !errors.Is(err, refused) || dropped != 0 {
				t.Errorf("%d were dropped, %v", dropped, err)
			}
		}
		b.wantPrepared(1)
	})
}

// Any fault leaves what is needed, and is made good by the next time.
func TestDropLingeringFaultAtEveryStep(t *testing.T) {
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		for step, more := 1, true; more; step++ {
			synctest.Test(t, func(t *testing.T) { more = dropLingeringWithFault(t, fault, step) })
		}
	}
}

func dropLingeringWithFault(t *testing.T, fault backendtest.Fault, step int) bool {
	b := newBench(t)
	b.pushOwned(5)
	b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 1)))
	b.must(b.Prepare(t.Context(), b.slot, b.draft(5, 2)))
	voted := sessions{b.sessionOf(b.draft(5, 2)): true}
	time.Sleep(preparedAge)
	faulty := &backendtest.Faulty{Backend: b.store, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.N == step {
			return fault
		}
		return backendtest.None
	}}
	b.Node.store = faulty
	_, err := b.DropLingering(t.Context(), b.slot, voted.needed)
	b.Node.store = b.store
	if err != nil && !errors.Is(err, api.ErrStorageUnavailable) {
		t.Errorf("fault %v at call %d: %v", fault, step, err)
	}
	if _, err := b.DropLingering(t.Context(), b.slot, voted.needed); err != nil {
		t.Errorf("fault %v at call %d: again: %v", fault, step, err)
	}
	held, err := b.Prepared(t.Context(), b.slot)
	if err != nil || len(held) != 1 || b.sessionOf(held[0].Share) != b.sessionOf(b.draft(5, 2)) {
		t.Errorf("fault %v at call %d: left are %+v, %v", fault, step, held, err)
	}
	b.wantAt(5, -1, "0")
	return step <= len(faulty.Calls())
}
