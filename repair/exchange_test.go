package repair

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// inWorld runs a test in a bubble, where only waiting takes time.
func inWorld(t *testing.T, count int, test func(t *testing.T, w *scrubWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newScrubWorld(t, count)) })
}

// Each difference is found by the one that has the worse, and what another lacks
// is told it.
func TestExchangeFinds(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, w *scrubWorld, n *scrubNode, slot guardian.Slot)
		// want is queued at the spoilt node, and told with a notice by others;
		// quiet where nothing is to be done.
		want  Reason
		quiet bool
	}{
		"missing": {want: ReasonMissing, spoil: func(t *testing.T, _ *scrubWorld, n *scrubNode, slot guardian.Slot) { n.forget(t, slot) }},
		"damaged": {want: ReasonDamaged, spoil: func(t *testing.T, _ *scrubWorld, n *scrubNode, slot guardian.Slot) { n.spoil(t, slot) }},
		"lost":    {want: ReasonDamaged, spoil: func(t *testing.T, _ *scrubWorld, n *scrubNode, slot guardian.Slot) { n.lose(t, slot) }},
		"stale": {want: ReasonStale, spoil: func(t *testing.T, w *scrubWorld, n *scrubNode, slot guardian.Slot) {
			ownerOf(slot).push(t, slot.Name, 9, w.nodes, without(w.nodes, n)...)
		}},
		"version damaged": {want: ReasonDamaged, spoil: func(t *testing.T, _ *scrubWorld, n *scrubNode, slot guardian.Slot) {
			for key := range n.store.Objects() {
				if strings.Contains(key, slot.Identity) && strings.HasSuffix(key, slot.Name+"/version") {
					put(t, n.store, key, "9\n")
				}
			}
		}},
		"deleted at another version": {want: ReasonStale, spoil: func(t *testing.T, w *scrubWorld, n *scrubNode, slot guardian.Slot) {
			if err := n.node.Delete(t.Context(), slot, 1, guardian.Caller{}); err != nil {
				t.Fatal(err)
			}
			ownerOf(slot).push(t, slot.Name, 2, w.nodes, without(w.nodes, n)...)
		}},
		"deleted here": {quiet: true, spoil: func(t *testing.T, _ *scrubWorld, n *scrubNode, slot guardian.Slot) {
			if err := n.node.Delete(t.Context(), slot, 1, guardian.Caller{}); err != nil {
				t.Fatal(err)
			}
		}},
		"newer here": {quiet: true, spoil: func(t *testing.T, w *scrubWorld, n *scrubNode, slot guardian.Slot) {
			ownerOf(slot).push(t, slot.Name, 9, w.nodes, n)
		}},
	} {
		for _, secret := range []string{"", "named"} {
			t.Run(name+" "+secret, func(t *testing.T) {
				inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
					for i := range 30 {
						ownerNo(i).push(t, secret, 1, w.nodes, w.nodes...)
					}
					slot, n := ownerNo(7).slot(secret), w.nodes[1]
					test.spoil(t, w, n, slot)
					for _, n := range w.nodes {
						n.scrub(t)
						n.taken()
					}
					report := n.compareAll(t)
					var want []string
					if !test.quiet {
						want = wants(test.want, slot)
					}
					if got := n.taken(); !slices.Equal(got, want) {
						t.Errorf("queued %q, want %q", got, want)
					}
					if report.Comparisons != 2 || report.Buckets != 2 || report.Bad+report.Failed != 0 {
						t.Errorf("got %+v", report)
					}
					last := n.lastInventory().Report
					if lacking, stale := last.Lacking == 1, last.Stale == 1; lacking != (test.want == ReasonMissing) || stale != (test.want == ReasonStale) {
						t.Errorf("%d lacking, %d stale", last.Lacking, last.Stale)
					}
					checkNoticed(t, w, n, slot, test.quiet)
				})
			})
		}
	}
}

// checkNoticed has another guardian compare, which tells the spoilt one, unless
// that has the newer.
func checkNoticed(t *testing.T, w *scrubWorld, spoilt *scrubNode, slot guardian.Slot, newer bool) {
	t.Helper()
	other := w.nodes[0]
	report := other.compareAll(t)
	if report.Noticed != 1 && !newer {
		t.Errorf("it was told of %d", report.Noticed)
	}
	if !newer && !slices.Equal(spoilt.taken(), wants(ReasonNotice, slot)) {
		t.Error("the notice was not taken")
	}
	if alone := other.lastInventory().Report.Alone; alone != 1 && !newer {
		t.Errorf("%d alone", alone)
	}
}

