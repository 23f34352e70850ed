package repair_test

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair"
)

func named(t *testing.T, s *kept) record.Ref {
	t.Helper()
	of, err := record.Parse(s.signed)
	if err != nil {
		t.Fatal(err)
	}
	return of.Ref()
}

// Who asks for a share that the record does not give to the key that it has
// proved to hold is refused, under as many names as it likes.
func TestOthersShares(t *testing.T) {
	inFleet(t, 7, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all[:5]...)
		name, helper := named(t, s), w.all[0]
		offer := func(caller ed25519.PublicKey, x int) error {
			_, err := ask[repair.OfferAnswer](t, helper, caller, repair.RouteOffer, repair.OfferRequest{Ref: name, X: x})
			return err
		}
		for _, x := range []int{2, 3, 4, 5} {
			if err := offer(w.all[x-1].public(), x); err != nil {
				t.Errorf("an honest holder is refused: %v", err)
			}
			wantRefused(t, "another holder's share", repair.CodeNotHolder, offer(w.all[x%4+1].public(), x))
			for _, outsider := range w.all[5:] { // members both, under different names
				wantRefused(t, "a share of a secret that the caller does not hold", repair.CodeNotHolder, offer(outsider.public(), x))
			}
		}
		wantRefused(t, "the helper's own share", repair.CodeNotHolder, offer(helper.public(), 1))
		for _, x := range []int{0, -1, 256, 257, 1 << 20} {
			wantRefused(t, "no point", repair.CodeMalformed, offer(w.all[1].public(), x))
		}
		for _, x := range []int{6, 7, 255} {
			wantRefused(t, "a point that the record has not", repair.CodeNotHolder, offer(w.all[5].public(), x))
		}
	})
}

// Every way to redeem offers but the right one is refused, and the right one
// works once, within a minute.
func TestOffers(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all...)
		name, caller := named(t, s), w.all[4].public()
		offers := func() (all []repair.OfferAnswer) {
			for _, helper := range w.all[:4] {
				made, err := ask[repair.OfferAnswer](t, helper, caller, repair.RouteOffer, repair.OfferRequest{Ref: name, X: 5})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, made)
			}
			return all
		}
		redeem := func(by ed25519.PublicKey, x int, set []repair.OfferAnswer) error {
			_, err := ask[repair.ContributeAnswer](t, w.all[0], by, repair.RouteContribute, repair.ContributeRequest{Ref: name, X: x, Offers: set})
			return err
		}
		bent := func(change func(all []repair.OfferAnswer) []repair.OfferAnswer) []repair.OfferAnswer {
			return change(offers())
		}
		for what, set := range map[string][]repair.OfferAnswer{
			"K-1 offers": bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { return all[:2] }),
			"K+1 offers": bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { return all[:4] }),
			"one twice": bent(func(all []repair.OfferAnswer) []repair.OfferAnswer {
				return []repair.OfferAnswer{all[0], all[1], all[1]}
			}),
			"not its own":        bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { return all[1:4] }),
			"a bent signature":   bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { all[1].Signature[3] ^= 1; return all[:3] }),
			"another's key":      bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { all[1].Key = all[2].Key; return all[:3] }),
			"another's point":    bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { all[1].X = 4; return all[:3] }),
			"the caller's point": bent(func(all []repair.OfferAnswer) []repair.OfferAnswer { all[1].X = 5; return all[:3] }),
			"none":               nil,
		} {
			wantRefused(t, what, repair.CodeOffers, redeem(caller, 5, set))
		}
		wantRefused(t, "another caller", repair.CodeNotHolder, redeem(w.all[3].public(), 5, offers()[:3]))
		good := offers()
		if err := redeem(caller, 5, good[:3]); err != nil {
			t.Errorf("the right way is refused: %v", err)
		}
		wantRefused(t, "offers redeemed again", repair.CodeOffers, redeem(caller, 5, good[:3]))
		late := offers()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		wantRefused(t, "offers of a minute ago", repair.CodeOffers, redeem(caller, 5, late[:3]))
	})
}

// Whom a record does not name learns nothing of it.
func TestSurveyOfOutsiders(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all[:4]...)
		request := repair.SurveyRequest{Identity: s.slot.Identity, Records: true}
		for i, m := range w.all {
			answer, err := ask[repair.SurveyAnswer](t, w.all[0], m.public(), repair.RouteSurvey, request)
			if err != nil {
				t.Fatal(err)
			}
			if told := len(answer.Generations) == 1; told != (i < 4) {
				t.Errorf("%s is told %+v", m.id, answer.Generations)
			}
		}
	})
}

// Requests that are none are refused, and change nothing.
func TestMalformedRequests(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 2, w.all...)
		var paths []string
		for _, route := range repair.Routes() {
			paths = append(paths, route.Path)
			for _, body := range []string{"", " ", "null", "[]", "{", `"x"`, `{"x":"1"}{}`, "\xff\xfe", `{"identity":5}`, `{"slots":{}}`, `{"batch":7}`, `{"key":1}`, `{"bucket":1}`} {
				if emptyObject(route.Path, body) {
					continue
				}
				if _, err := w.all[0].Handle(t.Context(), w.all[1].public(), route.Path, []byte(body)); err == nil {
					t.Errorf("%s takes %q", route.Path, body)
				}
			}
		}
		slices.Sort(paths)
		if len(slices.Compact(paths)) != len(repair.Routes()) {
			t.Error("a route is there twice")
		}
		_, err := w.all[0].Handle(t.Context(), w.all[1].public(), "/peer/v1/repair/none", []byte("{}"))
		wantRefused(t, "an unknown route", repair.CodeMalformed, err)
		s.has(t, w.all[0])
	})
}

// emptyObject tells a body that is an object without a field that the route
// knows, for routes to which that is a request.
func emptyObject(route, body string) bool {
	switch body {
	case `{"identity":5}`, `{"batch":7}`, `{"key":1}`, `{"bucket":1}`:
		return route == repair.RouteInventory || route == repair.RouteNotice
	case `{"slots":{}}`:
		return route == repair.RouteInventory
	}
	return false
}

// Who is no holder of a secret does not hear its identity, as long as anybody is
// known who is one.
func TestOutsidersAreNotAsked(t *testing.T) {
	inFleet(t, 5, func(t *testing.T, w *fleet) {
		s := w.keep(1, "", 1, 3, w.all[:4]...)
		s.damage(t, w.all[0], "share.bin")
		w.mend(s.slot, w.all[0])
		s.lose(t, w.all[1])
		notice := repair.NoticeRequest{Slots: []repair.SlotName{repair.SlotName(s.slot)}}
		if _, err := ask[repair.NoticeAnswer](t, w.all[1], w.all[2].public(), repair.RouteNotice, notice); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, m := range w.all[:4] {
			s.has(t, m)
		}
		for _, m := range w.said {
			if m.to == w.all[4] && strings.Contains(string(m.body), s.slot.Identity) {
				t.Errorf("the outsider was told of the identity: %s", m.route)
			}
		}
	})
}
