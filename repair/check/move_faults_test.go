package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

var errGone = errors.New("gone")

// stepsOf are those that a party of one side is asked.
func stepsOf(isNew bool) []Step {
	if isNew {
		return []Step{StepJoin, StepTake, StepSeal, StepAnswer, StepPrepare}
	}
	return []Step{StepOpen, StepDeal, StepReceive, StepShare, StepSeal, StepAnswer, StepAgree}
}

// One that goes silent at any step, before or after it did what it was asked, is
// left out.
func TestMoveWithoutTheSilent(t *testing.T) {
	for _, p := range []Party{{false, 2}, {true, 2}} {
		for _, at := range stepsOf(p.New) {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprint(p, " ", at, " ", after), func(t *testing.T) {
					f := newFleet(t, upTo(6), 3, 40).propose(3, upTo(6)...)
					gone := func(who Party, step Step) error {
						if who == p && step == at {
							return errGone
						}
						return nil
					}
					f.before = gone
					if after {
						f.before, f.tamper = nil, func(who Party, step Step, _, _ any) error { return gone(who, step) }
					}
					result, err := f.redistribute()
					must(t, err)
					f.sound(t, result)
					side, other := result.Verdict, result.New
					if p.New {
						side, other = other, side
					}
					if !slices.Equal(absentOf(side), []byte{2}) || !errors.Is(side.Absent[0].Err, errGone) || len(other.Absent) > 0 {
						t.Errorf("got %+v", result)
					}
				})
			}
		}
	}
}

// Below K+1 old holders or a quorum of new ones nothing is done, and after the
// vote has begun there is no certificate.
func TestMoveWithTooFew(t *testing.T) {
	for _, test := range []struct {
		isNew bool
		gone  []byte
		at    Step
	}{
		{false, []byte{3, 4}, StepOpen},
		{false, []byte{3, 4}, StepSeal},
		{false, []byte{3, 4}, StepAgree},
		{true, []byte{3, 4}, StepJoin},
		{true, []byte{3, 4}, StepTake},
		{true, []byte{3, 4}, StepPrepare},
	} {
		t.Run(fmt.Sprint(test.isNew, " ", test.at), func(t *testing.T) {
			f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
			f.before = func(p Party, step Step) error {
				if p.New == test.isNew && step == test.at && slices.Contains(test.gone, p.X) {
					return errGone
				}
				return nil
			}
			begun := 0
			result, err := Redistribute(t.Context(), f.params(), func([32]byte) error { begun++; return nil }, f.call)
			wants(t, err, ErrTooFew)
			voting := test.at == StepAgree || test.at == StepPrepare
			if result.Chains != nil || result.Certificates != nil || (begun == 1) != voting {
				t.Errorf("begun %d times: %+v", begun, result)
			}
			agreed := f.nodes[1].votes + f.nodes[2].votes
			if test.at == StepPrepare && agreed != 2 || !voting && agreed != 0 {
				t.Errorf("the first two voted %d times", agreed)
			}
		})
	}
}

func TestMoveBeginsOnceAndMayBeStopped(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	stopped := errors.New("another round is voted on")
	var session [32]byte
	result, err := Redistribute(t.Context(), f.params(), func(of [32]byte) error { session = of; return stopped }, f.call)
	wants(t, err, stopped)
	if session == ([32]byte{}) || result.Seed != session || f.relayed[StepPrepare]+f.relayed[StepAgree] != 0 {
		t.Errorf("session %x: %+v", session, result)
	}
}

// Who votes hears of the old holders that take no part. Nobody signs over an
// objection.
func TestMoveOverAnObjection(t *testing.T) {
	f := newFleet(t, upTo(6), 3, 40).propose(3, upTo(6)...)
	f.before = func(p Party, step Step) error {
		if p == (Party{X: 5}) && step == StepOpen {
			return errGone
		}
		return nil
	}
	for _, n := range f.nodes {
		n.vote = ErrObjected
	}
	result, err := f.redistribute()
	wants(t, err, ErrTooFew)
	if !errors.Is(result.New.Absent[0].Err, ErrObjected) || result.Chains != nil {
		t.Errorf("got %+v", result)
	}
	for x, n := range f.nodes {
		if n.prepared != nil || len(n.asked) != 1 || n.asked[0].X != 5 {
			t.Errorf("node %d: prepared %d, asked about %+v", x, len(n.prepared), n.asked)
		}
		if n.holder.reserved() != 0 {
			t.Errorf("node %d counts %d bytes", x, n.holder.reserved())
		}
	}
}

