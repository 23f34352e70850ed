package repair_test

import (
	"crypto"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/shamir"
)

// wantObjected wants a report of as many generations that did not move as somebody
// objected.
func wantObjected(t *testing.T, report repair.RoundsReport, generations int) {
	t.Helper()
	if report.Moved != 0 || report.Failed != generations || len(report.Problems) != generations {
		t.Errorf("%+v", report)
	}
	for _, problem := range report.Problems {
		if !strings.Contains(problem.Error, check.ErrObjected.Error()) {
			t.Errorf("%+v, want an objection", problem)
		}
	}
}

// A coordinator that leaves out a holder, which lacks one generation of the batch
// and has a sound share of another, is objected to, whichever it asks about first.
func TestObjectionToOneOfABatch(t *testing.T) {
	for lacked, name := range []string{"it lacks the first", "it lacks the second"} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 5, func(t *testing.T, w *fleet) {
				both := []*kept{w.keep(1, "", 7, 3, w.all...), w.keep(2, "", 7, 3, w.all...)}
				left := w.all[4]
				both[lacked].lose(t, left)
				cut := func(from, to *member, route string, _ []byte) bool {
					return from == w.all[0] && to == left && strings.HasPrefix(route, repair.RouteCheck)
				}
				w.set(func() { w.cut = cut })
				wantObjected(t, w.move(w.all[0], repair.RoundOrder{}), 2)
				for i, s := range both {
					for _, m := range w.all {
						if i != lacked || m != left {
							s.has(t, m)
						}
					}
				}
			})
		})
	}
}

// Holders that a deletion did not reach do not take the secret to others.
func TestDeletedIsNotMoved(t *testing.T) {
	inFleet(t, 12, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 2, w.all[:9]...)
		for _, m := range w.all[:6] {
			if err := m.node.Delete(t.Context(), s.slot, 7, guardian.Caller{Proof: 2}); err != nil {
				t.Fatal(err)
			}
		}
		wantObjected(t, w.move(w.all[6], repair.RoundOrder{Members: []string{"g10", "g11", "g12"}}), 1)
		s.wantMoved(t, w, 0, 2, w.all[6:9]...)
	})
}

// forge is what all holders, old and new, would certify: the chain and the new
// shares of the next record, made without a round.
func (s *kept) forge(t *testing.T, w *fleet, seed [32]byte, k int, to ...*member) (chain []byte, shares map[*member][]byte) {
	t.Helper()
	base, err := record.Parse(s.signed)
	if err != nil {
		t.Fatal(err)
	}
	p := record.Proposal{Threshold: k}
	var points []byte
	for _, m := range to {
		p.Holders, points = append(p.Holders, record.Target{X: m.x, Node: m.id, Key: m.public()}), append(points, m.x)
	}
	of, body, err := record.Next(base, p, seed)
	if err != nil {
		t.Fatal(err)
	}
	dealt, err := shamir.Split(s.payload, k, points)
	if err != nil {
		t.Fatal(err)
	}
	c := record.Certificate{Seed: seed}
	for _, m := range w.all {
		if _, holds := base.Of(m.public()); holds {
			c.Agreed = append(c.Agreed, record.Vote{X: m.x, Signature: m.sign(t, record.AgreedMessage(of.Hash, seed, m.x))})
		}
	}
	shares = map[*member][]byte{}
	for i, m := range to {
		shares[m] = dealt[i]
		sum := sha256.Sum256(dealt[i])
		c.Prepared = append(c.Prepared, record.Vote{X: m.x, Share: sum, Signature: m.sign(t, record.PreparedMessage(of.Hash, seed, m.x, sum))})
	}
	if chain, err = record.Extend(s.signed, body, c); err != nil {
		t.Fatal(err)
	}
	return chain, shares
}

