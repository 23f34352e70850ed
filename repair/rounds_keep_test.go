package repair_test

import (
	"crypto/ed25519"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// shownTo is the last that a guardian was told of a round.
func (w *fleet) shownTo(t *testing.T, m *member) (request repair.CertificatesRequest) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range slices.Backward(w.said) {
		if said.to == m && said.route == repair.RouteCertificates && strings.Contains(string(said.body), "chains") {
			if err := json.Unmarshal(said.body, &request); err != nil {
				t.Error(err)
			}
			return request
		}
	}
	t.Errorf("%s was shown nothing", m.id)
	return request
}

// onceKept calls do when a guardian has been given certificates to keep, and
// nobody was shown any yet.
func (w *fleet) onceKept(by *member, do func(request repair.CertificatesRequest)) {
	done := false
	bend := func(m *member, route string, answer []byte) []byte {
		if m == by && route == repair.RouteCertificates && !done {
			done = true
			do(w.shownTo(w.t, m))
		}
		return answer
	}
	w.set(func() { w.bend = bend })
}

// putCertificates has a guardian keep these and no others.
func (m *member) putCertificates(t *testing.T, all map[string]string) {
	t.Helper()
	m.forgetCertificates(t)
	for key, data := range all {
		if _, err := m.node.Queue().Put(t.Context(), key, []byte(data), backend.AnyRevision); err != nil {
			t.Error(err)
		}
	}
}

// falsified are requests to keep certificates that are not those of a session, its
// holders and its generations.
type falsified struct {
	name   string
	caller ed25519.PublicKey
	change func(q *repair.CertificatesRequest)
}

// wantKept wants what is falsified to be refused, and to change nothing, be there
// certificates of the session or none yet.
func (f falsified) wantKept(t *testing.T, m *member, request repair.CertificatesRequest) {
	t.Helper()
	request.Chains, request.Followers = slices.Clone(request.Chains), slices.Clone(request.Followers)
	f.change(&request)
	kept := m.certificates(t)
	for _, before := range []map[string]string{kept, {}} {
		m.putCertificates(t, before)
		_, err := ask[repair.CertificatesAnswer](t, m, f.caller, repair.RouteCertificates, request)
		wantRefused(t, f.name, repair.CodeMalformed, err)
		if after := m.certificates(t); !maps.Equal(after, before) {
			t.Errorf("%s: %d certificates were kept, now there are %d, or others", f.name, len(before), len(after))
		}
	}
	m.putCertificates(t, kept)
}

func TestKeptCertificatesStay(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		both := []*kept{w.keep(1, "", 7, 3, w.all[:5]...), w.keep(2, "", 7, 3, w.all[:5]...)}
		other := w.keep(3, "", 7, 4, w.all[:5]...)
		keeper, stranger := w.all[1], w.all[5]
		asked := false
		w.onceKept(keeper, func(request repair.CertificatesRequest) {
			asked = true
			if len(request.Chains) != 2 || len(request.Followers) != 5 || len(keeper.certificates(t)) != 1 {
				t.Errorf("%d chains, %d followers, and %d are kept", len(request.Chains), len(request.Followers), len(keeper.certificates(t)))
				return
			}
			anew, _ := both[0].forge(t, w, [32]byte{9}, 3, w.all[:5]...)
			elsewhere, _ := other.forge(t, w, request.Session, 4, w.all[:5]...)
			for _, f := range []falsified{
				{"of who is no old holder", stranger.public(), func(*repair.CertificatesRequest) {}},
				{"with too few holders before", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Followers = q.Followers[:4] }},
				{"with no holders before", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Followers = nil }},
				{"with one holder exchanged", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Followers[4].Key = stranger.public() }},
				{"with one holder more", w.all[0].public(), func(q *repair.CertificatesRequest) {
					q.Followers = append(q.Followers, repair.Follower{Node: "g6", Key: stranger.public(), Old: true})
				}},
				{"with one holder twice", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Followers = append(q.Followers, q.Followers[0]) }},
				{"with a holder without a key", w.all[0].public(), func(q *repair.CertificatesRequest) {
					q.Followers = append(q.Followers, repair.Follower{Node: "g6", Key: []byte("short"), Old: true})
				}},
				{"with a lower threshold", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Threshold = 2 }},
				{"with a higher threshold", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Threshold = 4 }},
				{"with a certificate of another session", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains[slices.IndexFunc(q.Chains, both[0].leads)] = anew }},
				{"with one missing", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains = q.Chains[:1] }},
				{"with one twice", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains[1] = q.Chains[0] }},
				{"with one more, twice", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains = append(q.Chains, q.Chains[0]) }},
				{"with one of another secret", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains[1] = elsewhere }},
				{"with one more, of another secret", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains = append(q.Chains, elsewhere) }},
				{"with a manifest", w.all[0].public(), func(q *repair.CertificatesRequest) { q.Chains[1] = both[0].signed }},
			} {
				f.wantKept(t, keeper, request)
			}
		})
		order := repair.RoundOrder{Slots: []guardian.Slot{both[0].slot, both[1].slot}}
		if report := w.move(w.all[0], order); report.Moved != 2 || !asked {
			t.Errorf("%+v", report)
		}
		wait(10 * time.Minute)
		w.wantThrough(t)
		for _, s := range both {
			s.wantMoved(t, w, 1, 3, w.all[:5]...)
		}
	})
}

