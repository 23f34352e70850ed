package round

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
)

func TestGroupOf(t *testing.T) {
	a, b := ed25519.PublicKey(strings.Repeat("a", 32)), ed25519.PublicKey(strings.Repeat("b", 32))
	group := GroupOf(3, []ed25519.PublicKey{a, b})
	if group != GroupOf(3, []ed25519.PublicKey{b, nil, a}) {
		t.Error("order, or a holder that was not known, makes another group")
	}
	for name, differs := range map[string]Group{
		"K": GroupOf(4, []ed25519.PublicKey{a, b}), "a key less": GroupOf(3, []ed25519.PublicKey{a}),
		"none": GroupOf(3, nil),
	} {
		if group == differs {
			t.Errorf("%s makes no other group", name)
		}
	}
	if !cluster.ValidRecordKey(group.Key()) || !strings.HasPrefix(group.Key(), "rounds/") {
		t.Error(group.Key())
	}
	read, err := ParseGroup(group.String())
	if err != nil || read != group {
		t.Error(read, err)
	}
	for _, text := range []string{"", group.String()[1:], group.String() + "0", strings.ToUpper(group.String()), strings.Repeat("g", 64)} {
		if _, err := ParseGroup(text); err == nil {
			t.Errorf("%q is taken for a group", text)
		}
	}
}

func TestRound(t *testing.T) {
	s := newStage(t)
	if s.state().Phase != Idle {
		t.Fatal(s.state())
	}
	r := s.voting(s.a, one, base, second)
	if got := s.state(); got.Phase != Voting || got.Session != one || got.Serial != 1 || got.Coordinator != "g1" || got.Bases.Count() != 2 ||
		got.Proposal.ToThreshold != 4 || got.OpenedNS != s.clock.at.UnixNano() {
		t.Fatalf("%+v", got)
	}
	must(t, r.Vote(t.Context(), one, [][32]byte{base, second}))
	want(t, r.Vote(t.Context(), two, [][32]byte{base}), ErrNotVoted)
	must(t, r.Commit(t.Context()))
	must(t, r.Commit(t.Context()))
	want(t, r.Abort(t.Context()), ErrCommitted)
	want(t, r.Renew(t.Context()), ErrLost)

	next := s.open(s.b)
	if got := s.state(); got.Phase != Open || got.Serial != 2 || next.Serial() != 2 || !got.HasCommitted(one) || got.Committed[0].Closed() {
		t.Fatalf("%+v", got)
	}
	must(t, r.Commit(t.Context())) // others have gone on
	want(t, next.Vote(t.Context(), two, [][32]byte{second, {7}}), ErrTaken)
	want(t, next.Vote(t.Context(), one, [][32]byte{{7}}), ErrSpent)
	want(t, next.Vote(t.Context(), Session{}, [][32]byte{{7}}), ErrSpent)
	want(t, next.Commit(t.Context()), ErrNotVoted)
	must(t, next.Abort(t.Context()))
	must(t, next.Abort(t.Context()))
	if got := s.state(); got.Phase != Aborted || len(got.Aborted) != 0 {
		t.Fatalf("%+v", got)
	}
	must(t, s.b.Close(t.Context(), s.group, one))
	must(t, s.b.Close(t.Context(), s.group, one))
	must(t, s.b.Close(t.Context(), s.group, other))
	if got := s.state(); !got.Committed[0].Closed() || got.openBases() != 0 {
		t.Fatalf("%+v", got)
	}
	last := s.voting(s.b, two, base)
	must(t, last.Abort(t.Context()))
	if got := s.state(); got.Phase != Aborted || !got.HasAborted(two) || got.Bases != nil {
		t.Fatalf("%+v", got)
	}
	want(t, last.Commit(t.Context()), ErrLost)
}

// TestRefusedVoteMayComeLater: what refused it is looked at anew.
func TestRefusedVoteMayComeLater(t *testing.T) {
	s := newStage(t)
	must(t, s.voting(s.a, one, base).Commit(t.Context()))
	r := s.open(s.b)
	want(t, r.Vote(t.Context(), two, [][32]byte{base}), ErrTaken)
	must(t, s.a.Close(t.Context(), s.group, one))
	must(t, r.Vote(t.Context(), two, [][32]byte{base}))
}

