package repair_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// Lost and damaged shares come back byte for byte, at their version, named
// secrets too, and the queue is empty only then.
func TestSharesHeal(t *testing.T) {
	for _, name := range []string{"", "monday"} {
		t.Run("name "+name, func(t *testing.T) {
			inFleet(t, 5, func(t *testing.T, w *fleet) {
				s := w.keep(1, name, 7, 3, w.all...)
				s.lose(t, w.all[1])
				s.damage(t, w.all[3], "share.bin")
				w.mend(s.slot, w.all[1], w.all[3])
				for _, m := range w.all {
					s.has(t, m)
					if status := statusOf(t, m); status.Queued != 0 {
						t.Errorf("%s has %d queued", m.id, status.Queued)
					}
				}
				wantReport(t, w.all[1], repair.Health{Good: 3, Corrupt: 1, Missing: 1, K: 3, N: 5, Version: 7, Recoverable: true})
				w.noShareOverheard(s)
			})
		})
	}
}

// wantReport wants the last repair of a guardian to have found what it should,
// and one good share more behind it.
func wantReport(t *testing.T, m *member, before repair.Health) {
	t.Helper()
	finished := statusOf(t, m).Finished
	if len(finished) == 0 {
		t.Fatalf("%s has finished nothing", m.id)
	}
	for _, f := range finished {
		if f.Outcome != repair.OutcomeRepaired {
			continue
		}
		got := f.Before
		if len(got.Holders) != got.N || f.After.Good != got.Good+1 || f.Bytes == 0 || got.FailureDomains != got.Good {
			t.Errorf("%s reports %+v", m.id, f)
		}
		got.Holders, got.FailureDomains = nil, 0
		if got.Good+got.Corrupt+got.Missing != got.N || got.K != before.K || got.Version != before.Version || !got.Recoverable || got.Healthy {
			t.Errorf("%s found %+v, want %+v", m.id, got, before)
		}
		return
	}
	t.Errorf("%s has repaired nothing: %+v", m.id, finished)
}

// noShareOverheard wants no message to have 16 bytes in a row of a share but to
// whom it belongs.
func (w *fleet) noShareOverheard(s *kept) {
	w.t.Helper()
	parts := 0
	for _, m := range w.said {
		if m.route == repair.RouteContribute {
			parts++
		}
		for owner, share := range s.shares {
			if owner != m.to && holdsPart(m.body, share) {
				w.t.Errorf("a message of %s to %s has a part of the share of %s", m.route, m.to.id, owner.id)
			}
		}
	}
	if parts == 0 {
		w.t.Error("nothing was overheard")
	}
	var planted []byte
	for _, share := range s.shares {
		planted, _ = json.Marshal(map[string][]byte{"masked": share[3:]})
		if !holdsPart(planted, share) {
			w.t.Error("the search does not find a share that is there")
		}
	}
}

func holdsPart(body, share []byte) bool {
	for _, word := range strings.Split(string(body), `"`) {
		data, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			continue
		}
		for i := 0; i+16 <= len(share); i++ {
			if bytes.Contains(data, share[i:i+16]) {
				return true
			}
		}
	}
	return false
}

// A guardian that missed a push gets its share of it; one that knows a later
// tombstone keeps that.
func TestStaleSharesHeal(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		old := w.keep(1, "", 1, 3, w.all...)
		now := w.split(1, "", 2, 3, w.all...)
		for _, m := range w.all[:4] {
			now.push(t, m)
		}
		w.mend(old.slot, w.all[4])
		now.has(t, w.all[4])

		if err := w.all[0].node.Delete(t.Context(), now.slot, 2, guardian.Caller{Proof: 2}); err != nil {
			t.Fatal(err)
		}
		w.mend(now.slot, w.all[0])
		if info, err := w.all[0].node.Inspect(t.Context(), now.slot); err != nil || info.State != guardian.StateDeleted {
			t.Errorf("the deleted share is %v, %v", info.State, err)
		}
		if status := statusOf(t, w.all[0]); status.Queued != 0 {
			t.Errorf("%d are queued: %+v", status.Queued, status.Items)
		}
	})
}

// What too few have is told, stays queued, and heals when they are back.
func TestTooFewHolders(t *testing.T) {
	inFleet(t, 4, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all...)
		s.lose(t, w.all[0])
		w.set(func() { w.all[3].down = true })
		w.mend(s.slot, w.all[0])
		status := statusOf(t, w.all[0])
		if status.Queued != 1 || status.Items[0].Attempts == 0 || !strings.Contains(status.Items[0].LastError, "2 of 3 needed") {
			t.Fatalf("the queue is %+v", status)
		}
		w.set(func() { w.all[3].down = false })
		w.all[0].RunNow()
		time.Sleep(time.Second)
		synctest.Wait()
		s.has(t, w.all[0])
	})
}

// An identity that nobody knows leaves the queue as unknown.
func TestUnknownIdentity(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, w *fleet) {
		w.mend(guardian.Slot{Identity: strings.Repeat("ab", 32)}, w.all[0])
		status := statusOf(t, w.all[0])
		if status.Queued != 0 || status.Totals.Unknown != 1 || len(status.Finished) != 1 || status.Finished[0].Outcome != repair.OutcomeUnknown {
			t.Errorf("the queue is %+v", status)
		}
	})
}