// leads tells whether a chain begins with what the owner signed.
func (s *kept) leads(chain []byte) bool { return strings.Contains(string(chain), string(s.signed)) }

// What a coordinator has of its own round is not put back to the beginning by
// another who has the certificates.
func TestLedRoundStays(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		asked := false
		w.onceKept(w.all[1], func(request repair.CertificatesRequest) {
			asked = true
			before := w.all[0].certificates(t)
			told, err := ask[repair.CertificatesAnswer](t, w.all[0], w.all[2].public(), repair.RouteCertificates, request)
			if err != nil || !told.Done {
				t.Errorf("%+v, %v", told, err)
			}
			if after := w.all[0].certificates(t); len(before) != 1 || !maps.Equal(after, before) {
				t.Errorf("%d rounds were led, and now it has %v", len(before), after)
			}
		})
		if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 1 || !asked {
			t.Errorf("%+v", report)
		}
		s.wantMoved(t, w, 1, 3, w.all...)
		w.wantThrough(t)
	})
}

// dropSessions has the registry know of the rounds of these holders, and of no
// session of them.
func (w *fleet) dropSessions(t *testing.T, k int, holders ...*member) {
	t.Helper()
	w.rewrite(t, k, holders, func(state map[string]any) {
		for _, gone := range []string{"session", "bases", "aborted", "committed"} {
			delete(state, gone)
		}
		state["state"] = round.Aborted
	})
}

// rewrite changes what the registry has of the rounds of these holders.
func (w *fleet) rewrite(t *testing.T, k int, holders []*member, change func(state map[string]any)) {
	t.Helper()
	var keys []ed25519.PublicKey
	for _, m := range holders {
		keys = append(keys, m.public())
	}
	key := round.GroupOf(k, keys).Key()
	data, rev, err := w.registry.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]any{}
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	change(state)
	if data, err = json.Marshal(state); err != nil {
		t.Fatal(err)
	}
	if _, err := w.registry.Swap(t.Context(), key, data, rev); err != nil {
		t.Fatal(err)
	}
}

// begin has a guardian carry out an order, and returns before any other looks at
// the certificates that it keeps.
func (w *fleet) begin(t *testing.T, at *member, order repair.RoundOrder) repair.RoundsReport {
	t.Helper()
	if err := at.StartRounds(order); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return at.RoundsProgress()
}

func (w *fleet) calls(route string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range w.said {
		if said.route == route {
			n++
		}
	}
	return n
}

// Who keeps certificates of a session that the registry lists nowhere neither
// follows nor shows them: it may have been aborted long ago.
func TestKeptOfForgottenSession(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		bend := func(by *member, route string, answer []byte) []byte {
			if route == repair.RouteCertificates {
				return []byte(`{"done":false}`) // so that the coordinator gives up
			}
			return answer
		}
		w.set(func() { w.bend = bend })
		if report := w.begin(t, w.all[0], repair.RoundOrder{}); report.Running || report.Failed != 1 {
			t.Fatalf("%+v", report)
		}
		w.dropSessions(t, 3, w.all...)
		for _, m := range w.all[1:] {
			if len(m.certificates(t)) != 1 {
				t.Fatalf("%s keeps no certificates", m.id)
			}
		}
		shown, surveys := w.calls(repair.RouteCertificates), w.calls(repair.RouteSurvey)
		wait(time.Hour)
		if now := w.calls(repair.RouteCertificates); now != shown {
			t.Errorf("certificates were shown %d times", now-shown)
		}
		if w.calls(repair.RouteSurvey) == surveys {
			t.Error("nobody was asked what became of it")
		}
		for _, m := range w.all {
			s.has(t, m)
		}
		for _, m := range w.all[1:] {
			if len(m.certificates(t)) != 1 {
				t.Errorf("%s has forgotten them, though they may count yet", m.id)
			}
		}
		for _, m := range w.all[1:] {
			m.putCertificates(t, sinceADayMore(t, m.certificates(t)))
		}
		wait(time.Hour)
		w.wantThrough(t)
		for _, m := range w.all {
			s.has(t, m)
		}
	})
}