func ownerOf(slot guardian.Slot) scrubOwner {
	for i := 0; ; i++ {
		if ownerNo(i).slot("").Identity == slot.Identity {
			return ownerNo(i)
		}
	}
}

func without(all []*scrubNode, n *scrubNode) []*scrubNode {
	return slices.DeleteFunc(slices.Clone(all), func(o *scrubNode) bool { return o == n })
}

// Equal holdings cost one call.
func TestExchangeOfEquals(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
		for i := range 30 {
			ownerNo(i).push(t, "", 1, w.nodes, w.nodes...)
		}
		for _, n := range w.nodes {
			n.scrub(t)
		}
		if r := w.nodes[0].compareAll(t); r.Equal != 2 || r.Entries != 0 {
			t.Errorf("got %+v", r)
		}
		if calls := w.nodes[1].calls; !reflect.DeepEqual(calls, map[string]int{RouteInventory: 1}) {
			t.Errorf("calls %v", calls)
		}
	})
}

// A node that lost everything learns of everything, once from all of them.
func TestExchangeAfterLoss(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *scrubWorld) {
		var all []guardian.Slot
		for i := range 100 {
			ownerNo(i).push(t, "", 1, w.nodes, w.nodes[:3]...)
			all = append(all, ownerNo(i).slot(""))
		}
		for i := range 120 { // more than a page of one identity
			name := fmt.Sprintf("n%d", i)
			ownerNo(7).push(t, name, 1, w.nodes, w.nodes[:3]...)
			all = append(all, ownerNo(7).slot(name))
		}
		for _, n := range w.nodes {
			n.scrub(t)
		}
		n := w.nodes[3]
		report := n.compareAll(t)
		if got := n.taken(); !slices.Equal(got, wants(ReasonMissing, all...)) {
			t.Errorf("%d of %d were queued", len(got), len(all))
		}
		if report.Entries != 3*220 || report.Queued != 220 || n.lastInventory().Report.Lacking != 220 {
			t.Errorf("got %+v", report)
		}
	})
}

// liar answers with pages that it makes up.
type liar struct {
	*scrubNode
	digests any
	// page makes the n-th page, from 0.
	page  func(n int, request BucketRequest) any
	pages int
}

func (l *liar) lie(route string, body []byte) ([]byte, error, bool) {
	switch route {
	case RouteInventory:
		if l.digests != nil {
			return []byte(jsonOf(l.digests)), nil, true
		}
		var one digest
		one[0] = 1
		answer := InventoryAnswer{TakenNS: 1, Digests: slices.Repeat([][]byte{make([]byte, digestSize)}, buckets)}
		answer.Digests[bucketOf(ownerNo(0).slot("").Identity)] = one[:]
		return []byte(jsonOf(answer)), nil, true
	case RouteBucket:
		var request BucketRequest
		_ = json.Unmarshal(body, &request)
		if l.pages++; l.pages > 300 {
			return nil, errors.New("enough"), true
		}
		return []byte(jsonOf(l.page(l.pages-1, request))), nil, true
	}
	return nil, nil, false
}

// ownersIn are owners whose identity is in the bucket that the liar lies about,
// in order.
func ownersIn(count int) []scrubOwner {
	all := slices.Clone(neighbours()[:count])
	slices.SortFunc(all, func(a, b scrubOwner) int { return strings.Compare(a.slot("").Identity, b.slot("").Identity) })
	return all
}

var neighbours = sync.OnceValue(func() (all []scrubOwner) {
	bucket := bucketOf(ownerNo(0).slot("").Identity)
	for i := 0; len(all) <= maxBad+1; i++ {
		if bucketOf(ownerNo(i).slot("").Identity) == bucket {
			all = append(all, ownerNo(i))
		}
	}
	return all
})

func entryOf(raw []byte) Entry {
	m, err := manifest.Parse(raw)
	if err != nil {
		return Entry{Record: raw}
	}
	return Entry{Identity: m.Identity, Name: m.Name, Version: m.Version, Record: raw}
}