func TestBasesOfASession(t *testing.T) {
	s := newStage(t)
	r := s.open(s.a)
	many := make([][32]byte, MaxBases+1)
	for i := range many {
		many[i] = [32]byte{byte(i), byte(i >> 8)}
	}
	for name, bases := range map[string][][32]byte{"none": nil, "one twice": {base, second, base}, "too many": many} {
		if err := r.Vote(t.Context(), one, bases); !errors.Is(err, ErrBases) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, r.Vote(t.Context(), one, many[:MaxBases]))
	must(t, r.Commit(t.Context()))
	for i := range many[:MaxBases] {
		if _, taken := s.state().taken(Hashes(many[i : i+1]).tags()); !taken {
			t.Fatalf("base %d is not guarded", i)
		}
	}
	if _, taken := s.state().taken(Hashes(many[MaxBases:]).tags()); taken {
		t.Error("another base is")
	}
}

func TestTakeover(t *testing.T) {
	for name, c := range map[string]struct {
		voted bool
		after time.Duration
		held  bool
	}{
		"open, young":                  {false, Lease - 1, true},
		"open, old":                    {false, Lease, false},
		"voting, young":                {true, Lease - 1, true},
		"voting, old":                  {true, Lease, false},
		"voting, of a clock ahead":     {true, -Lease + 1, true},
		"voting, of a clock far ahead": {true, -Lease, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			r := s.open(s.a)
			if c.voted {
				must(t, r.Vote(t.Context(), one, [][32]byte{base}))
			}
			since := s.clock.at
			s.clock.pass(c.after)
			_, err := s.b.Open(t.Context(), s.group, Summary{})
			if held, ok := errors.AsType[*HeldError](err); ok != c.held || ok && (held.Coordinator != "g1" || !held.Since.Equal(since) || !errors.Is(err, ErrHeld)) {
				t.Fatal(err)
			}
			if c.held {
				must(t, r.Renew(t.Context()))
				return
			}
			if got := s.state(); got.Phase != Open || got.Serial != 2 || got.Coordinator != "g2" || got.HasAborted(one) != c.voted {
				t.Fatalf("%+v", got)
			}
			want(t, r.Renew(t.Context()), ErrLost)
			if c.voted {
				want(t, r.Commit(t.Context()), ErrLost)
			} else {
				want(t, r.Vote(t.Context(), one, [][32]byte{base}), ErrLost)
			}
			must(t, r.Abort(t.Context()))
		})
	}
}

func TestRenewKeepsTheRound(t *testing.T) {
	s := newStage(t)
	r := s.voting(s.a, one, base)
	for range 5 {
		s.clock.pass(Lease - time.Second)
		must(t, r.Renew(t.Context()))
		_, err := s.b.Open(t.Context(), s.group, Summary{})
		want(t, err, ErrHeld)
	}
	must(t, r.Commit(t.Context()))
}

// TestOtherProcessOfTheNode: replicas share the node id, and not their rounds.
func TestOtherProcessOfTheNode(t *testing.T) {
	s := newStage(t)
	r := s.voting(s.a, one, base)
	_, err := s.a.Open(t.Context(), s.group, Summary{})
	want(t, err, ErrHeld)
	s.clock.pass(Lease)
	s.open(s.a)
	want(t, r.Commit(t.Context()), ErrLost)
}

// TestEveryFault runs a round with every call to the registry's storage failing
// in either way, each step repeated until it is definite.
func TestEveryFault(t *testing.T) {
	run := func(s *stage) error {
		return errors.Join(
			again(func() (err error) { _, err = s.b.Look(t.Context(), s.group); return err }),
			s.whole(one, base),
			again(func() error { return s.b.Close(t.Context(), s.group, one) }),
			s.whole(two, second))
	}
	counting := newStage(t)
	must(t, run(counting))
	calls := len(counting.storage.Calls())
	for n := 1; n <= calls; n++ {
		for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
			for more := range 2 { // once, or twelve times
				t.Run(fmt.Sprint(n, fault, more), func(t *testing.T) {
					s := newStage(t)
					s.storage.Inject = func(c backendtest.Call) backendtest.Fault {
						if c.N >= n && c.N < n+1+more*11 {
							return fault
						}
						return backendtest.None
					}
					must(t, run(s))
					if got := s.state(); got.Phase != Committed || !got.HasCommitted(one) || !got.HasCommitted(two) ||
						!got.Committed[0].Closed() || len(got.Committed) != 2 {
						t.Fatalf("%+v", got)
					}
				})
			}
		}
	}
}

