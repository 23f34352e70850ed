package check

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// FuzzServeMove gives a node that is old and new holder a hostile message in one of
// its roles, after a session has come as far as the last argument says. Nothing
// but the right answers of all makes it vote, and it refuses for reasons that are
// named.
func FuzzServeMove(f *testing.F) {
	fleet := newFleet(f, upTo(4), 2, 20).propose(2, upTo(4)...)
	sample := fleet.byHand(upTo(4), upTo(4))
	must(f, sample.deal(nil))
	signatures, err := sample.sealAll(sample.acks)
	must(f, err)
	answers, err := sample.answerAll(signatures)
	must(f, err)
	key := sample.key(Party{X: 2})
	for n, q := range []any{
		OpenRequest{fleet.batch.refs(), upTo(4), nil, messageOf(fleet.proposal)},
		JoinRequest{fleet.chains, *messageOf(fleet.proposal), nil},
		DealRequest{key, sample.roster},
		ReceiveRequest{key, sample.roster, [][]byte{make([]byte, sealedSize), make([]byte, sealedSize)}},
		ShareRequest{key, 3},
		TakeRequest{key, &sample.roster, 1, sample.sealed[2][0]},
		SealRequest{key, sample.acks.old, sample.acks.new},
		AnswerRequest{key, signatures.old, signatures.new},
		VoteRequest{key, answers.old, answers.new},
		VoteRequest{key, answers.old, answers.new},
	} {
		body, err := json.Marshal(q)
		must(f, err)
		for done := range byte(5) {
			f.Add(byte(n), body, done, n%2 == 0)
		}
	}
	f.Add(byte(5), []byte(`{"roster":{"new":[{"x":0}]},"dealer":1,"sealed":""}`), byte(1), true)
	steps := Steps()

	f.Fuzz(func(t *testing.T, n byte, body []byte, done byte, isNew bool) {
		fleet.t = t
		h := fleet.byHand(upTo(4), upTo(4))
		advanceMove(t, h, done%5)
		step, target := steps[int(n)%len(steps)], fleet.nodes[2]
		answer, err := target.holder.Serve(t.Context(), fleet.coordinatorKey(), step, withKey(body, h.key(Party{isNew, 2})))
		voting := step == StepPrepare || step == StepAgree
		switch {
		case err == nil && (voting || step == StepAnswer):
			t.Errorf("it answered %s with %s", body, answer)
		case err != nil && !isNamed(err) && !isOfRecord(err):
			t.Errorf("%s: %v", step, err)
		}
		if target.votes > 0 || target.prepared != nil {
			t.Error("it was asked to vote")
		}
		for _, node := range fleet.nodes {
			node.holder.drop(func(*session) bool { return true })
			empty(t, node.holder)
		}
	})
}

// advanceMove takes a session so many steps further.
func advanceMove(t *testing.T, h *moveHand, steps byte) {
	t.Helper()
	if steps > 0 {
		must(t, h.dealMasks())
	}
	if steps > 1 {
		must(t, h.shareAll(nil))
		for _, j := range pointsOf(h.roster.New) {
			must(t, h.take(j))
		}
		h.seed = seedOf(h.id, h.acks.old, h.acks.new)
	}
	if steps > 2 {
		signatures, err := h.sealAll(h.acks)
		must(t, err)
		if steps > 3 {
			_, err = h.answerAll(signatures)
			must(t, err)
		}
	}
}

func isOfRecord(err error) bool {
	for _, named := range []error{record.ErrProposal, record.ErrInvalid, record.ErrCertificate, manifest.ErrInvalid, manifest.ErrSignature} {
		if errors.Is(err, named) {
			return true
		}
	}
	return false
}