// A new holder whose storage fails does not vote, and keeps nothing in memory.
func TestMoveWithoutStorage(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	f.nodes[3].store = errors.New("disk full")
	var share []byte
	f.before = func(p Party, step Step) error {
		if p == (Party{true, 3}) && step == StepPrepare {
			for _, s := range f.nodes[3].holder.sessions {
				if s.isNew {
					share = s.sum
				}
			}
		}
		return nil
	}
	result, err := f.redistribute()
	must(t, err)
	if !slices.Equal(result.New.Sound, []byte{1, 2, 4, 5}) || !bytes.Equal(share, make([]byte, 40)) {
		t.Errorf("%x is left: %+v", share, result)
	}
	f.idle(t)
}

// A coordinator dies before or in the midst of any step. Another one succeeds at
// once, and nothing is left of the first when its time is over.
func TestMoveCoordinatorDies(t *testing.T) {
	for _, at := range Steps() {
		for _, call := range []int{0, 3} {
			t.Run(fmt.Sprint(at, " ", call), func(t *testing.T) {
				f := newFleet(t, upTo(5), 3, 40, 100).propose(3, upTo(6)[1:]...)
				ctx, die := context.WithCancel(t.Context())
				calls := 0
				f.before = func(_ Party, step Step) error {
					if step == at {
						if calls++; calls > call {
							die()
						}
					}
					return nil
				}
				p := f.params()
				p.Parallel = 1
				_, err := Redistribute(ctx, p, func([32]byte) error { return nil }, f.call)
				if calls > call {
					wants(t, err, context.Canceled)
				}
				f.before = nil
				left := 0
				for _, n := range f.nodes {
					left += len(n.holder.sessions)
				}
				result, err := f.redistribute()
				must(t, err)
				f.sound(t, result)
				f.mu.Lock()
				f.at = f.at.Add(MoveLifetime)
				f.mu.Unlock()
				for _, n := range f.nodes {
					n.holder.Sweep()
				}
				f.idle(t)
				if left == 0 && calls > call && (at != StepOpen || call > 0) {
					t.Error("the first one left nothing, and so the test shows nothing")
				}
			})
		}
	}
}

// Everything secret in a session is wiped: after the answer all but the new share,
// and that with the vote.
func TestMoveWipes(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	h := f.byHand(upTo(5), upTo(5))
	must(t, h.deal(nil))
	old, next := h.session(Party{X: 1}), h.session(Party{true, 2})
	secrets := slices.Concat(old.shares, old.masks, next.taken)
	key := &old.coefficients
	if *key == [32]byte{} || len(secrets) != 1+3+3 {
		t.Fatalf("%d secrets", len(secrets))
	}
	answers, err := h.answered()
	must(t, err)
	for n, secret := range secrets {
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Errorf("secret %d is left", n)
		}
	}
	if *key != [32]byte{} || old.private != nil || next.private != nil || old.shares != nil || next.taken != nil {
		t.Error("keys are left")
	}
	sum := next.sum
	must(t, h.voteAll(answers))
	given := f.nodes[2].given[0].Share
	if !bytes.Equal(sum, make([]byte, 40)) || next.sum != nil || next.chains != nil || !bytes.Equal(given, make([]byte, 41)) {
		t.Error("the new share is left")
	}
	if share := f.nodes[2].prepared[0].Share; bytes.Equal(share[1:], make([]byte, 40)) {
		t.Error("the stored share is wiped too")
	}
	f.idle(t)
}

