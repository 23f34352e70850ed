package round

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/integrity"
)

func (s *stage) pending() []Ballot {
	s.t.Helper()
	found, err := s.ballots.Pending(s.t.Context())
	must(s.t, err)
	return found
}

func TestCast(t *testing.T) {
	s := newStage(t)
	want(t, s.cast(one, base), ErrNotVoted)
	r := s.open(s.a)
	want(t, s.cast(one, base), ErrNotVoted)
	must(t, r.Vote(t.Context(), one, [][32]byte{base, second}))
	want(t, s.cast(two, base), ErrNotVoted)
	want(t, s.cast(one, base, [32]byte{7}), ErrNotVoted)
	want(t, s.cast(one), ErrBases)
	if len(s.pending()) != 0 {
		t.Fatal("a refused ballot was kept")
	}
	must(t, s.cast(one, second, base))
	must(t, s.cast(one, base, second))
	want(t, s.cast(one, base), ErrVoted)
	if got := s.pending(); len(got) != 1 || got[0].Session != one || got[0].Serial != 1 || got[0].Group != s.group ||
		fmt.Sprint(got[0].Bases) != fmt.Sprint(Hashes{second, base}) || got[0].AtNS != s.clock.at.UnixNano() {
		t.Fatalf("%+v", got)
	}
	must(t, r.Commit(t.Context()))
	want(t, s.cast(one, base, second), ErrNotVoted)
	want(t, s.ballots.MayFollow(t.Context(), madeBy(two, base)), ErrCommitted)
	must(t, s.ballots.MayFollow(t.Context(), madeBy(one, base)))
	must(t, s.ballots.MayFollow(t.Context(), madeBy(two, [32]byte{7})))
	must(t, s.ballots.Settle(t.Context(), only([32]byte{7})))
	must(t, s.ballots.Settle(t.Context(), only(second)))
	if got := s.pending(); len(got) != 1 || fmt.Sprint(got[0].Bases) != fmt.Sprint(Hashes{base}) {
		t.Fatalf("%+v", got)
	}
	must(t, s.ballots.Settle(t.Context(), only(base)))
	if len(s.pending()) != 0 {
		t.Fatal("a settled ballot was kept")
	}
}

func only(followed [32]byte) func([32]byte) bool {
	return func(base [32]byte) bool { return base == followed }
}

// TestVoteOnce: a second session over a base has to wait for the first to be
// aborted, whoever else says that the base is free.
func TestVoteOnce(t *testing.T) {
	s := newStage(t)
	r := s.voting(s.a, one, base, second)
	must(t, s.cast(one, base, second))
	s.put(`{"state":"idle"}`) // the registry was emptied
	s.voting(s.b, two, base)
	err := s.cast(two, base)
	want(t, err, ErrVoted)
	if !strings.Contains(err.Error(), one.Short()) || strings.Contains(err.Error(), one.String()) {
		t.Error(err)
	}
	want(t, r.Commit(t.Context()), ErrUnknown)
}

func TestVoteAnew(t *testing.T) {
	s := newStage(t)
	s.voting(s.a, one, base)
	must(t, s.cast(one, base))
	s.clock.pass(Lease)
	s.voting(s.b, two, base, second)
	must(t, s.cast(two, base, second))
	if got := s.pending(); len(got) != 1 || got[0].Session != two {
		t.Fatalf("%+v", got)
	}
	want(t, s.ballots.MayFollow(t.Context(), madeBy(one, base)), ErrVoted)
	must(t, s.ballots.MayFollow(t.Context(), madeBy(two, base)))
	must(t, s.ballots.Settle(t.Context(), only(second)))
	if got := s.pending(); len(got) != 1 || len(got[0].Bases) != 1 {
		t.Fatalf("%+v", got)
	}
	s.clock.pass(Lease)
	s.voting(s.b, other, second)
	must(t, s.ballots.Sweep(t.Context()))
	// What was seen to be aborted stays so when the registry has forgotten it.
	s.put(`{"state":"idle"}`)
	s.voting(s.b, other, base)
	must(t, s.cast(other, base))
}

// line is what a chain of several rounds shows of who made the successor of what.
func line(made map[[32]byte]Session) func([32]byte) ([32]byte, bool) {
	return func(base [32]byte) ([32]byte, bool) {
		session, known := made[base]
		return session, known
	}
}