// What a liar tells is not queued, and does not keep one busy.
func TestExchangeWithLiars(t *testing.T) {
	owner := ownersIn(1)[0]
	short := slices.Repeat([][]byte{make([]byte, digestSize)}, buckets)
	for name, test := range map[string]struct {
		digests any
		entry   func(t *testing.T, w *scrubWorld) Entry
		page    func(e Entry) any
		// bad is how many bad entries there are; trusted, that it is not an end
		// with a warning.
		bad     int64
		trusted bool
		pages   int
	}{
		"too few digests":  {digests: InventoryAnswer{Digests: short[:255]}},
		"too many digests": {digests: InventoryAnswer{Digests: append(slices.Clone(short), short...)}},
		"a short digest":   {digests: InventoryAnswer{Digests: append(slices.Clone(short[:255]), []byte{1})}},
		"a long digest":    {digests: InventoryAnswer{Digests: append(slices.Clone(short[:255]), make([]byte, 1<<20))}},
		"null digests":     {digests: map[string]any{"digests": make([]any, buckets)}},
		"no JSON":          {digests: "x"},
		"pages of nothing": {page: func(Entry) any { return BucketAnswer{More: true} }, pages: 1},
		"pages of null":    {page: func(Entry) any { return map[string]any{"entries": nil, "more": true} }, pages: 1},
		"a page too long":  {page: func(e Entry) any { return BucketAnswer{Entries: slices.Repeat([]Entry{e}, maxPage+1)} }, pages: 1},
		"the same again": {pages: 1, bad: maxBad, page: func(e Entry) any {
			return BucketAnswer{Entries: slices.Repeat([]Entry{e}, 50), More: true}
		}},
		"the same a page": {pages: 2, bad: 1, page: func(e Entry) any { return BucketAnswer{Entries: []Entry{e}, More: true} }},
		"without me": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			return entryOf(owner.manifestFor(t, "", 1, w.nodes[1], w.nodes[2]))
		}},
		"without the liar": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			return entryOf(owner.manifestFor(t, "", 1, w.nodes[0], w.nodes[2]))
		}},
		"forged": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Record[len(e.Record)-1] ^= 1
			return e
		}},
		"another's record": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Record = ownerNo(5000).manifestFor(t, "", 1, w.nodes...)
			return e
		}},
		"another name's record": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Name = "other"
			return e
		}},
		"a higher version": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Version = 1 << 63
			return e
		}},
		"another epoch": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Epoch = 3
			return e
		}},
		"no record": {bad: 1, trusted: true, pages: 1, entry: func(*testing.T, *scrubWorld) Entry {
			return Entry{Identity: owner.slot("").Identity, Version: 1}
		}},
		"a huge record": {bad: 1, trusted: true, pages: 1, entry: func(*testing.T, *scrubWorld) Entry {
			return Entry{Identity: owner.slot("").Identity, Version: 1, Record: make([]byte, 1<<20)}
		}},
		"no identity": {bad: 1, trusted: true, pages: 1, entry: func(*testing.T, *scrubWorld) Entry { return Entry{Version: 1} }},
		"a path for a name": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
			e.Name = "../../version"
			return e
		}},
		"another bucket": {bad: 1, trusted: true, pages: 1, entry: func(t *testing.T, w *scrubWorld) Entry {
			other := ownerNo(1)
			if bucketOf(other.slot("").Identity) == bucketOf(owner.slot("").Identity) {
				t.Fatal("it is the same bucket")
			}
			return entryOf(other.manifestFor(t, "", 1, w.nodes...))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
				n, l := w.nodes[0], &liar{scrubNode: w.nodes[1], digests: test.digests}
				w.kill(w.nodes[2])
				// What is right about it is held: nothing is to be queued.
				e := entryOf(owner.manifestFor(t, "", 1, w.nodes...))
				owner.push(t, "", 1, w.nodes, n)
				if test.entry != nil {
					e = test.entry(t, w)
					n.forget(t, owner.slot(""))
				}
				l.page = func(int, BucketRequest) any {
					if test.page == nil {
						return BucketAnswer{Entries: []Entry{e}}
					}
					return test.page(e)
				}
				l.answer = l.lie
				n.scrub(t)
				report := n.compareAll(t)
				if got := n.taken(); len(got) != 0 {
					t.Errorf("queued %q", got)
				}
				if warned := report.Failed == 1; warned == test.trusted || report.Bad != test.bad || l.pages != test.pages {
					t.Errorf("%d pages, got %+v", l.pages, report)
				}
			})
		})
	}
}