// One that expires in the midst leaves nothing either.
func TestMoveExpires(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	h := f.byHand(upTo(5), upTo(5))
	must(t, h.deal(nil))
	signatures, err := h.sealAll(h.acks)
	must(t, err)
	answers, err := h.answerAll(signatures)
	must(t, err)
	sum := h.session(Party{true, 2}).sum
	f.at = f.at.Add(MoveLifetime - 1)
	_, err = h.vote(Party{true, 1}, answers)
	must(t, err)
	f.at = f.at.Add(1)
	_, err = h.vote(Party{true, 2}, answers)
	wants(t, err, ErrSession)
	if !bytes.Equal(sum, make([]byte, 40)) || f.nodes[2].votes != 0 {
		t.Error("it was kept, or asked about")
	}
}

// Vote and Store may take their time: nothing waits for the session.
func TestMoveVotesWithoutALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(nil))
		answers, err := h.answered()
		must(t, err)
		goOn := make(chan struct{})
		f.nodes[2].holder.cfg.Vote = func(context.Context, [32]byte, []*record.Record, []manifest.Holder) error {
			<-goOn
			return nil
		}
		done := make(chan error)
		go func() {
			_, err := h.vote(Party{true, 2}, answers)
			done <- err
		}()
		synctest.Wait()
		f.at = f.at.Add(2 * MoveLifetime)
		f.nodes[2].holder.Sweep()
		_, err = h.vote(Party{true, 2}, answers)
		wants(t, err, ErrSession)
		close(goOn)
		must(t, <-done)
	})
}

func TestMoveRefusesOpening(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40, 50).propose(3, upTo(6)...)
	stranger := nodeKey(t, 200).PublicKey()
	no := errors.New("not permitted")
	for name, test := range map[string]struct {
		change func(q *JoinRequest)
		want   error
	}{
		"no chains":       {func(q *JoinRequest) { q.Chains = nil }, ErrMalformed},
		"many chains":     {func(q *JoinRequest) { q.Chains = make([][]byte, MaxRecords+1) }, ErrMalformed},
		"huge chains":     {func(q *JoinRequest) { q.Chains = [][]byte{make([]byte, MaxChains+1)} }, ErrMalformed},
		"no chain":        {func(q *JoinRequest) { q.Chains = [][]byte{[]byte("chain")} }, manifest.ErrInvalid},
		"a chain twice":   {func(q *JoinRequest) { q.Chains = [][]byte{q.Chains[0], q.Chains[0]} }, ErrBatch},
		"no proposal":     {func(q *JoinRequest) { q.Proposal = ProposalMessage{} }, record.ErrProposal},
		"a K' too low":    {func(q *JoinRequest) { q.Proposal.Threshold = 1 }, record.ErrProposal},
		"a K' too high":   {func(q *JoinRequest) { q.Proposal.Threshold = 300 }, record.ErrProposal},
		"too few holders": {func(q *JoinRequest) { q.Proposal.Holders = q.Proposal.Holders[3:] }, record.ErrProposal},
		"without the one": {func(q *JoinRequest) { q.Proposal.Holders = q.Proposal.Holders[:5] }, ErrMalformed},
		"a short key":     {func(q *JoinRequest) { q.Proposal.Holders[1].Key = q.Proposal.Holders[1].Key[1:] }, record.ErrProposal},
		"point 0":         {func(q *JoinRequest) { q.Proposal.Holders[0].X = 0 }, record.ErrProposal},
		"a key for two":   {func(q *JoinRequest) { q.Proposal.Holders[0].Key = q.Proposal.Holders[1].Key }, record.ErrProposal},
	} {
		q := JoinRequest{Chains: slices.Clone(f.chains), Proposal: *messageOf(f.proposal)}
		test.change(&q)
		if _, err := f.nodes[6].holder.Join(t.Context(), f.coordinatorKey(), q); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	q := JoinRequest{Chains: f.chains, Proposal: *messageOf(f.proposal)}
	_, err := f.nodes[6].holder.Join(t.Context(), stranger, q)
	wants(t, err, ErrSession)
	f.nodes[6].permit = no
	_, err = f.nodes[6].holder.Join(t.Context(), f.coordinatorKey(), q)
	wants(t, err, no)
	audits := NewHolder(f.nodes[6].key, Config{Source: f.nodes[6].source}, f.now)
	_, err = audits.Join(t.Context(), f.coordinatorKey(), q)
	wants(t, err, ErrSession)
	f.nodes[2].permit = no
	open := OpenRequest{Batch: f.batch.refs(), Participants: upTo(5), Proposal: messageOf(f.proposal)}
	_, err = f.nodes[2].holder.Open(t.Context(), f.coordinatorKey(), open)
	wants(t, err, no)
	open.Proposal.Threshold = 1
	_, err = f.nodes[3].holder.Open(t.Context(), f.coordinatorKey(), open)
	wants(t, err, record.ErrProposal)
	f.idle(t)
	empty(t, audits)
}