// What a node is to follow may have gone past a session that it has voted in long
// before its last round.
func TestMayFollow(t *testing.T) {
	third := [32]byte{7}
	commit := func(s *stage, r *Round) { must(s.t, r.Commit(s.t.Context())) }
	for name, c := range map[string]struct {
		then    func(s *stage, r *Round)
		made    map[[32]byte]Session
		refused error
	}{
		"no ballot stands against it":      {made: map[[32]byte]Session{third: one}},
		"nothing is known":                 {made: nil},
		"its own session":                  {made: map[[32]byte]Session{base: two, second: two}},
		"its own session, with others":     {made: map[[32]byte]Session{third: one, base: two, {6}: other}},
		"another in its last round":        {made: map[[32]byte]Session{third: two, base: one}, refused: ErrVoted},
		"another in its first round":       {made: map[[32]byte]Session{base: one, third: two}, refused: ErrVoted},
		"another over one of two":          {made: map[[32]byte]Session{base: two, second: other}, refused: ErrVoted},
		"another, this one is committed":   {then: commit, made: map[[32]byte]Session{base: one, third: other}, refused: ErrCommitted},
		"this one is committed":            {then: commit, made: map[[32]byte]Session{base: two, third: other}},
		"another over the second of these": {then: commit, made: map[[32]byte]Session{second: one}, refused: ErrCommitted},
		"this one is closed": {then: func(s *stage, r *Round) {
			commit(s, r)
			must(s.t, s.a.Close(s.t.Context(), s.group, two))
		}, made: map[[32]byte]Session{base: one}, refused: ErrCommitted},
		"this one was aborted": {then: func(s *stage, r *Round) {
			must(s.t, r.Abort(s.t.Context()))
		}, made: map[[32]byte]Session{base: one, second: other}},
		"the registry has forgotten": {then: func(s *stage, _ *Round) {
			s.put(`{"state":"idle"}`)
		}, made: map[[32]byte]Session{base: one}, refused: ErrForgotten},
		"the registry was set back": {then: func(s *stage, r *Round) {
			s.put(fmt.Sprintf(`{"state":"idle","line":%q}`, r.Line()))
		}, made: map[[32]byte]Session{base: one}, refused: ErrForgotten},
		"the registry is no help": {then: func(s *stage, _ *Round) {
			s.put("{")
		}, made: map[[32]byte]Session{base: one}, refused: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			r := s.voting(s.a, two, base, second)
			must(t, s.cast(two, base, second))
			if c.then != nil {
				c.then(s, r)
			}
			err := s.ballots.MayFollow(t.Context(), line(c.made))
			if c.refused == nil {
				must(t, err)
				return
			}
			want(t, err, c.refused)
			if errors.Is(c.refused, ErrVoted) && errors.Is(err, ErrCommitted) {
				t.Error(err)
			}
		})
	}
}

// The ballots of all groups count, and the worst of what stands against a chain is
// not hidden by another that is aborted.
func TestMayFollowByBallotsOfAllGroups(t *testing.T) {
	s := newStage(t)
	first := s.voting(s.a, one, base)
	must(t, s.cast(one, base))
	s.group = Group{5}
	r := s.voting(s.b, two, second)
	must(t, s.cast(two, second))
	must(t, first.Abort(t.Context()))
	chain := line(map[[32]byte]Session{base: other, second: other})
	want(t, s.ballots.MayFollow(t.Context(), chain), ErrVoted)
	must(t, r.Commit(t.Context()))
	want(t, s.ballots.MayFollow(t.Context(), chain), ErrCommitted)
}

// TestBallotOfAnotherGroup is looked up where it belongs.
func TestBallotOfAnotherGroup(t *testing.T) {
	s := newStage(t)
	first := s.group
	r := s.voting(s.a, one, base)
	must(t, s.cast(one, base))
	s.group = Group{5}
	s.voting(s.b, two, base)
	want(t, s.cast(two, base), ErrVoted)
	must(t, r.Abort(t.Context()))
	must(t, s.cast(two, base))
	s.group = first
	s.put("{")
	s.group = Group{6}
	s.voting(s.b, other, base)
	want(t, s.cast(other, base), ErrVoted)
}

