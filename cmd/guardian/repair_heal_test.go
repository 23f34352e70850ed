package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair"
)

// Of five guardians one loses all shares, and of another a share and a version
// object are damaged: all of it comes back by itself, and nobody gets what is not
// theirs.
func TestSharesComeBack(t *testing.T) {
	t.Parallel()
	s := newSurgery(t, 5, 3, time.Second)
	all := everyone(5)
	plain, named := s.keep(t, "", 300, all, nil), s.keep(t, "monday", 1000, all, nil)
	large := s.keep(t, "", 200<<10, all, nil)
	lacked := s.keep(t, "", 64, all, []int{1}) // a push that g2 missed
	four := s.keep(t, "", 500, all[:4], nil)
	s.write(t)
	s.startAll(t)
	s.allSee(t, s.states(nobody, ""))
	s.await(t, 1, "g2 has the share that it missed", func() bool { return s.has(1, lacked) })
	for _, i := range []int{1, 3} {
		s.await(t, i, "a scrub has found all in order", func() bool { return s.all[i].scrub(t).Last.Good == 5 })
	}

	for _, kind := range []string{"shares", "vaults"} {
		s.await(t, 1, kind+" are gone", func() bool { return os.RemoveAll(filepath.Join(s.dir, "g2", kind)) == nil }) // g2 may make some meanwhile
	}
	s.flip(t, 3, plain, "share.bin")
	s.flip(t, 3, named, "version")
	for _, i := range []int{1, 3} {
		for _, kept := range s.secrets {
			s.await(t, i, fmt.Sprintf("%s has its share of %s/%s", s.all[i].id, kept.slot.Short(), kept.slot.Name), func() bool { return s.has(i, kept) })
		}
		s.await(t, i, "a scrub finds all in order again, and the queue is empty", func() bool {
			last := s.all[i].scrub(t).Last
			return last.Good == 5 && last.Corrupt+last.Missing+last.Stale+last.Lacking == 0 && s.all[i].repairs(t).Queued == 0
		})
	}
	s.await(t, 3, "the repairs are reported", func() bool {
		return s.all[3].repaired(t, plain.slot) != nil && s.all[1].repaired(t, large.slot) != nil
	})
	wantReport(t, s.all[1].repaired(t, large.slot), 3, 5)
	wantReport(t, s.all[1].repaired(t, four.slot), 3, 4)
	if done := s.all[1].metric(`guardian_repairs_total{outcome="repaired"}`); done < 5 {
		t.Errorf("the metrics say %v repairs", done)
	}
	t.Run("audit", func(t *testing.T) { wantAudited(t, s) })
	t.Run("not a holder", func(t *testing.T) { wantNoShareForOthers(t, s, four) })
	s.wantNoSecrets(t)
	s.wantCleanEnd(t)
}

func wantAudited(t *testing.T, s *surgery) {
	n := s.all[0]
	asksAdmin[repair.AuditReport](t, n, http.MethodPost, "/admin/audit", "")
	var report repair.AuditReport
	s.await(t, 0, "the audit ends", func() bool {
		report = asksAdmin[repair.AuditReport](t, n, http.MethodGet, "/admin/audit", "")
		return report.FinishedNS > 0 && !report.Running
	})
	if report.Error != "" || report.Generations != 5 || report.Sound != 5 || len(report.Groups) != 2 {
		t.Errorf("the audit found %+v", report)
	}
}

