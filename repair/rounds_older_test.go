package repair_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/shamir"
)

// wantVersion wants the shares of an epoch of this very version at these guardians
// and at no others, of which any K rebuild the payload, and nothing of it prepared.
func (s *kept) wantVersion(t *testing.T, w *fleet, epoch uint64, holders ...*member) {
	t.Helper()
	var shares [][]byte
	for _, m := range w.all {
		s.wantNothingPrepared(t, m)
		got, err := m.node.Pull(t.Context(), s.slot, &s.version, nil, guardian.Caller{Proof: 2})
		switch named := slices.Contains(holders, m); {
		case !named && err == nil:
			t.Errorf("%s still has a share of version %d, of epoch %d", m.id, s.version, got.Epoch)
		case named && (err != nil || got.Epoch != epoch):
			t.Errorf("%s has version %d at epoch %d, %v; want epoch %d", m.id, s.version, got.Epoch, err, epoch)
		case named:
			shares = append(shares, got.Data)
		}
	}
	for first := range shares[:max(0, len(shares)-s.k+1)] {
		some := shares[first:][:s.k]
		if payload, err := shamir.Combine(some); err != nil || !bytes.Equal(payload, s.payload) {
			t.Errorf("%d shares of version %d from the %dth on rebuild something else, %v", s.k, s.version, first, err)
		}
	}
}

func (s *kept) wantNothingPrepared(t *testing.T, at *member) {
	t.Helper()
	prepared, err := at.node.Prepared(t.Context(), s.slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range prepared {
		t.Errorf("%s has version %d, epoch %d prepared", at.id, held.Version, held.Epoch)
	}
}

// wantThrough wants no round to be left for anybody to go on with.
func (w *fleet) wantThrough(t *testing.T) {
	t.Helper()
	for _, m := range w.all {
		if left := m.certificates(t); len(left) > 0 {
			t.Errorf("%s keeps the certificates of %d rounds", m.id, len(left))
		}
	}
}

// wait gives all guardians time.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// As many versions as others may show of records are retained: those that a node
// is shown when it is to follow them do not count.
func TestManyVersions(t *testing.T) {
	inFleetRetaining(t, 5, 17, func(t *testing.T, w *fleet) {
		var all []*kept
		for version := range uint64(16) {
			all = append(all, w.keep(1, "", version+1, 3, w.all...))
		}
		for epoch := range uint64(2) {
			report := w.move(w.all[0], repair.RoundOrder{})
			if report.Moved != len(all) || report.Failed+report.Refused != 0 || report.Error != "" {
				t.Errorf("%+v", report)
			}
			for _, s := range all {
				s.wantVersion(t, w, epoch+1, w.all...)
			}
		}
		w.wantThrough(t)
	})
}

// All versions of a secret arrive, in whatever order they are moved.
func TestMoveOlderVersions(t *testing.T) {
	for _, order := range []string{"newer first", "older first", "together"} {
		t.Run(order, func(t *testing.T) {
			inFleet(t, 10, func(t *testing.T, w *fleet) {
				from, to := w.all[:5], w.all[5:]
				k := 2
				if order == "together" {
					k = 3
				}
				older, newer := w.keep(1, "", 1, 3, from...), w.split(1, "", 2, k, from...)
				pushed := from
				if order == "older first" {
					pushed = from[1:] // the first guardian knows of no other
				}
				for _, m := range pushed {
					newer.push(t, m)
				}
				w.moveAll(t, 2, to, from[:2]...)
				older.wantVersion(t, w, 1, to...)
				newer.wantVersion(t, w, 1, to...)
				w.wantThrough(t)
			})
		})
	}
}

// moveAll has guardians one after the other move what they hold to others, of which
// there are so many generations.
func (w *fleet) moveAll(t *testing.T, generations int, to []*member, by ...*member) {
	t.Helper()
	order := repair.RoundOrder{}
	for _, m := range to {
		order.Members = append(order.Members, m.id)
	}
	moved := 0
	for _, m := range by {
		report := w.move(m, order)
		moved += report.Moved
		if report.Failed+report.Refused != 0 || report.Error != "" {
			t.Errorf("%+v", report)
		}
	}
	if moved != generations {
		t.Errorf("%d generations were moved, want %d", moved, generations)
	}
}

// Who missed the round of an older version, which fewer than K others have kept
// since, gives up its share of before: nobody can compute the new one.
func TestOlderVersionThatTooFewHave(t *testing.T) {
	for _, keepers := range []int{2, 1, 0} {
		t.Run(fmt.Sprint(keepers), func(t *testing.T) {
			inFleet(t, 6, func(t *testing.T, w *fleet) { w.wantOlderGivenUp(t, keepers) })
		})
	}
}

func (w *fleet) wantOlderGivenUp(t *testing.T, keepers int) {
	t.Helper()
	gone, older := w.keep(1, "", 1, 3, w.all[:5]...), w.keep(1, "", 2, 3, w.all[:5]...)
	away := w.all[4]
	w.set(func() { away.down = true })
	if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 2 {
		t.Fatalf("%+v", report)
	}
	others := []*member{w.all[0], w.all[1], w.all[2], w.all[3], w.all[5]}
	w.split(1, "", 3, 3, others...).replace(t, others[keepers:]...)
	w.set(func() { away.down = false })
	wait(10 * time.Minute)
	gone.wantVersion(t, w, 1, w.all[:keepers]...)
	older.wantVersion(t, w, 1, w.all[:5]...)
	w.wantThrough(t)
	if open, err := w.all[0].OpenEpochs(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("open: %+v, %v", open, err)
	}
}

// While some do not answer, nothing is too late: an older version is recovered when
// they are back.
func TestOlderVersionIsWaitedFor(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		older, newer := w.keep(1, "", 1, 3, w.all...), w.keep(1, "", 2, 3, w.all...)
		w.set(func() { w.all[4].down = true })
		if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 2 {
			t.Fatalf("%+v", report)
		}
		w.set(func() { w.all[2].down, w.all[3].down, w.all[4].down = true, true, false })
		wait(10 * time.Minute)
		w.set(func() { w.all[2].down, w.all[3].down = false, false })
		wait(time.Hour)
		newer.wantVersion(t, w, 1, w.all...)
		older.wantVersion(t, w, 1, w.all...)
		w.wantThrough(t)
	})
}

// replace has the owner push shares to guardians that know it already.
func (s *kept) replace(t *testing.T, at ...*member) {
	t.Helper()
	for _, m := range at {
		share := guardian.Share{Data: s.shares[m], Version: s.version, Manifest: s.signed}
		if err := m.node.Push(t.Context(), s.slot, share, guardian.Caller{Proof: 2}); err != nil {
			t.Fatalf("pushing to %s: %v", m.id, err)
		}
	}
}

// certificates are those that lie with a guardian until all who are to follow them
// do, by where they lie.
func (m *member) certificates(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for entry, err := range m.node.Queue().List(t.Context(), "rounds/shown/", "") {
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := m.node.Queue().Get(t.Context(), entry.Key)
		if err != nil {
			t.Fatal(fmt.Errorf("reading %s: %w", entry.Key, err))
		}
		found[entry.Key] = string(data)
	}
	return found
}