// TestRulesOfCast: each attack succeeds when its check is taken out.
func TestRulesOfCast(t *testing.T) {
	for name, c := range map[string]struct {
		attack  func(s *stage) error
		without func(r *rules)
		refused error
	}{
		"a coordinator that asks for votes behind the registry's back": {
			func(s *stage) error { s.open(s.b); return s.cast(one, base) },
			func(r *rules) {
				r.voting, r.listed = func(State, Session) error { return nil }, func(State, Tags) error { return nil }
			}, ErrNotVoted,
		},
		"a coordinator whose round was taken over": {
			func(s *stage) error {
				s.voting(s.a, one, base)
				s.clock.pass(Lease)
				s.voting(s.b, two, base)
				return s.cast(one, base)
			},
			func(r *rules) { r.voting = func(State, Session) error { return nil } }, ErrNotVoted,
		},
		"bases that the registry will not guard": {
			func(s *stage) error { s.voting(s.b, one, second); return s.cast(one, base) },
			func(r *rules) { r.listed = func(State, Tags) error { return nil } }, ErrNotVoted,
		},
		"another half that has not heard of the first": {
			func(s *stage) error {
				must(s.t, s.voting(s.a, one, base).Commit(s.t.Context())) // voted for by others
				s.b.rules.taken = func(State, Tags) error { return nil }
				s.voting(s.b, two, base)
				return s.cast(two, base)
			},
			func(r *rules) { r.taken = func(State, Tags) error { return nil } }, ErrTaken,
		},
		"a registry that has forgotten": {
			func(s *stage) error {
				s.voting(s.a, one, base)
				must(s.t, s.cast(one, base))
				s.put(`{"state":"idle"}`)
				s.voting(s.b, two, base)
				return s.cast(two, base)
			},
			func(r *rules) { r.once = func([]Ballot, Ballot) error { return nil } }, ErrVoted,
		},
		"a session that was committed, taken for aborted": {
			func(s *stage) error {
				r := s.voting(s.a, one, base)
				must(s.t, s.cast(one, base))
				must(s.t, r.Commit(s.t.Context()))
				must(s.t, s.a.Close(s.t.Context(), s.group, one))
				s.voting(s.b, two, base)
				return s.cast(two, base)
			},
			func(r *rules) { r.aborted = func(State, Session) bool { return true } }, ErrVoted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, c.attack(newStage(t)), c.refused)
			weak := newStage(t)
			c.without(&weak.a.rules)
			must(t, c.attack(weak))
		})
	}
}

func TestSweep(t *testing.T) {
	s := newStage(t)
	must(t, s.ballots.Sweep(t.Context()))
	must(t, errors.Join(s.voting(s.a, one, base).Abort(t.Context())))
	r := s.voting(s.a, two, base)
	must(t, s.cast(two, base))
	must(t, r.Abort(t.Context()))
	r = s.voting(s.a, other, second)
	must(t, s.cast(other, second))
	must(t, r.Commit(t.Context()))
	if got := s.pending(); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	must(t, s.ballots.Sweep(t.Context()))
	if got := s.pending(); len(got) != 1 || got[0].Session != other {
		t.Fatalf("%+v", got)
	}
}

// A ballot for a session of which the registry has lost what it knew stands for long
// enough that nobody keeps its certificates any more.
func TestSweepOfForgottenSession(t *testing.T) {
	s := newStage(t)
	s.voting(s.a, one, base)
	must(t, s.cast(one, base))
	swept := func(after time.Duration, want int) {
		t.Helper()
		s.clock.pass(after)
		must(t, s.ballots.Sweep(t.Context()))
		if got := s.pending(); len(got) != want {
			t.Errorf("%d ballots are left, want %d", len(got), want)
		}
	}
	swept(30*24*time.Hour, 1)
	must(t, s.ballots.Settle(t.Context(), only(base)))
	s.voting(s.b, two, base)
	must(t, s.cast(two, base))
	s.put(`{"state":"idle"}`)
	swept(13*24*time.Hour, 1)
	swept(2*24*time.Hour, 0)
}