// One who makes up secrets of its own has a bounded number of them queued, and
// is not listened to more than that in a round.
func TestExchangeWithFlood(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
		n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
		owner := ownersIn(1)[0]
		l.page = func(page int, _ BucketRequest) any {
			answer := BucketAnswer{More: true}
			for i := range maxPage {
				name := fmt.Sprintf("%08d", page*maxPage+i)
				answer.Entries = append(answer.Entries, entryOf(owner.manifestFor(t, name, 1, w.nodes...)))
			}
			return answer
		}
		l.answer = l.lie
		n.scrub(t)
		report := n.compareAll(t)
		if report.Queued != maxQueued || l.pages != maxQueued/maxPage+1 || len(n.taken()) != maxQueued {
			t.Errorf("%d pages, got %+v", l.pages, report)
		}
	})
}

// Each check is needed: without it the same lie has its way.
func TestExchangeRulesAreNeeded(t *testing.T) {
	owners := ownersIn(2)
	for name, test := range map[string]struct {
		remove func(r *exchangeRules)
		page   func(t *testing.T, w *scrubWorld, n int) BucketAnswer
		won    func(n *scrubNode, l *liar) bool
	}{
		"two entries for ever": {
			remove: func(r *exchangeRules) { r.ahead = func(byte, guardian.Slot, guardian.Slot) bool { return true } },
			page: func(t *testing.T, w *scrubWorld, n int) BucketAnswer {
				return BucketAnswer{More: true, Entries: []Entry{entryOf(owners[n%2].manifestFor(t, "", 1, w.nodes...))}}
			},
			won: func(_ *scrubNode, l *liar) bool { return l.pages > 200 },
		},
		"a share of others": {
			remove: func(r *exchangeRules) {
				r.proves = func(Entry, *record.Record, ed25519.PublicKey, ed25519.PublicKey) bool { return true }
			},
			page: func(t *testing.T, w *scrubWorld, _ int) BucketAnswer {
				return BucketAnswer{Entries: []Entry{entryOf(owners[0].manifestFor(t, "n", 1, w.nodes[1], w.nodes[2]))}}
			},
			won: func(n *scrubNode, _ *liar) bool { return len(n.taken()) > 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, removed := range []bool{false, true} {
				inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
					n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
					w.kill(w.nodes[2])
					l.page = func(i int, _ BucketRequest) any { return test.page(t, w, i) }
					l.answer = l.lie
					for _, o := range owners {
						o.push(t, "", 1, w.nodes, n)
					}
					if removed {
						test.remove(&n.exchangeRules)
					}
					n.scrub(t)
					n.compareAll(t)
					if won := test.won(n, l); won != removed {
						t.Errorf("check removed: %v, lie had its way: %v", removed, won)
					}
				})
			}
		})
	}
}

// Bad entries are borne with up to a number; what is right among them counts.
func TestExchangeBearsWithBad(t *testing.T) {
	for _, bad := range []int{maxBad - 1, maxBad} {
		inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
			n, l := w.nodes[0], &liar{scrubNode: w.nodes[1]}
			owners := ownersIn(bad + 1)
			var answer BucketAnswer
			for i, o := range owners {
				e := entryOf(o.manifestFor(t, "", 1, w.nodes...))
				if i < bad {
					e.Version = 7
				}
				answer.Entries = append(answer.Entries, e)
			}
			l.page = func(int, BucketRequest) any { return answer }
			l.answer = l.lie
			n.scrub(t)
			report := n.compareAll(t)
			if ended := report.Failed == 1; ended != (bad == maxBad) || len(n.taken()) != map[bool]int{false: 1, true: 0}[ended] {
				t.Errorf("%d bad: %+v", bad, report)
			}
			if warned := strings.Contains(n.log.String(), "level=WARN"); warned != (bad == maxBad) {
				t.Errorf("%d bad: warned %v", bad, warned)
			}
		})
	}
}

// Two records of one version are for the owner to settle.
func TestExchangeOfForks(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
		a, b := w.nodes[0], w.nodes[1]
		ownerNo(0).push(t, "", 1, w.nodes[:2], a)
		ownerNo(0).push(t, "", 1, []*scrubNode{a, b, w.nodes[2]}, b)
		a.scrub(t)
		b.scrub(t)
		w.kill(w.nodes[2])
		if report := a.compareAll(t); report.Forked != 1 || report.Queued != 0 || report.Bad != 0 {
			t.Errorf("got %+v", report)
		}
		if got := a.taken(); len(got) != 0 {
			t.Errorf("queued %q", got)
		}
	})
}