// No step of one role, kind of session or time is done in another.
func TestMoveStepsInOrder(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	h := f.byHand(upTo(5), upTo(5))
	try := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrSession) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	old, next := Party{X: 1}, Party{true, 2}
	share := func(i, j byte) error { _, err := h.share(i, j); return err }
	take := func(p Party, sealed []byte) error {
		_, err := h.nodes[p.X].holder.Take(h.coordinatorKey(), TakeRequest{h.key(p), &h.roster, 1, sealed})
		return err
	}
	vote := func(p Party) error { _, err := h.vote(p, sides[AnswerAnswer]{}); return err }
	try("a share before masks", share(1, 2))
	try("a vote before all", vote(old))
	must(t, h.dealMasks())
	try("a share of no dealer", share(5, 2))
	try("a share for nobody", share(1, 9))
	must(t, h.shareAll(nil))
	again, err := h.share(1, 2)
	must(t, err)
	if !bytes.Equal(again, h.sealed[2][0]) {
		t.Error("a dealer asked again deals something else")
	}
	try("taken by an old holder", take(old, again))
	must(t, take(next, again))
	try("taken twice", take(next, again))
	_, err = h.nodes[2].holder.Take(h.coordinatorKey(), TakeRequest{h.key(next), &h.roster, 4, again})
	try("taken of no dealer", err)
	_, err = h.nodes[2].holder.Take(h.coordinatorKey(), TakeRequest{h.key(next), &h.roster, 2, again[1:]})
	wants(t, err, ErrMalformed)
	_, err = h.nodes[2].holder.Receive(h.coordinatorKey(), ReceiveRequest{h.key(next), h.roster, slices.Repeat([][]byte{make([]byte, sealedSize)}, 3)})
	try("masks received by a new holder", err)
	_, err = h.nodes[2].holder.Deal(h.coordinatorKey(), DealRequest{h.key(next), h.roster})
	try("masks dealt by a new holder", err)
	_, err = h.seal(next, h.acks)
	try("sealing before all is taken", err)
	for n, i := range []byte{2, 3} {
		_, err = h.nodes[2].holder.Take(h.coordinatorKey(), TakeRequest{h.key(next), &h.roster, i, h.sealed[2][n+1]})
		must(t, err)
	}
	try("taken after all", take(next, again))
	try("a vote without answers", vote(next))
	other := h.roster
	other.New = other.New[:4]
	_, err = h.nodes[2].holder.Take(h.coordinatorKey(), TakeRequest{h.key(next), &other, 1, again})
	try("taken with other new ones", err)
	_, err = h.nodes[3].holder.Take(h.coordinatorKey(), TakeRequest{h.key(Party{true, 3}), nil, 1, again})
	try("taken among nobody knows whom", err)
	_, err = h.nodes[1].holder.Share(f.nodes[3].key.PublicKey(), ShareRequest{h.key(old), 2})
	try("another caller", err)
}