// Once swept, the ballots need no key that was rotated away.
func TestSweepSealsUnderThePrimaryKey(t *testing.T) {
	s := newStage(t)
	s.voting(s.a, one, base)
	must(t, s.cast(one, base))
	old, next := strings.Repeat("1f", integrity.KeySize), strings.Repeat("2e", integrity.KeySize)
	both := fmt.Sprintf(`{"primary":"k2","keys":{"default":%q,"k2":%q}}`, base64OfHex(t, old), base64OfHex(t, next))
	rotated := NewBallots(s.disk, newSealer(t, "g1", both), s.a, s.clock.now)
	must(t, rotated.Sweep(t.Context()))
	_, rev, err := s.disk.Get(t.Context(), keyBallots)
	must(t, err)
	must(t, rotated.Sweep(t.Context()))
	if _, again, err := s.disk.Get(t.Context(), keyBallots); err != nil || again != rev {
		t.Errorf("it is written again: %v", err)
	}
	alone := fmt.Sprintf(`{"primary":"k2","keys":{"k2":%q}}`, base64OfHex(t, next))
	left, err := NewBallots(s.disk, newSealer(t, "g1", alone), s.a, s.clock.now).Pending(t.Context())
	if err != nil || len(left) != 1 || left[0].Session != one {
		t.Errorf("%+v, %v", left, err)
	}
}

func base64OfHex(t *testing.T, text string) string {
	t.Helper()
	data, err := hex.DecodeString(text)
	must(t, err)
	return base64.StdEncoding.EncodeToString(data)
}

func TestBallotsAreBounded(t *testing.T) {
	s := newStage(t)
	var many []Ballot
	for i := range MaxBallots {
		many = append(many, Ballot{Session: Session{5, byte(i), byte(i >> 8)}, Bases: Hashes{{5, byte(i), byte(i >> 8)}}})
	}
	must(t, s.ballots.save(t.Context(), many, backend.AnyRevision))
	s.voting(s.a, one, base)
	want(t, s.cast(one, base), ErrFull)
	must(t, s.ballots.Settle(t.Context(), only(many[7].Bases[0])))
	must(t, s.cast(one, base))

	for i := range many {
		many[i].Bases = nil
		for j := range MaxBases / 8 {
			many[i].Bases = append(many[i].Bases, [32]byte{byte(i), byte(i >> 8), byte(j), 1})
		}
	}
	full := sort.Search(len(many), func(n int) bool {
		return s.ballots.save(t.Context(), many[:n+1], backend.AnyRevision) != nil
	})
	must(t, s.ballots.save(t.Context(), many[:full], backend.AnyRevision))
	bases := make([][32]byte, MaxBases)
	for j := range bases {
		bases[j] = [32]byte{255, 255, byte(j), byte(j >> 8)}
	}
	s.clock.pass(Lease)
	s.voting(s.a, two, bases...)
	want(t, s.cast(two, bases...), ErrFull)
	if got := s.pending(); len(got) != full {
		t.Fatalf("%d ballots, of %d", len(got), full)
	}
}