// whole is a round with its vote, to the end.
func (s *stage) whole(session Session, bases ...[32]byte) error {
	var r *Round
	return errors.Join(
		again(func() (err error) {
			if s.clock.pass(Lease); r == nil {
				r, err = s.a.Open(s.t.Context(), s.group, Summary{})
			}
			return err
		}),
		again(func() error { return r.Vote(s.t.Context(), session, bases) }),
		again(func() error { return s.cast(session, bases...) }),
		again(func() error { return r.Renew(s.t.Context()) }),
		again(func() error { return r.Commit(s.t.Context()) }))
}

// again repeats a step that a fault broke off.
func again(step func() error) error {
	for range 20 {
		if err := step(); !errors.Is(err, backendtest.ErrInjected) {
			return err
		}
	}
	return errors.New("no end of faults")
}

// TestCommitOfLostAnswer: a swap that took effect is never told as lost, even
// when others go on before it is asked for again.
func TestCommitOfLostAnswer(t *testing.T) {
	s := newStage(t)
	r := s.voting(s.a, one, base)
	lost := false
	s.storage.SetInject(func(c backendtest.Call) backendtest.Fault {
		if lost = lost || c.Op == backendtest.OpPut; lost {
			return backendtest.AnswerLost
		}
		return backendtest.None
	})
	want(t, r.Commit(t.Context()), ErrUnknown)
	want(t, r.Abort(t.Context()), ErrUnknown)
	s.storage.SetInject(nil)
	for i := range 3 {
		must(t, s.voting(s.b, Session{byte(i + 10)}, [32]byte{byte(i)}).Commit(t.Context()))
	}
	must(t, r.Commit(t.Context()))
	want(t, r.Abort(t.Context()), ErrCommitted)
}

// TestForgottenSession: a registry that was emptied, or has gone on too far to
// remember, leaves Commit without an answer, and never with a wrong one.
func TestForgottenSession(t *testing.T) {
	for name, record := range map[string]string{
		"emptied":           `{"state":"idle"}`,
		"far ahead":         `{"serial":900,"state":"open","coordinator":"g2","nonce":"n","opened_ns":1,"changed_ns":1}`,
		"of another serial": `{"serial":1,"state":"open","coordinator":"g1","nonce":"n","opened_ns":1,"changed_ns":1}`,
		"broken":            `{`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			r := s.voting(s.a, one, base)
			s.put(record)
			want(t, r.Commit(t.Context()), ErrUnknown)
			want(t, r.Commit(t.Context()), ErrUnknown)
			want(t, r.Abort(t.Context()), ErrUnknown)
		})
	}
}

// TestSwapOfTheRound: without compare-and-swap, who was taken over in the very
// moment of its commit has committed, and so does the other.
func TestSwapOfTheRound(t *testing.T) {
	blind := func(ctx context.Context, r Registry, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
		now, err := r.Swap(ctx, key, data, rev)
		if errors.Is(err, cluster.ErrLost) {
			_, rev, err = r.Load(ctx, key)
			return rev, errors.Join(err, errOf(r.Swap(ctx, key, data, rev)))
		}
		return now, err
	}
	for name, without := range map[string]bool{"with": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			if without {
				s.b.rules.swap = blind
			}
			r := s.voting(s.a, one, base)
			s.clock.pass(Lease)
			s.b.registry = &withSwap{s.registry, 1, func() { must(t, r.Commit(t.Context())) }}
			next := s.open(s.b)
			if err := next.Vote(t.Context(), two, [][32]byte{base}); (err == nil) != without {
				t.Fatalf("another session over the base of a committed one: %v", err)
			}
		})
	}
}

func errOf(_ cluster.Revision, err error) error { return err }

// TestSpentSession: with a session that is aborted and voted on, a voter would
// take its own ballot for void and vote for another as well.
func TestSpentSession(t *testing.T) {
	for name, without := range map[string]bool{"with": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			if without {
				s.a.rules.fresh = func(State, Session) error { return nil }
			}
			must(t, s.voting(s.a, one, base).Abort(t.Context()))
			if err := s.open(s.a).Vote(t.Context(), one, [][32]byte{base}); without != (err == nil) || !without && !errors.Is(err, ErrSpent) {
				t.Fatal(err)
			}
		})
	}
}