// One who is silent, refuses or is busy holds up nobody else; the busy one is
// asked again soon.
func TestExchangeWithTheSilent(t *testing.T) {
	inWorld(t, 5, func(t *testing.T, w *scrubWorld) {
		ownerNo(0).push(t, "", 1, w.nodes, w.nodes[1:]...)
		for _, n := range w.nodes {
			n.scrub(t)
		}
		n := w.nodes[0]
		w.kill(w.nodes[1])
		w.nodes[2].answer = func(string, []byte) ([]byte, error, bool) { return nil, errors.New("no answer"), true }
		w.nodes[3].answer = func(string, []byte) ([]byte, error, bool) { return nil, &RefusedError{CodeBusy, "busy"}, true }
		again := map[string]time.Time{}
		_, due := n.dueMembers(nil, again, true)
		n.compareWith(t.Context(), due, again, true)
		if report := n.progress().Exchange; report.Comparisons != 3 || report.Failed != 1 || report.Queued != 1 {
			t.Errorf("got %+v", report)
		}
		live, due := n.dueMembers(map[string]bool{}, again, true)
		if len(due) != 3 || len(live) != 3 {
			t.Errorf("%d live, %d due", len(live), len(due))
		}
		if _, due := n.dueMembers(live, again, false); len(due) != 0 {
			t.Errorf("%d are due at once", len(due))
		}
		time.Sleep(2 * exchangeRetry)
		if _, due := n.dueMembers(live, again, false); len(due) != 1 || due[0].NodeID != "g3" {
			t.Errorf("later %v are due", due)
		}
	})
}

// It keeps the pace also over what it has no record of.
func TestExchangeKeepsPace(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
		owner := ownersIn(1)[0]
		n := w.nodes[0]
		owner.push(t, "", 1, w.nodes, w.nodes[1])
		for i := range 40 {
			plain := guardian.Share{Data: []byte("\x01plain"), Version: 1, Threshold: 2}
			if err := n.node.Push(t.Context(), owner.slot(fmt.Sprintf("n%d", i)), plain, guardian.Caller{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range w.nodes {
			n.scrub(t)
		}
		const wait = 100 * time.Millisecond
		slow := &backendtest.Faulty{Backend: n.store}
		s := n.replica(openScrubNode(t, n.id, slow))
		s.recall(t.Context())
		slow.SetInject(func(backendtest.Call) backendtest.Fault {
			time.Sleep(wait)
			return backendtest.None
		})
		before, began := len(slow.Calls()), time.Now()
		if err := s.compare(t.Context(), Member{Key: w.nodes[1].public()}, newFindings()); err != nil {
			t.Fatal(err)
		}
		calls := len(slow.Calls()) - before // some of them side by side
		if took := time.Since(began); calls < 100 || took < restTimes*time.Duration(calls)*wait/2 {
			t.Errorf("%d calls took %v", calls, took)
		}
	})
}

// It compares after each pass, and with whoever comes alive.
func TestExchangeTriggers(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
		for i := range 10 {
			ownerNo(i).push(t, "", 1, w.nodes, w.nodes...)
		}
		n := w.nodes[0]
		w.kill(w.nodes[2])
		for _, n := range w.nodes[1:] {
			n.scrub(t)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.run(ctx); close(done) }()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := n.progress().Exchange.Comparisons; got < 1 || got > 2 {
			t.Errorf("%d comparisons after the first pass", got)
		}
		before := n.progress().Exchange.Comparisons
		w.revive(w.nodes[2])
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := n.progress().Exchange.Comparisons; got != before+1 {
			t.Errorf("%d more with the one who came", got-before)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := n.progress().Exchange.Comparisons; got != before+3 {
			t.Errorf("%d more after the next pass", got-before-1)
		}
		stop()
		<-done
	})
}