func (m *member) sign(t *testing.T, message []byte) []byte {
	t.Helper()
	signature, err := m.key.Sign(nil, message, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// forked has each half of four guardians follow another of two certificates in
// place of one record.
func (s *kept) forked(t *testing.T, w *fleet, to ...*member) {
	t.Helper()
	for half, holders := range [][]*member{w.all[:2], w.all[2:4]} {
		chain, shares := s.forge(t, w, sha256.Sum256([]byte{byte(half)}), 2, to...)
		for _, m := range holders {
			share := guardian.Share{Data: shares[m], Version: s.version, Epoch: 1, Manifest: s.signed, Chain: chain}
			if err := m.node.Mend(t.Context(), s.slot, share); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Who comes back to two certificates over the record of its share gives up neither
// that nor anything else, and cries.
func TestForkedRecordsErasesNothing(t *testing.T) {
	for name, successor := range map[string]int{"named by both": 4, "named by neither": 5} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 6, func(t *testing.T, w *fleet) {
				s := w.keep(1, "", 7, 2, w.all[:5]...)
				s.forked(t, w, append(slices.Clone(w.all[:4]), w.all[successor])...)
				before := w.all[0].sharesOf(t, s)
				w.mend(s.slot, w.all[4])
				s.has(t, w.all[4])
				if n := w.all[4].figure(t, "guardian_refresh_forks_total"); n == 0 || !strings.Contains(w.all[4].log.String(), "ALARM") {
					t.Errorf("it counts %v forks, and logs %s", n, w.all[4].log.String())
				}
				wait(time.Hour)
				s.has(t, w.all[4])
				for i, m := range w.all[:4] {
					if now := m.sharesOf(t, s); len(now) != 1 || i == 0 && !slices.Equal(now, before) {
						t.Errorf("%s has %d shares, not the one of before", m.id, len(now))
					}
				}
			})
		})
	}
}

// A certificate that is shown over a record whose share another certificate has
// moved is refused with the alarm.
func TestForkedRecordIsRefused(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 2, w.all...)
		s.forked(t, w, w.all...)
		before := w.all[0].sharesOf(t, s)
		for _, holders := range [][]*member{w.all, w.all[1:]} {
			forks := w.all[0].figure(t, "guardian_refresh_forks_total")
			chain, _ := s.forge(t, w, [32]byte{9}, 2, holders...)
			request := repair.CertificatesRequest{Chains: [][]byte{chain}}
			told, err := ask[repair.CertificatesAnswer](t, w.all[0], w.all[4].public(), repair.RouteCertificates, request)
			if err != nil || told.Done {
				t.Errorf("%+v, %v", told, err)
			}
			wait(time.Minute)
			if now := w.all[0].sharesOf(t, s); !slices.Equal(now, before) {
				t.Error("its share is another one, or gone")
			}
			if n := w.all[0].figure(t, "guardian_refresh_forks_total"); n <= forks || !strings.Contains(w.all[0].log.String(), "ALARM") {
				t.Errorf("it counts %v forks after the certificate for %d holders, %v before", n, len(holders), forks)
			}
		}
	})
}

// sharesOf are the sound shares that a guardian names, of all versions.
func (m *member) sharesOf(t *testing.T, s *kept) (shares []string) {
	t.Helper()
	found, err := m.node.Examine(t.Context(), s.slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range found.Held {
		if held.Sound {
			shares = append(shares, string(held.Share.Data))
		}
	}
	return shares
}

// figure is the value of a metric without labels.
func (m *member) figure(t *testing.T, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.Collector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			metric := family.GetMetric()[0]
			return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// leaveBehind moves a secret away from a guardian that is not there and whose share
// is damaged meanwhile.
func (w *fleet) leaveBehind(t *testing.T) (s *kept, left *member) {
	t.Helper()
	s, left = w.keep(1, "", 7, 3, w.all[:5]...), w.all[4]
	w.set(func() { left.down = true })
	s.damage(t, left, "share.bin")
	if report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}}); report.Moved != 1 {
		t.Fatalf("%+v", report)
	}
	return s, left
}

// wantLeft wants a guardian to know that a version has moved away, and nothing to
// be left of it.
func (s *kept) wantLeft(t *testing.T, m *member) {
	t.Helper()
	found, err := m.node.Examine(t.Context(), s.slot)
	if err != nil || found.Damaged || !found.Moved || found.Version != s.version || len(found.Held) != 0 {
		t.Errorf("%s: %+v, %v", m.id, found, err)
	}
	for key := range m.store.Objects() {
		if strings.Contains(key, s.slot.Identity) && strings.HasSuffix(key, ".bin") {
			t.Errorf("%s still has %s", m.id, key)
		}
	}
}

// A damaged share is given up like a sound one by whoever is shown where it went.
func TestDamagedShareIsLeft(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s, left := w.leaveBehind(t)
		cut := func(from, _ *member, route string, _ []byte) bool { return from == left && route == repair.RouteSurvey }
		w.set(func() { w.cut = cut })
		w.set(func() { left.down = false })
		wait(time.Minute)
		s.wantLeft(t, left)
		w.wantThrough(t)
	})
}

// So it is where nobody is left to show that.
func TestDamagedShareIsLeftByRepair(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s, left := w.leaveBehind(t)
		for _, m := range w.all {
			m.forgetCertificates(t)
		}
		w.set(func() { left.down = false })
		w.mend(s.slot, left)
		s.wantLeft(t, left)
		s.wantMoved(t, w, 1, 3, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
	})
}

// A holder that came and was left out between two records that others still show
// is told by what it says that it has a share of.
func TestDamagedShareOfAPassingHolder(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s, passing := w.keep(1, "", 7, 3, w.all[:5]...), w.all[5]
		if report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		w.set(func() { passing.down = true })
		s.damage(t, passing, "share.bin")
		if report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g5"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		for _, m := range w.all {
			m.forgetCertificates(t)
		}
		w.set(func() { passing.down = false })
		w.mend(s.slot, passing)
		s.wantLeft(t, passing)
		s.wantMoved(t, w, 2, 3, w.all[:5]...)
	})
}

// Who has moved out, and can no longer read that, is told so again.
func TestDamagedVersionOfWhoLeft(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s, left := w.keep(1, "", 7, 3, w.all[:5]...), w.all[4]
		if report := w.move(w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		s.wantLeft(t, left)
		s.damage(t, left, "/version")
		if found, err := left.node.Examine(t.Context(), s.slot); err != nil || !found.Damaged {
			t.Fatalf("%+v, %v", found, err)
		}
		w.mend(s.slot, left)
		s.wantLeft(t, left)
		s.wantMoved(t, w, 1, 3, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
	})
}
