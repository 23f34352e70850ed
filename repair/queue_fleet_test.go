package repair_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

// That the repair itself finds the share damaged is not one more thing to repair.
func TestOneRepairIsToldOfOnce(t *testing.T) {
	inFleet(t, 4, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		s.damage(t, w.all[0], "share.bin")
		w.mend(s.slot, w.all[0])
		s.has(t, w.all[0])
		status := statusOf(t, w.all[0])
		if done := status.Totals; done.Repaired != 1 || done.Verified != 0 || len(status.Finished) != 1 {
			t.Errorf("%+v, %d finished", done, len(status.Finished))
		}
	})
}

// A member that gives hints and takes its time over every survey holds up no
// repair of what is damaged.
func TestStalledSurveys(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		victim, liar := w.all[0], w.all[4]
		var lies repair.SurveyAnswer
		for i := range 16 {
			lies.Generations = append(lies.Generations, repair.Generation{Version: 7, Hash: bytes.Repeat([]byte{byte(i + 1)}, 32), Sound: true})
		}
		lie, err := json.Marshal(lies)
		if err != nil {
			t.Fatal(err)
		}
		w.bend = func(by *member, route string, answer []byte) []byte {
			if by != liar || route != repair.RouteSurvey {
				return answer
			}
			time.Sleep(55 * time.Second)
			return lie
		}
		var hints repair.NoticeRequest
		for i := range 100 {
			hints.Slots = append(hints.Slots, repair.SlotName{Identity: fmt.Sprintf("%064x", i+1)})
		}
		if _, err := ask[repair.NoticeAnswer](t, victim, liar.public(), repair.RouteNotice, hints); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		s := w.keep(1, "", 7, 3, w.all[:4]...)
		s.damage(t, victim, "share.bin")
		if err := victim.Add(t.Context(), []guardian.Slot{s.slot}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		s.has(t, victim)
	})
}