func TestListsAreBounded(t *testing.T) {
	s := newStage(t)
	for i := range maxAborted - maxEnded + 3 {
		must(t, s.voting(s.a, Session{2, byte(i), byte(i >> 8)}, base).Abort(t.Context()))
	}
	for i := range 2 * maxEnded {
		r := s.voting(s.a, Session{1, byte(i), 1}, [32]byte{byte(i), 1})
		if i%2 == 0 {
			must(t, r.Abort(t.Context()))
			continue
		}
		must(t, r.Commit(t.Context()))
	}
	if got := s.state(); len(got.Aborted) != maxAborted || len(got.Committed) != maxEnded || !got.HasAborted(Session{2, 3}) || got.HasAborted(Session{2, 2}) {
		t.Fatal(len(got.Aborted), len(got.Committed))
	}
	_, err := s.a.Open(t.Context(), s.group, Summary{})
	want(t, err, ErrUnclosed)
	must(t, s.a.Close(t.Context(), s.group, Session{1, 7, 1}))
	must(t, s.voting(s.a, other, [32]byte{200}).Commit(t.Context()))
	if got := s.state(); len(got.Committed) != maxEnded || got.HasCommitted(Session{1, 7, 1}) || !got.HasCommitted(Session{1, 1, 1}) || !got.HasCommitted(other) {
		t.Fatal("not the closed one went")
	}
}

func TestOpenBasesAreBounded(t *testing.T) {
	s := newStage(t)
	for i := range maxOpenBases / MaxBases {
		bases := make([][32]byte, MaxBases)
		for j := range bases {
			bases[j] = [32]byte{byte(i), byte(j), byte(j >> 8)}
		}
		r := s.voting(s.a, Session{1, byte(i)}, bases...)
		must(t, r.Commit(t.Context()))
	}
	data, _, err := s.registry.Load(t.Context(), s.group.Key())
	must(t, err)
	if len(data) > maxRecord*3/4 {
		t.Errorf("%d bytes", len(data))
	}
	_, err = s.a.Open(t.Context(), s.group, Summary{})
	want(t, err, ErrUnclosed)
	must(t, s.a.Close(t.Context(), s.group, Session{1, 0}))
	r := s.voting(s.a, other, [32]byte{})
	must(t, r.Commit(t.Context()))
	r = s.open(s.a)
	bases := make([][32]byte, MaxBases)
	for j := range bases {
		bases[j] = [32]byte{99, byte(j), byte(j >> 8)}
	}
	want(t, r.Vote(t.Context(), two, bases), ErrUnclosed)
	must(t, r.Vote(t.Context(), two, bases[1:]))
}

func TestList(t *testing.T) {
	s := newStage(t)
	found, err := s.a.List(t.Context())
	if err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	groups := []Group{{1}, {2}, {3}}
	for _, group := range groups {
		r, err := s.a.Open(t.Context(), group, Summary{})
		must(t, err)
		must(t, r.Abort(t.Context()))
		s.clock.pass(time.Minute)
	}
	s.clock.pass(indexAge)
	_, err = s.a.Open(t.Context(), groups[1], Summary{})
	must(t, err)
	s.group = groups[0]
	s.put("nonsense")
	found, err = s.b.List(t.Context())
	must(t, err)
	var order []Group
	for _, l := range found {
		order = append(order, l.Group)
		if broken := l.Group == groups[0]; broken != errors.Is(l.Err, ErrMalformed) {
			t.Errorf("%v: %v", l.Group, l.Err)
		}
	}
	if !slices.Equal(order, []Group{groups[1], groups[2], groups[0]}) || found[0].State.Phase != Open {
		t.Error(order)
	}
}

// TestIndexIsAHelp: nothing depends on it, and what is broken is replaced.
func TestIndexIsAHelp(t *testing.T) {
	twice, err := json.Marshal(index{[]indexLine{{Group: Group{1}}, {Group: Group{1}}}})
	must(t, err)
	many := index{}
	for i := range maxIndexed + 1 {
		many.Groups = append(many.Groups, indexLine{Group: Group{byte(i), byte(i >> 8)}})
	}
	long, err := json.Marshal(many)
	must(t, err)
	for name, data := range map[string]string{"no JSON": "{", "a group twice": string(twice), "too long": string(long)} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			_, err := s.registry.Swap(t.Context(), keyIndex, []byte(data), cluster.Revision{})
			must(t, err)
			_, err = s.a.List(t.Context())
			want(t, err, ErrMalformed)
			s.open(s.a)
			found, err := s.a.List(t.Context())
			if err != nil || len(found) != 1 || found[0].Group != s.group {
				t.Error(found, err)
			}
		})
	}
	full, differs := index{many.Groups[:maxIndexed]}.with(Group{0xff, 0xff}, time.Unix(5, 0))
	if !differs || len(full.Groups) != maxIndexed || full.Groups[0].Group != (Group{0xff, 0xff}) {
		t.Error("the index outgrows its bound, or forgets the newest")
	}
}
