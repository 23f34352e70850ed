package repair_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// A guardian that has just started knows no other yet: that nobody knows a slot
// is then no reason to forget it.
func TestNobodyIsKnownYet(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 2, w.all...)
		patient, all := w.all[2], w.all
		s.lose(t, patient)
		synctest.Wait()
		w.all = []*member{patient}
		w.mend(s.slot, patient)
		if status := statusOf(t, patient); status.Queued != 1 || status.Totals.Unknown != 0 {
			t.Fatalf("with nobody known, the status is %+v", status)
		}
		w.all = all
		patient.RunNow()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.has(t, patient)
		if status := statusOf(t, patient); status.Queued != 0 {
			t.Errorf("the status is %+v", status)
		}
	})
}
