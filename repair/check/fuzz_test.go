package check

import (
	"encoding/json"
	"errors"
	"testing"
)

// FuzzServe gives one holder two hostile messages, after a session has come as
// far as the third argument says. Nothing but the right signatures of all makes
// it answer, and it refuses for reasons that are named.
func FuzzServe(f *testing.F) {
	g := newGuardians(f, 4, 2, 20)
	sample := g.byHand(f, g.xs)
	sample.receiveAll()
	seedBody := func(v any) []byte {
		body, err := json.Marshal(v)
		must(f, err)
		return body
	}
	const x = 2
	bodies := [][]byte{
		seedBody(OpenRequest{Batch: g.batch.refs(), Participants: g.xs}),
		seedBody(DealRequest{sample.key(x), sample.roster}),
		seedBody(ReceiveRequest{sample.key(x), sample.roster, sample.forX[x]}),
		seedBody(SealRequest{Key: sample.key(x), Acks: sample.acks}),
		seedBody(AnswerRequest{Key: sample.key(x), Signatures: sample.sealAll(sample.acks)}),
	}
	for n, body := range bodies {
		for done := range byte(5) {
			f.Add(byte(n), body, done)
		}
	}
	f.Add(byte(2), []byte(`{"key":"","roster":{"members":[{"x":0}],"dealers":"AAAA"},"sealed":[null]}`), byte(1))
	f.Add(byte(3), []byte(`{"acks":[{"x":1},{"x":1}]}`), byte(3))
	steps := []Step{StepOpen, StepDeal, StepReceive, StepSeal, StepAnswer}

	f.Fuzz(func(t *testing.T, n byte, body []byte, done byte) {
		h := g.byHand(t, g.xs)
		advance(h, done%5)
		step := steps[int(n)%len(steps)]
		answer, err := g.holders[x].Serve(t.Context(), g.coordinatorKey(), step, withKey(body, h.key(x)))
		switch {
		case err == nil && step == StepAnswer:
			t.Errorf("it answered %s with %s", body, answer)
		case err != nil && !isNamed(err):
			t.Errorf("%s: %v", step, err)
		}
		for _, holder := range g.holders {
			holder.drop(func(*session) bool { return true })
			empty(t, holder)
		}
	})
}

// advance takes a session so many steps further.
func advance(h *hand, steps byte) {
	if steps > 0 {
		h.dealAll()
	}
	if steps > 1 {
		h.acks = h.ackOf(h.roster.points()...)
	}
	if steps > 2 {
		h.sealAll(h.acks)
	}
}

// withKey names the session that there is, for else every message ends there.
func withKey(body, key []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return body
	}
	fields["key"], _ = json.Marshal(key)
	changed, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return changed
}

func isNamed(err error) bool {
	for _, named := range []error{ErrMalformed, ErrSession, ErrBusy, ErrBatch, ErrTooFew, ErrUnsound} {
		if errors.Is(err, named) {
			return true
		}
	}
	return false
}
