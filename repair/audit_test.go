package repair_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/check"
)

// audited starts an audit at a guardian and waits for its end.
func audited(t *testing.T, m *member, slots ...guardian.Slot) repair.AuditReport {
	t.Helper()
	if err := m.StartAudit(slots); err != nil {
		t.Fatal(err)
	}
	if err := m.StartAudit(nil); !errors.Is(err, repair.ErrRunning) {
		t.Errorf("a second audit at once: %v", err)
	}
	for range 600 {
		time.Sleep(time.Second)
		synctest.Wait()
		if report := m.AuditProgress(); !report.Running {
			return report
		}
	}
	t.Fatal("the audit did not end")
	return repair.AuditReport{}
}

func holderOf(t *testing.T, report repair.AuditReport, m *member) repair.AuditHolder {
	t.Helper()
	if len(report.Groups) == 0 {
		t.Fatalf("the report has %d groups: %+v", len(report.Groups), report)
	}
	i := slices.IndexFunc(report.Groups[0].Holders, func(h repair.AuditHolder) bool { return h.Node == m.id })
	if i < 0 {
		t.Fatalf("%s is not in the report", m.id)
	}
	return report.Groups[0].Holders[i]
}

// An audit of several secrets and different holders finds all of them sound.
func TestAuditOfSoundShares(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		for owner := range 9 {
			w.keep(owner, "", 1, 3, w.all[:5]...)
		}
		w.keep(9, "monday", 4, 2, w.all...)
		open := w.split(10, "", 1, 3, w.all...)
		for _, m := range w.all {
			if err := m.node.Push(t.Context(), open.slot, guardian.Share{Data: open.shares[m], Version: 1}, guardian.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		report := audited(t, w.all[0])
		if report.Generations != 10 || report.Sound != 10 || report.Undecided != 0 || report.WithoutManifest != 1 || len(report.Groups) != 2 {
			t.Errorf("the report is %+v", report)
		}
		if g := report.Groups[0]; g.N != 5 || g.K != 3 || g.Bound != 1 || g.Generations != 9 {
			t.Errorf("the first group is %+v", g)
		}
		for _, m := range w.all[:5] {
			if h := holderOf(t, report, m); h.Good != 9 || h.Wrong != 0 {
				t.Errorf("%s: %+v", m.id, h)
			}
		}
	})
}

// Who publishes what does not fit its share is named, with the secrets that are
// about; who lacks some, or is silent, is counted as that and not named.
func TestAuditNames(t *testing.T) {
	inFleet(t, 7, func(t *testing.T, w *fleet) {
		var all []*kept
		for owner := range 8 {
			all = append(all, w.keep(owner, "", 1, 3, w.all...))
		}
		liar, poor, silent := w.all[2], w.all[4], w.all[6]
		all[3].lose(t, poor)
		all[5].damage(t, poor, "share.bin")
		w.set(func() { silent.down = true })
		w.bend = func(by *member, route string, answer []byte) []byte {
			var said struct {
				Shares  []byte   `json:"shares"`
				Columns [][]byte `json:"columns"`
			}
			if by != liar || route != repair.RouteCheck+string(check.StepAnswer) || json.Unmarshal(answer, &said) != nil {
				return answer
			}
			said.Shares[0] ^= 1
			bent, _ := json.Marshal(said)
			return bent
		}
		report := audited(t, w.all[0])
		if report.Generations != 8 || report.Sound != 0 || report.Error != "" {
			t.Errorf("the report is %+v", report)
		}
		if h := holderOf(t, report, liar); h.Wrong+h.Good == 0 || h.Wrong != len(h.WrongSlots) || h.Good != 0 {
			t.Errorf("the liar: %+v", h)
		}
		if h := holderOf(t, report, poor); h.Lacking < 1 || h.Lacking > 2 || h.Wrong != 0 {
			t.Errorf("who lacks one, and maybe another, which it may have mended meanwhile: %+v", h)
		}
		if h := holderOf(t, report, silent); h.Silent != 8 || h.Wrong != 0 {
			t.Errorf("the silent one: %+v", h)
		}
		for _, m := range []*member{w.all[0], w.all[1], w.all[3], w.all[5]} {
			if h := holderOf(t, report, m); h.Wrong != 0 || h.Cheated != 0 {
				t.Errorf("the honest %s: %+v", m.id, h)
			}
		}
	})
}

// Named slots alone are audited, and with K holders nothing can be told.
func TestAuditOfSome(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		one := w.keep(1, "", 1, 3, w.all...)
		w.keep(2, "", 1, 3, w.all...)
		tight := w.keep(3, "", 1, 3, w.all[:3]...)
		if report := audited(t, w.all[0], one.slot); report.Generations != 1 || report.Sound != 1 {
			t.Errorf("the report is %+v", report)
		}
		if report := audited(t, w.all[0], tight.slot); report.Generations != 1 || report.Undecided != 1 {
			t.Errorf("with n = K it is %+v", report)
		}
	})
}