// The same once all have answered, and for a dealer that has no masks yet.
func TestMoveStepsOfTheOtherRole(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	early := f.byHand(upTo(5), upTo(5))
	_, err := early.nodes[1].holder.Deal(early.coordinatorKey(), DealRequest{early.key(Party{X: 1}), early.roster})
	must(t, err)
	_, err = early.share(1, 2)
	wants(t, err, ErrSession)
	h := f.byHand(upTo(5), upTo(5))
	must(t, h.deal(nil))
	signatures, err := h.sealAll(h.acks)
	must(t, err)
	_, err = h.share(1, 2)
	wants(t, err, ErrSession)
	answers, err := h.answerAll(signatures)
	must(t, err)
	_, err = h.nodes[2].holder.Agree(t.Context(), h.coordinatorKey(), VoteRequest{h.key(Party{true, 2}), answers.old, answers.new})
	wants(t, err, ErrSession)
	_, err = h.nodes[2].holder.Prepare(t.Context(), h.coordinatorKey(), VoteRequest{h.key(Party{X: 2}), answers.old, answers.new})
	wants(t, err, ErrSession)
	if f.nodes[2].votes != 0 || f.nodes[2].prepared != nil {
		t.Error("it was asked to vote")
	}
	must(t, h.voteAll(answers))
}

// Voters take the answers of all, in their places, and no others.
func TestMoveAnswersAreThoseOfAll(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	another := f.byHand(upTo(5), upTo(5))
	must(t, another.deal(nil))
	others, err := another.answered()
	must(t, err)
	h := f.byHand(upTo(5), upTo(5))
	must(t, h.deal(nil))
	answers, err := h.answered()
	must(t, err)
	for name, change := range map[string]func(a *sides[AnswerAnswer]){
		"none":               func(a *sides[AnswerAnswer]) { *a = sides[AnswerAnswer]{} },
		"without one":        func(a *sides[AnswerAnswer]) { a.new = a.new[1:] },
		"one more":           func(a *sides[AnswerAnswer]) { a.old = append(a.old, a.old[0]) },
		"one for another":    func(a *sides[AnswerAnswer]) { a.new[3] = a.new[2] },
		"sides exchanged":    func(a *sides[AnswerAnswer]) { a.old, a.new = a.new, a.old },
		"of another session": func(a *sides[AnswerAnswer]) { a.old[2] = others.old[2] },
		"unsigned":           func(a *sides[AnswerAnswer]) { a.old[4].Signature = nil },
		"without columns":    func(a *sides[AnswerAnswer]) { a.new[0].Columns = nil },
	} {
		changed := sides[AnswerAnswer]{slices.Clone(answers.old), slices.Clone(answers.new)}
		change(&changed)
		for _, p := range []Party{{false, 4}, {true, 4}} {
			if _, err := h.vote(p, changed); !errors.Is(err, ErrUnsound) {
				t.Errorf("%s, %s: got %v", name, p, err)
			}
		}
	}
	must(t, h.voteAll(answers)) // what was refused has ended nothing
}

// A voter sees for itself that one is off, though it could be corrected.
func TestMoveAnswersOfALiar(t *testing.T) {
	for _, liar := range []Party{{false, 7}, {true, 7}} {
		f := newFleet(t, upTo(7), 3, 40).propose(3, upTo(7)...)
		h := f.byHand(upTo(7), upTo(7))
		must(t, h.deal(nil))
		answers, err := h.answered()
		must(t, err)
		a := &answers.old[6]
		if liar.New {
			a = &answers.new[6]
		}
		a.Columns[1][0] ^= 1
		f.sign(&session{id: h.id}, h.seed, liar, a)
		for _, p := range []Party{{false, 1}, {true, 1}} {
			_, err := h.vote(p, answers)
			wants(t, err, ErrUnsound)
		}
	}
}

// What is dealt is for one holder, of one dealer, in one session.
func TestMoveDealingsAreBound(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	before := f.byHand(upTo(5), upTo(5))
	must(t, before.dealMasks())
	must(t, before.shareAll(nil))
	for name, change := range map[string]func(h *moveHand){
		"another holder's":  func(h *moveHand) { h.sealed[4][1] = h.sealed[5][1] },
		"another dealer's":  func(h *moveHand) { h.sealed[4][1] = h.sealed[4][0] },
		"another session's": func(h *moveHand) { h.sealed[4][1] = before.sealed[4][1] },
		"a changed one":     func(h *moveHand) { h.sealed[4][1][7] ^= 1 },
	} {
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.dealMasks())
		must(t, h.shareAll(nil))
		change(h)
		var answer ReceiveAnswer
		for n, i := range h.roster.Dealers {
			var err error
			answer, err = h.nodes[4].holder.Take(h.coordinatorKey(), TakeRequest{h.key(Party{true, 4}), &h.roster, i, h.sealed[4][n]})
			must(t, err)
		}
		if !slices.Equal(answer.Unopened, []byte{2}) || answer.Random != nil || h.session(Party{true, 4}) != nil {
			t.Errorf("%s: got %+v", name, answer)
		}
		for _, n := range f.nodes {
			n.holder.drop(func(s *session) bool {
				return h.roster.keyFor(s.party()) != nil && string(h.roster.keyFor(s.party())) == s.name
			})
		}
	}
}