// TestDamagedBallots: no vote over ballots that this node did not write.
func TestDamagedBallots(t *testing.T) {
	fresh := newStage(t)
	fresh.voting(fresh.a, one, base)
	must(t, fresh.cast(one, base))
	object, _, err := fresh.disk.Get(t.Context(), keyBallots)
	must(t, err)
	text := string(object)
	line, data, _ := strings.Cut(text, "\n")
	stranger := NewBallots(backendtest.NewMemory(), newSealer(t, "g2", strings.Repeat("1f", integrity.KeySize)), fresh.a, fresh.clock.now)
	must(t, stranger.save(t.Context(), nil, backend.Revision{}))
	theirs, _, err := stranger.store.Get(t.Context(), keyBallots)
	must(t, err)
	for name, damaged := range map[string]string{
		"empty": "", "not sealed": data, "no tag": "hmac default \n" + data, "no hex": "hmac default xyz\n" + data,
		"truncated": text[:len(text)-1], "a bit": strings.Replace(text, `"at_ns":1`, `"at_ns":3`, 1), "more": text + " ",
		"another seal": strings.Replace(text, line, "hmac default "+strings.Repeat("00", 32), 1), "of another node": string(theirs),
		"two lines": line + "\n" + text, "nothing sealed": sealed(t, fresh, "null x"),
		"a ballot twice":   sealed(t, fresh, `{"ballots":[{"session":"`+one.String()+`","bases":"`+strings.Repeat("A", 43)+`="},{"session":"`+one.String()+`","bases":"`+strings.Repeat("A", 43)+`="}]}`),
		"a ballot of none": sealed(t, fresh, `{"ballots":[{"session":"`+one.String()+`","bases":""}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			_, err := s.disk.Put(t.Context(), keyBallots, []byte(damaged), backend.AnyRevision)
			must(t, err)
			s.voting(s.a, one, base)
			err = s.cast(one, base)
			want(t, err, ErrDamaged)
			if !strings.Contains(err.Error(), keyBallots) || !strings.Contains(err.Error(), "removed") {
				t.Errorf("no help: %v", err)
			}
			_, err = s.ballots.Pending(t.Context())
			want(t, err, ErrDamaged)
			want(t, s.ballots.Settle(t.Context(), only(base)), ErrDamaged)
			if now, _, _ := s.disk.Get(t.Context(), keyBallots); string(now) != damaged {
				t.Error("it was written over")
			}
		})
	}
}

// swollen is a storage in which somebody has put more than an object may be.
type swollen struct{ backend.Backend }

func (swollen) Get(context.Context, string) ([]byte, backend.Revision, error) {
	return nil, backend.Revision{}, backend.ErrTooLarge
}

func TestSwollenBallots(t *testing.T) {
	s := newStage(t)
	s.ballots.store = swollen{s.disk}
	s.voting(s.a, one, base)
	want(t, s.cast(one, base), ErrDamaged)
}

func sealed(t *testing.T, s *stage, data string) string {
	t.Helper()
	keyID, tag, err := s.ballots.sealer.Seal(labelBallots, []byte(keyBallots), []byte(data))
	must(t, err)
	return fmt.Sprintf("hmac %s %x\n%s", keyID, tag, data)
}

// TestUnknownKey says nothing about the ballots, and lets nothing be voted on.
func TestUnknownKey(t *testing.T) {
	s := newStage(t)
	must(t, s.ballots.save(t.Context(), nil, backend.Revision{}))
	object, rev, err := s.disk.Get(t.Context(), keyBallots)
	must(t, err)
	_, err = s.disk.Put(t.Context(), keyBallots, []byte(strings.Replace(string(sealedByOther(t, object)), "hmac default", "hmac later", 1)), rev)
	must(t, err)
	s.voting(s.a, one, base)
	err = s.cast(one, base)
	want(t, err, integrity.ErrKeyUnknown)
	if errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// sealedByOther is the object under a key that this node does not have.
func sealedByOther(t *testing.T, object []byte) []byte {
	t.Helper()
	_, data, _ := strings.Cut(string(object), "\n")
	_, tag, err := newSealer(t, "g1", strings.Repeat("2e", integrity.KeySize)).Seal(labelBallots, []byte(keyBallots), []byte(data))
	must(t, err)
	return fmt.Appendf(nil, "hmac default %x\n%s", tag, data)
}

// TestCastUnderFaults: after a nil error the ballot is there, whatever failed.
func TestCastUnderFaults(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
			for from := range 2 {
				s := newStage(t)
				s.voting(s.a, one, base)
				s.disk.Inject = func(c backendtest.Call) backendtest.Fault {
					if c.N == n || from > 0 && c.N >= n {
						return fault
					}
					return backendtest.None
				}
				err := s.cast(one, base)
				s.disk.SetInject(nil)
				if err == nil && len(s.pending()) != 1 || err != nil && !errors.Is(err, backendtest.ErrInjected) {
					t.Fatalf("call %d: %v, %d ballots", n, err, len(s.pending()))
				}
				must(t, s.cast(one, base))
			}
		}
	}
}

// TestReplicasCast: of two replicas that vote in two sessions over one base at
// once, one does; in one session, both.
func TestReplicasCast(t *testing.T) {
	s := newStage(t)
	groups := []Group{{1}, {2}, {1}}
	for i, session := range []Session{one, two} {
		r, err := s.a.Open(t.Context(), groups[i], Summary{})
		must(t, err)
		must(t, r.Vote(t.Context(), session, [][32]byte{base}))
	}
	errs := make([]error, 3)
	var all sync.WaitGroup
	for i, session := range []Session{one, two, one} {
		replica := NewBallots(s.disk, s.ballots.sealer, s.a, s.clock.now)
		all.Go(func() { errs[i] = replica.Cast(t.Context(), groups[i], session, [][32]byte{base}) })
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || (errs[0] == nil) != (errs[2] == nil) || len(s.pending()) != 1 {
		t.Fatal(errs, len(s.pending()))
	}
}

// TestRegistryDown: no vote without its word.
func TestRegistryDown(t *testing.T) {
	s := newStage(t)
	s.voting(s.a, one, base)
	s.storage.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	want(t, s.cast(one, base), backendtest.ErrInjected)
	s.storage.SetInject(nil)
	s.clock.pass(time.Second)
	must(t, s.cast(one, base))
}
