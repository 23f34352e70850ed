package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/guardian"
)

// One who has always another page, with little in it or nothing, or takes its
// time over each, is left, and gone on with behind that later.
func TestExchangeStops(t *testing.T) {
	for name, takes := range map[string]time.Duration{"at once": 0, "slow": time.Second, "as slow as may be": pacedCallTime} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
				n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
				var asked []BucketRequest
				l.answer = func(route string, body []byte) ([]byte, error, bool) {
					if route != RouteBucket {
						return l.lie(route, body)
					}
					time.Sleep(takes)
					var request BucketRequest
					_ = json.Unmarshal(body, &request)
					asked = append(asked, request)
					last := SlotName{Identity: fmt.Sprintf("%s%062x", request.Bucket, len(asked))}
					return []byte(jsonOf(BucketAnswer{Entries: []Entry{}, Last: last, More: true})), nil, true
				}
				n.scrub(t)
				again := map[string]time.Time{}
				for all := range 3 {
					began, before := time.Now(), len(asked)
					_, due := n.dueMembers(nil, again, true)
					n.compareWith(t.Context(), due, again, all == 0)
					if took := time.Since(began); took > comparisonTime+2*pacedCallTime || len(asked)-before > maxPages {
						t.Errorf("%d pages in %v", len(asked)-before, took)
					}
					if len(again) != 1 {
						t.Error("it is not gone on with")
					}
				}
				for i, request := range asked[1:] {
					if request.After.Identity != fmt.Sprintf("%s%062x", request.Bucket, i+1) {
						t.Fatalf("page %d is behind %s", i+1, request.After.Identity)
					}
				}
			})
		})
	}
}

// A comparison in many parts finds what one in a single part does, once.
func TestExchangeInParts(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
		n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
		var theirs []Entry
		var lacking []guardian.Slot
		for i, owner := range ownersIn(12) {
			if i%2 == 0 {
				owner.push(t, "", 1, w.nodes, n)
				continue
			}
			theirs = append(theirs, entryOf(owner.manifestFor(t, "", 1, w.nodes...)))
			lacking = append(lacking, owner.slot(""))
		}
		l.page = func(_ int, request BucketRequest) any {
			time.Sleep(comparisonTime * 2 / 3)
			i := slices.IndexFunc(theirs, func(e Entry) bool { return e.Identity > request.After.Identity })
			return BucketAnswer{Entries: theirs[i : i+1], More: i+1 < len(theirs)}
		}
		l.answer = l.lie
		n.scrub(t)
		again := map[string]time.Time{}
		_, due := n.dueMembers(nil, again, true)
		n.compareWith(t.Context(), due, again, true)
		for rounds := 1; len(again) > 0; rounds++ {
			if rounds == 10 {
				t.Fatal("no end of it")
			}
			n.compareWith(t.Context(), due, again, false)
		}
		report := n.progress().Exchange
		if report.Comparisons != 3 || report.Queued != 6 || report.Noticed != 6 || report.Entries != 6 || report.Failed != 0 {
			t.Errorf("got %+v", report)
		}
		if got := n.taken(); !slices.Equal(got, wants(ReasonMissing, lacking...)) {
			t.Errorf("queued %q", got)
		}
		stored, err := n.loadInventory(t.Context())
		if err != nil || stored.Report.Lacking != 6 || stored.Report.Alone != 6 {
			t.Errorf("the report says %+v, %v", stored.Report, err)
		}
	})
}

// One who is busy from the start has nothing noted about it.
func TestExchangeStopsAtNothing(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
		n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
		ownersIn(1)[0].push(t, "", 1, w.nodes, n)
		l.answer = func(route string, body []byte) ([]byte, error, bool) {
			if route == RouteBucket {
				return nil, &RefusedError{CodeBusy, "busy"}, true
			}
			return l.lie(route, body)
		}
		n.scrub(t)
		if err := n.compare(t.Context(), Member{Key: l.public()}, newFindings()); !errors.Is(err, errGoOnLater) {
			t.Errorf("got %v", err)
		}
		if report := n.progress().Exchange; report.Noticed != 0 || l.calls[RouteNotice] != 0 {
			t.Errorf("got %+v", report)
		}
	})
}