// Sessions are few, and apart from those of audits.
func TestMovesAreBounded(t *testing.T) {
	olds := upTo(MaxMoves/MaxMovesOfOne + 1)
	f := newFleet(t, olds, 2, 40).propose(3, olds...)
	h := f.nodes[6].holder
	q := JoinRequest{Chains: f.chains, Proposal: *messageOf(f.proposal)}
	join := func(caller byte) error {
		_, err := h.Join(t.Context(), f.nodes[caller].key.PublicKey(), q)
		return err
	}
	for _, caller := range olds[1:] {
		for range MaxMovesOfOne {
			must(t, join(caller))
		}
	}
	wants(t, join(1), ErrBusy) // MaxMoves
	_, err := h.Open(t.Context(), f.coordinatorKey(), OpenRequest{Batch: f.batch.refs(), Participants: olds})
	must(t, err) // an audit
	f.at = f.at.Add(Lifetime)
	wants(t, join(1), ErrBusy) // the audit is over, and they are not
	must(t, join(2))           // one's own gives way
	if n := len(h.sessions); n != MaxMoves {
		t.Errorf("%d sessions", n)
	}
	f.at = f.at.Add(MoveLifetime - Lifetime)
	must(t, join(1))
}

// A caller whose redistributions fail one after the other is not kept out by what
// they leave, and of two at once neither is lost.
func TestMovesGiveWay(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	var hands []*moveHand
	for range 5 {
		h := f.byHand(upTo(5), upTo(5))
		must(t, h.deal(nil))
		hands = append(hands, h)
	}
	for n, h := range hands {
		_, err := h.answered()
		if n >= len(hands)-MaxMovesOfOne {
			must(t, err)
		} else {
			wants(t, err, ErrSession)
		}
	}
	for _, node := range f.nodes {
		if h := node.holder; len(h.sessions) != 2*MaxMovesOfOne || h.reserved() != MaxMovesOfOne*(40+len(f.chains[0])) {
			t.Errorf("%d sessions of %d bytes", len(h.sessions), h.reserved())
		}
	}
}

// The bytes of all sessions are bounded; but one that is alone may be larger.
func TestMoveBytesAreBounded(t *testing.T) {
	const large = MaxMoveBytes + 1
	h := NewHolder(nodeKey(t, 1), Config{}, time.Now)
	reserve := func(caller byte, isNew bool, size int) error {
		s := &session{caller: nodeKey(t, caller).PublicKey(), places: &movePlaces, isNew: isNew}
		must(t, h.enter(s))
		err := h.reserve(s, size)
		if err != nil {
			h.release(s)
		}
		return err
	}
	must(t, reserve(2, true, large))
	must(t, reserve(2, false, large))
	wants(t, reserve(3, true, 1), ErrBusy)
	if h.reserved() != 2*large {
		t.Errorf("%d bytes are counted", h.reserved())
	}
	for s := range h.opening {
		h.release(s)
	}
	must(t, reserve(2, true, MaxMoveBytesOfOne-1))
	wants(t, reserve(2, true, 2), ErrBusy)
	must(t, reserve(3, true, MaxMoveBytes-MaxMoveBytesOfOne))
	wants(t, reserve(3, true, 2), ErrBusy)
}

