package repair_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// move has a guardian carry out an order, and waits for its end.
func (w *fleet) move(at *member, order repair.RoundOrder) repair.RoundsReport {
	w.t.Helper()
	if err := at.StartRounds(order); err != nil {
		w.t.Fatal(err)
	}
	for range 600 {
		time.Sleep(time.Second)
		synctest.Wait()
		if report := at.RoundsProgress(); !report.Running {
			time.Sleep(time.Minute) // those who were away catch up
			synctest.Wait()
			return report
		}
	}
	w.t.Fatal("the rounds do not end")
	return repair.RoundsReport{}
}

// at is the share of an epoch that a guardian has now.
func (s *kept) at(t *testing.T, m *member) (guardian.Share, error) {
	t.Helper()
	return m.node.Pull(t.Context(), s.slot, nil, nil, guardian.Caller{Proof: 2})
}

// wantMoved wants the shares of an epoch at these guardians and at no others, of
// which every K rebuild the payload, and together with fewer older ones do not.
func (s *kept) wantMoved(t *testing.T, w *fleet, epoch uint64, k int, holders ...*member) {
	t.Helper()
	var shares [][]byte
	for _, m := range w.all {
		got, err := s.at(t, m)
		if !slices.Contains(holders, m) {
			if err == nil {
				t.Errorf("%s still has a share, of epoch %d", m.id, got.Epoch)
			}
			continue
		}
		if err != nil || got.Epoch != epoch || got.Version != s.version || got.Threshold != k {
			t.Errorf("%s has version %d, epoch %d, K %d, %v", m.id, got.Version, got.Epoch, got.Threshold, err)
			continue
		}
		shares = append(shares, got.Data)
	}
	for first := range shares {
		some := slices.Concat(shares[first:], shares[:first])[:min(k, len(shares))]
		if payload, err := shamir.Combine(some); err != nil || !bytes.Equal(payload, s.payload) {
			t.Errorf("%d shares from the %dth on rebuild something else, %v", k, first, err)
		}
	}
}

func TestRefresh(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		other := w.keep(2, "photos", 1, 3, w.all...)
		report := w.move(w.all[0], repair.RoundOrder{})
		if report.Moved != 2 || report.Rounds != 1 || report.Failed+report.Refused != 0 || report.Error != "" {
			t.Errorf("%+v", report)
		}
		s.wantMoved(t, w, 1, 3, w.all...)
		other.wantMoved(t, w, 1, 3, w.all...)
		mixed := [][]byte{s.shares[w.all[0]]}
		for _, m := range w.all[1:3] {
			now, _ := s.at(t, m)
			mixed = append(mixed, now.Data)
		}
		if payload, err := shamir.Combine(mixed); err == nil && bytes.Equal(payload, s.payload) {
			t.Error("an old share and two new ones rebuild the secret")
		}
		open, err := w.all[0].OpenEpochs(t.Context())
		if err != nil || len(open) != 0 {
			t.Errorf("open: %+v, %v", open, err)
		}
	})
}

func TestRedistribute(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all[:5]...)
		report := w.move(w.all[1], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}, Threshold: 4})
		if report.Moved != 1 || report.Error != "" {
			t.Errorf("%+v", report)
		}
		s.wantMoved(t, w, 1, 4, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
		report = w.move(w.all[5], repair.RoundOrder{})
		if report.Moved != 1 || report.Error != "" {
			t.Errorf("%+v", report)
		}
		s.wantMoved(t, w, 2, 4, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
	})
}

// Who left and came back recovers its share where it lost what was prepared.
func TestCameBackWithNothing(t *testing.T) {
	inFleet(t, 4, func(t *testing.T, w *fleet) {
		s, back := w.keep(1, "", 7, 2, w.all...), w.all[0]
		if report := w.move(w.all[1], repair.RoundOrder{Members: []string{"g2", "g3", "g4"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		cut := func(_, to *member, route string, _ []byte) bool {
			return route == repair.RouteCertificates && to == back
		}
		w.set(func() { w.cut = cut })
		if report := w.move(w.all[1], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		if len(s.prepared(t, back)) != 1 {
			t.Fatal("nothing is prepared")
		}
		s.damage(t, back, "checksum.bin")
		w.set(func() { w.cut = nil })
		wait(time.Hour)
		s.wantMoved(t, w, 2, 2, w.all...)
		w.wantThrough(t)
	})
}

// Who was away for three epochs has its share again when it is back, though no
// record knows its hash.
func TestAwayForThreeEpochs(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		w.set(func() { w.all[4].down = true })
		for range 3 {
			if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 1 {
				t.Fatalf("%+v", report)
			}
		}
		if _, err := s.at(t, w.all[4]); err != nil {
			t.Error(err)
		}
		w.set(func() { w.all[4].down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantMoved(t, w, 3, 3, w.all...)
	})
}

// A holder that was left out, and of which those who were to show it the
// certificate have lost their disks, gives up its share once it comes across
// another holder of it.
func TestLeftBehind(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all[:5]...)
		left := w.all[4]
		w.set(func() { left.down = true })
		if report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		for _, m := range w.all {
			m.forgetCertificates(t)
		}
		w.set(func() { left.down = false })
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, err := s.at(t, left); err != nil {
			t.Fatalf("it was told otherwise: %v", err)
		}
		told, err := ask[repair.NoticeAnswer](t, w.all[1], left.public(), repair.RouteNotice,
			repair.NoticeRequest{Slots: []repair.SlotName{{Identity: s.slot.Identity}}})
		if err != nil || told.Taken != 1 {
			t.Fatalf("%+v, %v", told, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantMoved(t, w, 1, 3, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
	})
}

// forgetCertificates takes those away that are still to be shown.
func (m *member) forgetCertificates(t *testing.T) {
	t.Helper()
	for entry, err := range m.node.Queue().List(t.Context(), "rounds/shown/", "") {
		if err == nil {
			err = m.node.Queue().Delete(t.Context(), entry.Key, backend.AnyRevision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