// A share without a manifest is never repaired by others, and the reason is told.
func TestWithoutManifest(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, w *fleet) {
		s := w.split(1, "", 1, 2, w.all...)
		for _, m := range w.all {
			if err := m.node.Push(t.Context(), s.slot, guardian.Share{Data: s.shares[m], Version: 1, Threshold: 2}, guardian.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		s.damage(t, w.all[0], "share.bin")
		w.mend(s.slot, w.all...)
		status := statusOf(t, w.all[0])
		if status.Queued != 1 || !strings.Contains(status.Items[0].LastError, "manifest") {
			t.Errorf("the queue is %+v", status)
		}
		if status := statusOf(t, w.all[1]); status.Queued != 0 || status.Totals.Verified != 1 {
			t.Errorf("that of a sound share is %+v", status)
		}
	})
}

// A helper that gives noise is found by an audit and left out.
func TestMaliciousHelper(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all...)
		s.lose(t, w.all[0])
		liar := w.all[2]
		w.bend = func(by *member, route string, answer []byte) []byte {
			if by != liar || route != repair.RouteContribute {
				return answer
			}
			var said repair.ContributeAnswer
			if err := json.Unmarshal(answer, &said); err != nil {
				t.Error(err)
			}
			said.Masked[5] ^= 1
			bent, _ := json.Marshal(said)
			return bent
		}
		for range 10 { // until the liar was among the helpers
			w.mend(s.slot, w.all[0])
			s.has(t, w.all[0])
			if strings.Contains(w.all[0].log.String(), "came out wrong") {
				return
			}
			s.lose(t, w.all[0])
		}
		t.Error("the liar was never asked")
	})
}

// Two operators who press repair at once do no harm, nor does an owner who
// pushes meanwhile.
func TestRepairAtOnce(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		old := w.keep(1, "", 1, 3, w.all...)
		now := w.split(1, "", 2, 3, w.all...)
		old.lose(t, w.all[0])
		old.damage(t, w.all[1], "version")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, m := range w.all {
				share := guardian.Share{Data: now.shares[m], Version: 2, Manifest: now.signed}
				_ = m.node.Push(context.WithoutCancel(t.Context()), now.slot, share, guardian.Caller{}) // the damaged one refuses
			}
		}()
		for range 2 {
			for _, m := range w.all {
				if err := m.Add(t.Context(), []guardian.Slot{old.slot}); err != nil {
					t.Fatal(err)
				}
				m.RunNow()
			}
		}
		<-done
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.mend(old.slot, w.all...)
		for _, m := range w.all {
			now.has(t, m)
		}
	})
}

// A damaged share of an older version that nobody can recover any more is given
// up, and nothing else is.
func TestOlderVersionIsGivenUp(t *testing.T) {
	inFleet(t, 4, func(t *testing.T, w *fleet) {
		old := w.split(1, "", 1, 3, w.all...)
		old.push(t, w.all[0]) // and never reached enough
		now := w.keep(1, "", 2, 3, w.all...)
		old.damage(t, w.all[0], "/share.bin")
		old.damage(t, w.all[0], "/checksum.bin") // of both versions
		w.mend(old.slot, w.all[0])
		now.has(t, w.all[0])
		info, err := w.all[0].node.Inspect(t.Context(), old.slot)
		if err != nil || info.State != guardian.StateLive || len(info.Retained) != 1 {
			t.Errorf("the slot is %+v, %v", info, err)
		}
		if status := statusOf(t, w.all[0]); status.Queued != 0 || w.all[0].node.Quarantined() != 0 {
			t.Errorf("%d are queued, %d in quarantine", status.Queued, w.all[0].node.Quarantined())
		}
	})
}

// Who lost its share before the secret was deleted does not wait for it for ever.
func TestDeletedMeanwhile(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 2, w.all...)
		for _, m := range w.all[:3] {
			s.lose(t, m)
		}
		for _, m := range w.all[3:] {
			if err := m.node.Delete(t.Context(), s.slot, 1, guardian.Caller{Proof: 2}); err != nil {
				t.Fatal(err)
			}
		}
		notice := repair.NoticeRequest{Slots: []repair.SlotName{repair.SlotName(s.slot)}}
		if _, err := ask[repair.NoticeAnswer](t, w.all[0], w.all[3].public(), repair.RouteNotice, notice); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if status := statusOf(t, w.all[0]); status.Queued != 0 || status.Totals.Unknown != 1 {
			t.Errorf("the queue is %+v", status)
		}
	})
}

// However much a liar claims to hold, the record that others hold is found.
func TestClaimsOfALiar(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all[:4]...)
		s.lose(t, w.all[0])
		w.bend = func(by *member, route string, answer []byte) []byte {
			if by != w.all[4] || route != repair.RouteSurvey {
				return answer
			}
			var lies repair.SurveyAnswer
			for i := range 160 {
				lies.Generations = append(lies.Generations, repair.Generation{Version: 7, Hash: bytes.Repeat([]byte{byte(i)}, 32), Sound: true})
			}
			bent, _ := json.Marshal(lies)
			return bent
		}
		w.mend(s.slot, w.all[0])
		s.has(t, w.all[0])
	})
}

// An answer is read up to a bound, whatever is in it.
func TestGenerationsAreBounded(t *testing.T) {
	for text, want := range map[string]int{
		`{"generations":[` + strings.Repeat("{},", 1000) + `{}]}`: 32,
		`{"generations":[{"version":1},{"version":2}]}`:           2,
		`{"generations":null}`:                                    0,
		`{"generations":{}}`:                                      0,
		`{}`:                                                      0,
	} {
		var answer repair.SurveyAnswer
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Generations) != want {
			t.Errorf("%.40s: %d, %v", text, len(answer.Generations), err)
		}
	}
	var answer repair.SurveyAnswer
	if err := json.Unmarshal([]byte(`{"generations":[{"version":"x"}]}`), &answer); err == nil {
		t.Error("a generation that is none is taken")
	}
}
