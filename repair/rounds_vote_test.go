package repair_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// group is that of the holders of a secret as its owner chose them.
func (s *kept) group(t *testing.T, at *member) round.Group {
	t.Helper()
	of, err := at.node.ParseRecord(s.signed)
	if err != nil {
		t.Fatal(err)
	}
	var keys []ed25519.PublicKey
	for _, h := range of.Holders {
		keys = append(keys, h.Key)
	}
	return round.GroupOf(s.k, keys)
}

// ballots are those that a guardian keeps.
func (m *member) ballots() *round.Ballots {
	return round.NewBallots(m.node.Queue(), m.node.Sealer(), round.New(m.fleet.registry, m.id, time.Now), time.Now)
}

// putToVote has the registry forget what it knows of a group, and begin anew with
// a session.
func (w *fleet) putToVote(group round.Group, session round.Session, bases ...[32]byte) *round.Round {
	w.t.Helper()
	rounds := round.New(w.registry, "elsewhere", time.Now)
	if state, err := rounds.Look(w.t.Context(), group); err != nil {
		w.t.Fatal(err)
	} else if state.Phase != round.Idle {
		w.say(group, []byte(`{"state":"idle"}`))
	}
	opened, err := rounds.Open(w.t.Context(), group, round.Summary{FromThreshold: 3, ToThreshold: 3, ToHolders: 5, Generations: 1, Bytes: 1})
	if err == nil {
		err = opened.Vote(w.t.Context(), session, bases)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return opened
}

// prepared are the records of what a guardian has prepared of a secret.
func (s *kept) prepared(t *testing.T, at *member) (all []*record.Record) {
	t.Helper()
	found, err := at.node.Prepared(t.Context(), s.slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range found {
		of, err := at.node.ParseDraft(held.Share.Chain)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, of)
	}
	return all
}

func (w *fleet) scrub() {
	w.t.Helper()
	for _, m := range w.all {
		m.StartScrub()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

// wantPrepared wants so much to be prepared at these guardians and at no others,
// and the shares of all to be as they were.
func (s *kept) wantPrepared(t *testing.T, w *fleet, when string, holders ...*member) {
	t.Helper()
	for _, m := range w.all {
		if there := len(s.prepared(t, m)) == 1; there != slices.Contains(holders, m) {
			t.Errorf("%s: %s has prepared a share: %v", when, m.id, there)
		}
		s.has(t, m)
	}
}

// What was prepared in a round that was aborted goes after seven days, but not
// while a vote in it may count.
func TestWhatWasPreparedGoes(t *testing.T) {
	inTuned(t, 5, plain, func(t *testing.T, w *tuned) {
		s := w.keep(1, "", 7, 3, w.all...)
		w.bend = func(_ *member, route string, answer []byte) []byte {
			if route == repair.RouteCertificates {
				return []byte(`{"done":false}`) // too few keep them
			}
			return answer
		}
		if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 0 || report.Failed != 1 {
			t.Errorf("%+v", report)
		}
		w.mu.Lock()
		w.bend = nil
		w.mu.Unlock()
		voter, group := w.all[4], s.group(t, w.all[4])
		of := s.prepared(t, voter)[0]
		w.putToVote(group, of.Seed, of.Base)
		if err := voter.ballots().Cast(t.Context(), group, of.Seed, [][32]byte{of.Base}); err != nil {
			t.Error(err)
		}
		w.say(group, []byte(`{"state":"idle"}`))
		w.restartAfter(7*24*time.Hour - 10*time.Minute)
		w.scrub()
		s.wantPrepared(t, w.fleet, "before seven days", w.all...)
		w.restartAfter(10 * time.Minute)
		w.scrub()
		s.wantPrepared(t, w.fleet, "after seven days", voter)
		if err := w.putToVote(group, of.Seed, of.Base).Abort(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		w.scrub()
		s.wantPrepared(t, w.fleet, "without a ballot")
	})
}

// One who hangs does not keep the objection of another from being heard, nor long.
func TestObjectionsBesideASilentHolder(t *testing.T) {
	inFleet(t, 8, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		silent, objector := w.all[5:7], w.all[7]
		var mu sync.Mutex
		var first, heard time.Time
		w.bend = func(by *member, route string, answer []byte) []byte {
			left := by == silent[0] || by == silent[1] || by == objector
			switch {
			case left && strings.HasPrefix(route, repair.RouteCheck):
				return []byte("{") // of no use to a coordinator
			case left && route == repair.RouteStanding:
				mu.Lock()
				if first.IsZero() {
					first = time.Now()
				}
				if by == objector && heard.IsZero() {
					heard = time.Now()
				}
				mu.Unlock()
				if by != objector {
					time.Sleep(6 * time.Second)
				}
			}
			return answer
		}
		report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g5"}})
		if report.Moved != 0 || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Error, check.ErrObjected.Error()) {
			t.Errorf("%+v", report)
		}
		if heard.IsZero() || heard.Sub(first) >= 5*time.Second {
			t.Errorf("it was heard %v after the first was asked", heard.Sub(first))
		}
		for _, m := range w.all {
			s.has(t, m)
		}
	})
}

// A coordinator shows a voter a chain that went past its vote long ago: in its
// first round another session made the successor of what the voter voted on.
func TestVoterIsShownALaterRound(t *testing.T) {
	inTuned(t, 9, plain, func(t *testing.T, w *tuned) {
		s := w.keep(1, "", 7, 3, w.all[:5]...)
		voter, group := w.all[4], s.group(t, w.all[4])
		base, err := voter.node.ParseRecord(s.signed)
		if err != nil {
			t.Fatal(err)
		}
		session := round.Session{2}
		voter.setDown(true)
		// So few stay that the second does not vouch for the first.
		for i, order := range []repair.RoundOrder{{Members: []string{"g4", "g6", "g7", "g8", "g9"}}, {}} {
			if report := w.move(w.all[3], order); report.Moved != 1 {
				t.Fatalf("round %d: %+v", i, report)
			}
		}
		for _, m := range w.all {
			m.forgetCertificates(t)
		}
		moved, err := s.at(t, w.all[5])
		if err != nil || moved.Epoch != 2 {
			t.Fatalf("epoch %d, %v", moved.Epoch, err)
		}
		last, err := voter.node.ParseRecord(moved.Chain)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := last.Made(base.Hash); !known {
			t.Fatal("the chain does not show its first round")
		}
		vote := w.putToVote(group, session, base.Hash)
		if err := voter.ballots().Cast(t.Context(), group, session, [][32]byte{base.Hash}); err != nil {
			t.Fatal(err)
		}
		voter.setDown(false)
		show := func() bool {
			t.Helper()
			answer, err := ask[repair.CertificatesAnswer](t, voter, w.all[5].public(), repair.RouteCertificates,
				repair.CertificatesRequest{Session: last.Seed, Chains: [][]byte{moved.Chain}})
			if err != nil {
				t.Fatal(err)
			}
			w.mend(s.slot, voter)
			return answer.Done
		}
		wantStays := func(when string, alarm bool) {
			t.Helper()
			if show() {
				t.Errorf("%s: it follows", when)
			}
			s.has(t, voter)
			if strings.Contains(voter.log.String(), "ALARM") != alarm {
				t.Errorf("%s: alarm, want %v", when, alarm)
			}
		}
		wantStays("its session may be committed", false)
		if err := vote.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStays("its session is committed", true)
		if err := w.putToVote(group, session, base.Hash).Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !show() {
			t.Error("its session was aborted, and it does not follow")
		}
		if _, err := s.at(t, voter); err == nil {
			t.Error("it has its old share")
		}
	})
}
