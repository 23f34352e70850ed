package round

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestTransitions has every step in every phase, by the coordinator whose round
// it is and by one of an earlier round.
func TestTransitions(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	own, earlier := claim{7, "g1", "n"}, claim{6, "g1", "m"}
	states := map[Phase]State{
		Idle:      {Phase: Idle},
		Open:      {Phase: Open},
		Voting:    {Phase: Voting, Session: one, Bases: Hashes{base}.tags()},
		Committed: {Phase: Committed, Session: one, Committed: []Ended{{Session: one, Bases: Hashes{base}.tags()}}},
		Aborted:   {Phase: Aborted, Session: one, Aborted: []Ended{{Session: one}}},
	}
	steps := map[string]func(s State, c claim) (State, bool, error){
		"open": func(s State, _ claim) (State, bool, error) {
			return pageRules.open(s, claim{coordinator: "g2", nonce: "o"}, Summary{}, now)
		},
		"vote": func(s State, c claim) (State, bool, error) {
			return pageRules.vote(s, c, one, Hashes{base}.tags(), now)
		},
		"commit": func(s State, c claim) (State, bool, error) { return pageRules.commit(s, c, one, now) },
		"abort":  func(s State, c claim) (State, bool, error) { return pageRules.abort(s, c, one, false, now) },
		"abort after commit": func(s State, c claim) (State, bool, error) {
			return pageRules.abort(s, c, one, true, now)
		},
		"renew": func(s State, c claim) (State, bool, error) { return pageRules.renew(s, c, now) },
	}
	const done = Phase("done")
	for step, wanted := range map[string]map[Phase][2]any{ // a phase or an error: own, earlier
		"open":               {Idle: {Open, Open}, Open: {Open, Open}, Voting: {Open, Open}, Committed: {Open, Open}, Aborted: {Open, Open}},
		"vote":               {Idle: {ErrLost, ErrLost}, Open: {Voting, ErrLost}, Voting: {done, ErrLost}, Committed: {ErrLost, ErrLost}, Aborted: {ErrLost, ErrLost}},
		"commit":             {Idle: {ErrUnknown, ErrUnknown}, Open: {ErrUnknown, ErrUnknown}, Voting: {Committed, ErrUnknown}, Committed: {done, done}, Aborted: {ErrLost, ErrLost}},
		"abort":              {Idle: {done, done}, Open: {Aborted, done}, Voting: {Aborted, done}, Committed: {done, done}, Aborted: {done, done}},
		"abort after commit": {Idle: {ErrUnknown, ErrUnknown}, Open: {Aborted, ErrUnknown}, Voting: {Aborted, ErrUnknown}, Committed: {ErrCommitted, ErrCommitted}, Aborted: {done, done}},
		"renew":              {Idle: {ErrLost, ErrLost}, Open: {Open, ErrLost}, Voting: {Voting, ErrLost}, Committed: {ErrLost, ErrLost}, Aborted: {ErrLost, ErrLost}},
	} {
		for phase, results := range wanted {
			for i, c := range []claim{own, earlier} {
				t.Run(fmt.Sprint(step, " ", phase, " ", i), func(t *testing.T) {
					s := states[phase]
					if s.Serial = 7; phase != Idle {
						s.Coordinator, s.Nonce = own.coordinator, own.nonce
					}
					before := s.text()
					next, finished, err := steps[step](s, c)
					switch result := results[i].(type) {
					case error:
						want(t, err, result)
					case Phase:
						if err != nil || finished != (result == done) || !finished && next.Phase != result {
							t.Fatal(next.Phase, finished, err)
						}
					}
					if s.text() != before {
						t.Error("the state that was read has changed")
					}
					if err == nil && !finished {
						wantParsed(t, next)
						wantListed(t, step, s, next)
					}
				})
			}
		}
	}
}

// wantListed wants a session to be listed as soon as its vote has ended.
func wantListed(t *testing.T, step string, s, next State) {
	t.Helper()
	ended := s.Phase == Voting && next.Phase != Voting
	if committed := step == "commit"; ended && (next.HasCommitted(one) != committed || next.HasAborted(one) == committed || len(next.Bases) != 0) {
		t.Errorf("%+v", next)
	}
	if step == "open" && next.Serial != s.Serial+1 {
		t.Errorf("serial %d after %d", next.Serial, s.Serial)
	}
}

func TestClosed(t *testing.T) {
	s := State{Committed: []Ended{{Session: one, Bases: Hashes{base}.tags()}, {Session: two, Bases: Hashes{second}.tags()}}}
	next, done, err := s.closed(two)
	if done || err != nil || !next.Committed[1].Closed() || next.Committed[0].Closed() || s.Committed[1].Closed() {
		t.Fatalf("%+v of %+v", next, s)
	}
	for _, session := range []Session{two, other} {
		if _, done, err := next.closed(session); !done || err != nil {
			t.Error(session.Short(), done, err)
		}
	}
}

// TestOpenKnowsItsOwn: after a lost answer, the round that was opened is not
// taken for another's.
func TestOpenKnowsItsOwn(t *testing.T) {
	own, now := claim{coordinator: "g1", nonce: "n"}, time.Unix(1_800_000_000, 0)
	s, _, err := pageRules.open(State{Phase: Idle}, own, Summary{}, now)
	must(t, err)
	_, done, err := pageRules.open(s, own, Summary{}, now)
	if !done || err != nil {
		t.Fatal(done, err)
	}
	_, _, err = pageRules.open(s, claim{coordinator: "g1", nonce: "o"}, Summary{}, now)
	want(t, err, ErrHeld)
	s.Serial, s.ChangedNS = maxSerial-1, 0
	if _, _, err = pageRules.open(s, claim{}, Summary{}, now); !errors.Is(err, ErrMalformed) {
		t.Fatal("the serial is used up, and another is given")
	}
}