// sinceADayMore are certificates that have been kept for a day longer than those of
// a session that nobody knows are.
func sinceADayMore(t *testing.T, all map[string]string) map[string]string {
	t.Helper()
	for key, data := range all {
		var of map[string]any
		decoder := json.NewDecoder(strings.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&of); err != nil {
			t.Fatal(err)
		}
		of["at_ns"] = time.Now().Add(-8 * 24 * time.Hour).UnixNano()
		old, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(old)
	}
	return all
}

// Where it was committed and others have followed it, they tell.
func TestKeptOfForgottenCommit(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		cut := func(_, to *member, route string, body []byte) bool {
			return route == repair.RouteCertificates && slices.Contains(w.all[3:], to) && !strings.Contains(string(body), `"keep":true`)
		}
		w.set(func() { w.cut = cut })
		if report := w.begin(t, w.all[0], repair.RoundOrder{}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		w.dropSessions(t, 3, w.all...)
		for _, m := range w.all[3:] {
			if s.has(t, m); len(m.certificates(t)) != 1 {
				t.Fatalf("%s keeps no certificates", m.id)
			}
		}
		wait(time.Hour)
		s.wantMoved(t, w, 1, 3, w.all...)
		for _, m := range w.all[1:] {
			if len(m.certificates(t)) > 0 {
				t.Errorf("%s still keeps certificates", m.id)
			}
		}
	})
}

// Where the registry has lost its rounds, who keeps the certificates of one that was
// aborted cannot know, follows them, and shows them to all: alone it could not help
// anybody to what is retained behind a later version, which nobody compares.
func TestKeptOfLostRegistry(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all...)
		w.keptByOne(t, w.all[1])
		w.loseRounds(t, 3, w.all...)
		w.split(1, "", 8, 3, w.all...).replace(t, w.all...)
		wait(time.Hour)
		s.wantVersion(t, w, 1, w.all...)
		w.wantThrough(t)
	})
}

// Who has seen that it was aborted is through with it.
func TestKeptOfLostRegistryThatSaidAborted(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s, keeper := w.keep(1, "", 7, 3, w.all...), w.all[1]
		w.keptByOne(t, keeper)
		if err := keeper.ballots().Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.loseRounds(t, 3, w.all...)
		wait(time.Hour)
		for _, m := range w.all {
			s.has(t, m)
		}
		w.wantThrough(t)
	})
}

// keptByOne has a session aborted of which one guardian alone keeps the certificates.
func (w *fleet) keptByOne(t *testing.T, keeper *member) {
	t.Helper()
	cut := func(_, to *member, route string, _ []byte) bool {
		return route == repair.RouteCertificates && to != keeper
	}
	w.set(func() { w.cut = cut })
	if report := w.begin(t, w.all[0], repair.RoundOrder{}); report.Running || report.Failed != 1 {
		t.Fatalf("%+v", report)
	}
	w.set(func() { w.cut = nil })
	for _, m := range w.all {
		if kept := len(m.certificates(t)); kept == 1 != (m == keeper) {
			t.Fatalf("%s keeps the certificates of %d rounds", m.id, kept)
		}
	}
}

// loseRounds has the registry know as much of the rounds of these holders as one
// that was emptied, and has seen others since.
func (w *fleet) loseRounds(t *testing.T, k int, holders ...*member) {
	t.Helper()
	w.dropSessions(t, k, holders...)
	w.rewrite(t, k, holders, func(state map[string]any) { state["line"] = "anew" })
}

// Who was to join, and has nothing but a new share that rotted before it heard that
// its round was committed, is through with it when nobody can help it any more.
func TestCommittedTooLateForWhoJoined(t *testing.T) {
	inFleet(t, 6, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 7, 3, w.all[:5]...)
		late := w.all[5]
		cut := func(_, to *member, route string, _ []byte) bool {
			return route == repair.RouteCertificates && to == late
		}
		w.set(func() { w.cut = cut })
		if report := w.begin(t, w.all[0], repair.RoundOrder{Members: []string{"g1", "g2", "g3", "g4", "g6"}}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		if len(s.prepared(t, late)) != 1 {
			t.Fatal("nothing is prepared")
		}
		s.damage(t, late, "checksum.bin")
		for version := s.version + 1; version < s.version+3; version++ {
			w.split(1, "", version, 3, w.all[:5]...).replace(t, w.all[:5]...)
		}
		w.set(func() { w.cut = nil })
		wait(time.Hour)
		w.wantThrough(t)
		if left, err := late.ballots().Pending(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("it has %d ballots, %v", len(left), err)
		}
	})
}