func TestMovable(t *testing.T) {
	f := newFleet(t, upTo(4), 3, 40).propose(3, upTo(4)...)
	of := f.batch.records[0]
	sized := func(size int) *record.Record { r := *of; r.ShareSize = size; return &r }
	other := *of
	other.Threshold++
	chains := slices.Repeat([][]byte{make([]byte, 1<<10)}, MaxRecords+1)
	large := slices.Repeat([][]byte{make([]byte, MaxChains/8)}, MaxRecords+1)
	const mib = 1 << 20
	for name, test := range map[string]struct {
		records []*record.Record
		chains  [][]byte
		want    int
	}{
		"none":                 {nil, nil, 0},
		"any one":              {[]*record.Record{sized(MaxDealt)}, large, 1},
		"all":                  {slices.Repeat([]*record.Record{sized(10)}, 5), chains, 5},
		"as many as can be":    {slices.Repeat([]*record.Record{sized(10)}, MaxRecords+1), chains, MaxRecords},
		"as large as can be":   {slices.Repeat([]*record.Record{sized(mib / 8)}, 20), chains, 8},
		"chains that large":    {slices.Repeat([]*record.Record{sized(10)}, 20), large, 7}, // and what they grow by
		"others among them":    {[]*record.Record{of, of, &other, of}, chains, 2},
		"a large one at first": {[]*record.Record{sized(9 * mib), of}, chains, 1},
	} {
		if got := Movable(test.records, test.chains, f.proposal); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
	wide := record.Proposal{Threshold: 3, Holders: make([]record.Target, 64)}
	if got := Movable(slices.Repeat([]*record.Record{sized(mib / 2)}, 20), chains, wide); got != 1 {
		t.Errorf("to 64 holders: got %d", got)
	}
	_, err := pageRules.moving(&Batch{records: []*record.Record{sized(mib / 2), sized(mib/2 + 1)}}, f.proposal)
	wants(t, err, ErrBatch)
	_, err = pageRules.moving(&Batch{records: []*record.Record{sized(mib / 2), sized(mib / 2)}}, f.proposal)
	must(t, err)
}

func TestRedistributeRefuses(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(5)...)
	for name, test := range map[string]struct {
		change func(p *Params)
		want   error
	}{
		"no proposal":     {func(p *Params) { p.Proposal = nil }, ErrBatch},
		"no chains":       {func(p *Params) { p.Chains = nil }, ErrBatch},
		"too few":         {func(p *Params) { p.Participants = upTo(3) }, ErrTooFew},
		"what may not be": {func(p *Params) { p.Proposal = &record.Proposal{Threshold: 3} }, record.ErrProposal},
	} {
		p := f.params()
		test.change(&p)
		_, err := Redistribute(t.Context(), p, nil, func(context.Context, Party, Step, any, any) error { return errGone })
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What one party answers wrongly makes nobody else fail.
func TestMoveNonsenseIsNotPassedOn(t *testing.T) {
	for name, test := range map[string]struct {
		isNew bool
		spoil func(answer any)
	}{
		"no key":            {true, func(a any) { setOpen(a, func(o *OpenAnswer) { o.Key = nil }) }},
		"an old one's key":  {true, func(a any) { setOpen(a, func(o *OpenAnswer) { o.Signature[0] ^= 1 }) }},
		"lacking":           {true, func(a any) { setOpen(a, func(o *OpenAnswer) { o.Lacking = []int{0} }) }},
		"a share too short": {false, func(a any) { set(a, func(s *ShareAnswer) { s.Sealed = s.Sealed[1:] }) }},
		"a share too long":  {false, func(a any) { set(a, func(s *ShareAnswer) { s.Sealed = append(s.Sealed, 0) }) }},
		"no ack": {true, func(a any) {
			setAck(a, func(r *ReceiveAnswer) { r.Random = nil })
		}},
		"an ack of something": {true, func(a any) {
			setAck(a, func(r *ReceiveAnswer) {
				if r.Received != nil {
					r.Received[0] ^= 1
				}
			})
		}},
		"unopened no dealer":  {true, func(a any) { setAck(a, func(r *ReceiveAnswer) { r.Unopened = []byte{99} }) }},
		"a seed not signed":   {true, func(a any) { setSeal(a, func(s *SealAnswer) { s.Signature[0] ^= 1 }) }},
		"shares of a new one": {true, func(a any) { setAnswer(a, func(s *AnswerAnswer) { s.Shares = make([]byte, rows) }) }},
		"columns too few":     {true, func(a any) { setAnswer(a, func(s *AnswerAnswer) { s.Columns = s.Columns[1:] }) }},
		"an unsigned answer":  {false, func(a any) { setAnswer(a, func(s *AnswerAnswer) { s.Signature = nil }) }},
		"votes too few":       {false, func(a any) { set(a, func(v *VoteAnswer) { v.Votes = v.Votes[1:] }) }},
		"a vote unsigned":     {false, func(a any) { set(a, func(v *VoteAnswer) { v.Votes[1].Signature = nil }) }},
		"a hash in agreeing":  {false, func(a any) { set(a, func(v *VoteAnswer) { v.Votes[1].Share = make([]byte, 32) }) }},
		"no hash":             {true, func(a any) { set(a, func(v *VoteAnswer) { v.Votes[1].Share = nil }) }},
		"another hash":        {true, func(a any) { set(a, func(v *VoteAnswer) { v.Votes[1].Share[0] ^= 1 }) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, upTo(6), 3, 40, 10).propose(3, upTo(6)...)
			f.tamper = func(p Party, _ Step, _, answer any) error {
				if p == (Party{test.isNew, 2}) {
					test.spoil(answer)
				}
				return nil
			}
			result, err := f.redistribute()
			must(t, err)
			f.sound(t, result)
			side, other := result.Verdict, result.New
			if test.isNew {
				side, other = other, side
			}
			if !slices.Equal(absentOf(side), []byte{2}) || len(other.Absent) > 0 || len(result.Named)+len(result.New.Named) > 0 {
				t.Errorf("got %+v", result)
			}
		})
	}
}

// The largest requests there can be are within their bounds.
func TestLargestMoveRequestsFit(t *testing.T) {
	const most = 255
	proposal := ProposalMessage{Threshold: most - 1}
	var roster Roster
	var acks []Ack
	var signatures []Signature
	for x := range byte(most) {
		proposal.Holders = append(proposal.Holders, TargetMessage{x + 1, string(make([]byte, 63)), make([]byte, 32)})
		roster.Members = append(roster.Members, Member{x + 1, make([]byte, 32), make([]byte, 64)})
		acks = append(acks, Ack{x + 1, make([]byte, 32), make([]byte, 32)})
		signatures = append(signatures, Signature{x + 1, make([]byte, 64)})
	}
	roster.Dealers, roster.New = make([]byte, most), roster.Members
	names := slices.Repeat([]record.Ref{{Identity: string(make([]byte, 32)), Name: string(make([]byte, 32)), Version: 1 << 63, Epoch: 1 << 63, Hash: make([]byte, 32)}}, MaxRecords)
	answer := AnswerAnswer{make([]byte, rows), slices.Repeat([][]byte{make([]byte, rows)}, most), make([]byte, 64)}
	answers := slices.Repeat([]AnswerAnswer{answer}, most)
	key := make([]byte, 32)
	for step, q := range map[Step]any{
		StepOpen:    OpenRequest{names, roster.Dealers, key, &proposal},
		StepJoin:    JoinRequest{slices.Repeat([][]byte{make([]byte, MaxChains/MaxRecords)}, MaxRecords), proposal, key},
		StepDeal:    DealRequest{key, roster},
		StepReceive: ReceiveRequest{key, roster, slices.Repeat([][]byte{make([]byte, sealedSize)}, most)},
		StepShare:   ShareRequest{key, most},
		StepTake:    TakeRequest{key, &roster, most, make([]byte, MaxMoved+rows+tagSize)},
		StepSeal:    SealRequest{key, acks, acks},
		StepAnswer:  AnswerRequest{key, signatures, signatures},
		StepPrepare: VoteRequest{key, answers, answers},
		StepAgree:   VoteRequest{key, answers, answers},
	} {
		body, err := json.Marshal(q)
		must(t, err)
		if len(body) > step.MaxRequest() {
			t.Errorf("%s has %d bytes, of at most %d", step, len(body), step.MaxRequest())
		}
	}
}