// A slot that cannot be read here holds up no other; a storage that cannot does.
func TestExchangeUnreadable(t *testing.T) {
	for _, failing := range []int{1, maxUnreadable} {
		inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
			owners := ownersIn(maxUnreadable + 1)
			for _, o := range owners {
				o.push(t, "", 1, w.nodes, w.nodes[1])
			}
			w.nodes[1].scrub(t)
			n := w.nodes[0]
			faulty := &backendtest.Faulty{Backend: n.store}
			n.scrubber = n.replica(openScrubNode(t, n.id, faulty))
			n.scrub(t)
			faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
				for _, o := range owners[:failing] {
					if strings.Contains(c.Key, o.slot("").Identity) {
						return backendtest.NotApplied
					}
				}
				return backendtest.None
			})
			report := n.compareAll(t)
			if ended := report.Failed == 1; ended != (failing == maxUnreadable) || report.Unreadable != int64(failing) {
				t.Errorf("%d fail: %+v", failing, report)
			}
		})
	}
}

func TestNotices(t *testing.T) {
	for name, test := range map[string]struct {
		slot   guardian.Slot
		caller int // 9 is no member
		want   int
	}{
		"damaged":               {ownerNo(3).slot(""), 1, 1},
		"damaged, by nobody":    {ownerNo(3).slot(""), 9, 1},
		"lost":                  {ownerNo(4).slot("lost"), 1, 1},
		"unknown":               {ownerNo(77).slot(""), 1, 1},
		"unknown, by nobody":    {ownerNo(77).slot(""), 9, 0},
		"sound, may be stale":   {ownerNo(0).slot(""), 1, 1},
		"sound, by nobody":      {ownerNo(0).slot(""), 9, 0},
		"deleted":               {ownerNo(5).slot(""), 1, 1},
		"deleted, by nobody":    {ownerNo(5).slot(""), 9, 0},
		"an unknown named one":  {ownerNo(0).slot("unknown"), 2, 1},
		"without manifest here": {ownerNo(6).slot(""), 9, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
				zoo(t, w)
				n := w.nodes[0]
				answer, err := n.answerNotice(t.Context(), scrubKey(t, test.caller).PublicKey(), NoticeRequest{[]SlotName{SlotName(test.slot)}})
				if err != nil || answer.Taken != test.want || len(n.taken()) != test.want {
					t.Errorf("took %d, %v", answer.Taken, err)
				}
			})
		})
	}
}

func TestNoticesRefused(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *scrubWorld) {
		n, caller := w.nodes[0], w.nodes[1].public()
		good := SlotName(ownerNo(1).slot(""))
		for name, slots := range map[string][]SlotName{
			"too many":   slices.Repeat([]SlotName{good}, maxNotices+1),
			"no slot":    {good, {Identity: "xx"}},
			"path":       {{good.Identity, "../x"}},
			"upper case": {{strings.ToUpper(good.Identity), ""}},
		} {
			_, err := n.answerNotice(t.Context(), caller, NoticeRequest{slots})
			if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Code != CodeMalformed {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := n.taken(); len(got) != 0 {
			t.Errorf("queued %q", got)
		}
		if answer, err := n.answerNotice(t.Context(), caller, NoticeRequest{}); err != nil || answer.Taken != 0 {
			t.Errorf("an empty one: %v", err)
		}
	})
}

// A member is believed so often in an hour, each by itself.
func TestNoticesAreBounded(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *scrubWorld) {
		n := w.nodes[0]
		tell := func(from *scrubNode, first int) (taken int) {
			for page := range 2 * maxHints / maxNotices {
				var request NoticeRequest
				for i := range maxNotices {
					request.Slots = append(request.Slots, SlotName{ownerNo(1).slot("").Identity, fmt.Sprintf("n%d", first+page*maxNotices+i)})
				}
				answer, err := n.answerNotice(t.Context(), from.public(), request)
				if err != nil {
					t.Fatal(err)
				}
				taken += answer.Taken
			}
			return taken
		}
		if got := tell(w.nodes[1], 0); got != maxHints {
			t.Errorf("%d of one are taken", got)
		}
		if got := tell(w.nodes[2], 10_000); got != maxHints {
			t.Errorf("%d of another are taken", got)
		}
		time.Sleep(hintWindow - time.Minute)
		if got := tell(w.nodes[1], 20_000); got != 0 {
			t.Errorf("%d more are taken", got)
		}
		time.Sleep(2 * time.Minute)
		if got := tell(w.nodes[1], 20_000); got != maxHints {
			t.Errorf("an hour later %d are taken", got)
		}
		if len(n.hints.by) > 2 {
			t.Errorf("%d are remembered", len(n.hints.by))
		}
	})
}