// callPeer sends a request as it goes over the wire.
func callPeer(t *testing.T, n *neighbour, as *tls.Config, route string, request any) string {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := say(t, n, as, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", route, len(body), body))
	return got
}

// wantNoShareForOthers: g5 is a member and no holder of what the first four
// hold, and asks for their points, for its own, and for impossible ones.
func wantNoShareForOthers(t *testing.T, s *surgery, four *stored) {
	hash := sha256.Sum256(four.signed)
	stranger, err := integrity.ParseNodeKey([]byte(testKey('x')))
	if err != nil {
		t.Fatal(err)
	}
	name := record.Ref{Identity: four.slot.Identity, Version: 7, Hash: hash[:]}
	member, holder := showing(certificateOf(t, "g5", s.keys[4], nil)), showing(certificateOf(t, "g2", s.keys[1], nil))
	for x := 0; x <= 256; x++ {
		if x > 6 && x < 255 {
			continue
		}
		wantRefused(t, fmt.Sprintf("g5 asks for x=%d", x), callPeer(t, s.all[0], member, repair.RouteOffer, repair.OfferRequest{Ref: name, X: x}))
		if x != 2 {
			wantRefused(t, fmt.Sprintf("g2 asks for x=%d", x), callPeer(t, s.all[0], holder, repair.RouteOffer, repair.OfferRequest{Ref: name, X: x}))
		}
		for _, as := range []*tls.Config{member, holder} {
			wantRefused(t, fmt.Sprintf("offers of nobody, x=%d", x), callPeer(t, s.all[0], as, repair.RouteContribute, repair.ContributeRequest{
				Ref: name, X: x, Offers: []repair.OfferAnswer{{X: 1, Key: make([]byte, 32), Signature: make([]byte, 64)}},
			}))
		}
	}
	for i, node := range []string{"g1", "g2", "g3", "g4", "g9"} { // K names and more, and no key of theirs
		as := showing(certificateOf(t, node, stranger, nil))
		if got := callPeer(t, s.all[0], as, repair.RouteOffer, repair.OfferRequest{Ref: name, X: i + 1}); got != "" {
			t.Errorf("a stranger who says to be %s gets %q", node, got)
		}
		as = showing(certificateOf(t, node, s.keys[4], nil))
		if got := callPeer(t, s.all[0], as, repair.RouteOffer, repair.OfferRequest{Ref: name, X: i + 1}); got != "" {
			t.Errorf("g5 who says to be %s gets %q", node, got)
		}
	}
	survey := repair.SurveyRequest{Identity: four.slot.Identity, Records: true}
	if got := callPeer(t, s.all[0], member, repair.RouteSurvey, survey); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, `"generations":[]`) {
		t.Errorf("g5 asks what g1 holds: %q", got)
	}
	got := callPeer(t, s.all[0], holder, repair.RouteSurvey, survey)
	if !strings.Contains(got, `"sound":true`) || strings.Contains(got, base64.StdEncoding.EncodeToString(four.shares[0])[8:40]) {
		t.Errorf("g2 asks what g1 holds: %q", got)
	}
	if got := callPeer(t, s.all[0], holder, repair.RouteOffer, repair.OfferRequest{Ref: name, X: 2}); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("g2 asks for its own share: %q", got)
	}
}

func wantRefused(t *testing.T, what, got string) {
	t.Helper()
	if !strings.HasPrefix(got, "HTTP/1.1 4") || !strings.Contains(got, `"code":"`) || strings.Contains(got, `"masked"`) || strings.Contains(got, `"key"`) {
		t.Errorf("%s: %q", what, got)
	}
}

// A guardian alone scrubs, and says why nothing more can be done.
func TestRepairAlone(t *testing.T) {
	t.Parallel()
	s := newSurgery(t, 1, 2, time.Second)
	s.environ = append(s.environ, "GUARDIAN_REGISTRY=")
	s.all[0].environ = append(s.all[0].environ, "GUARDIAN_NODE_KEY_FILE=", "GUARDIAN_FAILURE_DOMAIN=")
	slot := guardian.Slot{Identity: strings.Repeat("a", 64)}
	if err := s.nodes[0].Push(t.Context(), slot, guardian.Share{Data: []byte("xshare"), Version: 1, Threshold: 2}, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	s.write(t)
	s.startAll(t)
	n := s.all[0]
	s.await(t, 0, "the scrub is done", func() bool { return n.scrub(t).Last.Good == 1 && n.scrub(t).Last.WithoutManifest == 1 })
	s.flip(t, 0, &stored{slot: slot}, "share.bin")
	s.await(t, 0, "the damage is queued and tried", func() bool {
		status := n.repairs(t)
		return len(status.Items) == 1 && status.Items[0].Attempts > 0 && strings.Contains(status.Items[0].LastError, "damaged")
	})
	response, err := http.Post("http://"+n.printed("GUARDIAN_ADMIN_LISTEN_ADDR")+"/admin/audit", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var refusal struct{ Code string }
	if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil || response.StatusCode != http.StatusConflict || refusal.Code != "no_cluster" {
		t.Errorf("an audit alone is answered with %s, %+v", response.Status, refusal)
	}
	s.wantCleanEnd(t)
}
