package repair

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

// timeless is a report without what differs from run to run.
func timeless(r ScrubReport) ScrubReport {
	r.StartedNS, r.FinishedNS, r.BusyNS, r.ElapsedNS, r.CPUShare = 0, 0, 0, 0, 0
	return r
}

// zoo stores one slot of every kind at the first node of a world of three.
func zoo(t *testing.T, w *scrubWorld) (corrupt, missing guardian.Slot) {
	t.Helper()
	n := w.nodes[0]
	for i := range 3 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
		ownerNo(i).push(t, "named", 7, w.nodes, n)
	}
	ownerNo(3).push(t, "", 1, w.nodes, n)
	n.spoil(t, ownerNo(3).slot(""))
	ownerNo(4).push(t, "lost", 1, w.nodes, n)
	n.lose(t, ownerNo(4).slot("lost"))
	ownerNo(5).push(t, "", 1, w.nodes, n)
	if err := n.node.Delete(t.Context(), ownerNo(5).slot(""), 1, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	for len(n.objectsOf(ownerNo(5).slot(""))) > 0 { // dropped behind the answer
		time.Sleep(time.Millisecond)
	}
	plain := guardian.Share{Data: []byte("\x01plain"), Version: 1, Threshold: 5}
	if err := n.node.Push(t.Context(), ownerNo(6).slot(""), plain, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	put(t, n.store, "shares/"+ownerNo(0).slot("").Identity+"/0-0123456789ab/share.bin", "orphan")
	return ownerNo(3).slot(""), ownerNo(4).slot("lost")
}

func put(t *testing.T, store backend.Backend, key, text string) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, []byte(text), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

func TestScrubCounts(t *testing.T) {
	w := newScrubWorld(t, 3)
	n := w.nodes[0]
	corrupt, missing := zoo(t, w)
	got := timeless(n.scrub(t))
	if got.Bytes <= 0 || got.BytesPerIdentity != got.Bytes/7 {
		t.Errorf("%d bytes, %d for each identity", got.Bytes, got.BytesPerIdentity)
	}
	got.Bytes, got.BytesPerIdentity = 0, 0
	want := ScrubReport{
		Slots: 10, Good: 7, Corrupt: 1, Missing: 1, Deleted: 1, Orphaned: 1, WithoutManifest: 1,
		Live: 9, HighestThreshold: 5, Identities: 7,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	queued := append(wants(ReasonDamaged, corrupt), wants(ReasonMissing, missing)...)
	if taken := n.taken(); !reflect.DeepEqual(taken, queued) {
		t.Errorf("queued %q, want %q", taken, queued)
	}
	if count, approximate := n.node.ShareCount(); count != 9 || approximate {
		t.Errorf("share count %d, approximate %v", count, approximate)
	}
	if k := n.node.HighestThreshold(); k != 5 {
		t.Errorf("highest threshold %d", k)
	}
	again := n.scrub(t)
	if again.Orphaned != 0 || again.Estimated != 10 {
		t.Errorf("again: %d orphaned, %d estimated", again.Orphaned, again.Estimated)
	}
}

// What is the storage's fault, or the keys', is no damage.
func TestScrubUnreadable(t *testing.T) {
	w := newScrubWorld(t, 3)
	n := w.nodes[0]
	for i := range 5 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	bad := ownerNo(2).slot("").Identity
	faulty := &backendtest.Faulty{Backend: n.store}
	s := n.replica(openScrubNode(t, n.id, faulty))
	faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
		if strings.Contains(c.Key, bad) {
			return backendtest.NotApplied
		}
		return backendtest.None
	})
	mustPass(t, s)
	r := s.progress().Last
	if r.Unreadable != 1 || r.Good != 4 || r.Corrupt+r.Missing != 0 || len(n.taken()) != 0 {
		t.Errorf("got %+v", r)
	}
	if _, approximate := s.cfg.Node.ShareCount(); !approximate {
		t.Error("a count that lacks a slot is told as exact")
	}
}

// A pass killed anywhere any number of times ends with the report and the
// inventory of one that never was.
func TestScrubResumes(t *testing.T) {
	w := newScrubWorld(t, 3)
	n := w.nodes[0]
	zoo(t, w)
	for i := 10; i < 60; i++ {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	n.scrub(t) // orphans are dropped once
	n.scrub(t)
	want := n.lastInventory()
	draw := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		report, digests := killedPass(t, n, draw)
		if timeless(report) != timeless(want.Report) {
			t.Errorf("got  %+v\nwant %+v", timeless(report), timeless(want.Report))
		}
		if !reflect.DeepEqual(digests, want.Digests) {
			t.Error("the digests are others")
		}
	}
}

var errKilled = errors.New("killed")

// killedPass makes a pass in processes that save often and are killed without
// warning.
func killedPass(t *testing.T, n *scrubNode, draw *rand.Rand) (ScrubReport, tallies) {
	t.Helper()
	for kills := 0; ; kills++ {
		faulty := &backendtest.Faulty{Backend: n.store}
		s := n.replica(openScrubNode(t, n.id, faulty))
		s.replica = n.id // as if the lease had run out
		s.recall(t.Context())
		state, rev, err := s.loadState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		from := len(faulty.Calls())
		at := from + 1 + draw.IntN(250)
		if kills == 8 {
			at = 1 << 30
		}
		faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
			if c.N >= at {
				return backendtest.NotApplied // and so are all that follow
			}
			return backendtest.None
		})
		s.enqueue = func(context.Context, Item) error { return nil }
		p := passOf(s, state, rev)
		if err := p(t.Context()); err == nil {
			return s.lastInventory().Report, s.lastInventory().Digests
		}
	}
}

// passOf saves behind every third slot.
func passOf(s *scrubber, state *scrubState, rev backend.Revision) func(context.Context) error {
	now := time.Now()
	s.cfg.Now = func() time.Time {
		now = now.Add(saveInterval / 3)
		return now
	}
	return func(ctx context.Context) error { return s.pass(ctx, state, rev) }
}

// A pass that is stopped gives its lease back, and the next goes on behind it.
func TestScrubStops(t *testing.T) {
	w := newScrubWorld(t, 3)
	n := w.nodes[0]
	for i := range 20 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	ctx, stop := context.WithCancel(t.Context())
	faulty := &backendtest.Faulty{Backend: n.store}
	s := n.replica(openScrubNode(t, n.id, faulty))
	faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
		if c.N == 60 {
			stop()
		}
		return backendtest.None
	})
	state, rev, _ := s.loadState(t.Context())
	if err := s.pass(ctx, state, rev); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	kept, _, err := n.loadState(t.Context())
	if err != nil || kept.Pass == nil || kept.Holder != "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	if done := kept.Pass.Report.Slots; done == 0 || done == 20 {
		t.Fatalf("%d slots were done", done)
	}
	if r := n.scrub(t); r.Slots != 20 || r.Good != 20 {
		t.Errorf("got %+v", r)
	}
}

// Every call of a pass fails once, in both ways; the next pass makes up for it.
func TestScrubFaults(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	for i := range 4 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
		for at := 1; ; at++ {
			faulty := &backendtest.Faulty{Backend: n.store}
			s := n.replica(openScrubNode(t, n.id, faulty))
			from := len(faulty.Calls())
			faulty.SetInject(func(c backendtest.Call) backendtest.Fault {
				if c.N == from+at {
					return fault
				}
				return backendtest.None
			})
			for range 3 {
				if _, err := s.attempt(t.Context()); err == nil && s.lastInventory() != nil {
					break
				}
				s.askedNS = s.nowNS()
			}
			if r := s.progress().Last; r.Slots != 4 || r.Good+r.Unreadable != 4 || r.Corrupt+r.Missing != 0 {
				t.Errorf("fault %d at %d: %+v", fault, at, r)
			}
			if len(faulty.Calls()) < from+at {
				break
			}
		}
	}
}

// What cannot be queued is not passed by.
func TestScrubQueueFails(t *testing.T) {
	w := newScrubWorld(t, 3)
	n := w.nodes[0]
	corrupt, _ := zoo(t, w)
	n.failQ = errKilled
	state, rev, _ := n.loadState(t.Context())
	if err := n.pass(t.Context(), state, rev); !errors.Is(err, errKilled) {
		t.Fatalf("got %v", err)
	}
	n.failQ = nil
	r := n.scrub(t)
	if taken := strings.Join(n.taken(), ","); !strings.Contains(taken, corrupt.Short()) || r.Slots != 10 || r.Corrupt != 1 || r.Missing != 1 {
		t.Errorf("queued %s, %+v", taken, r)
	}
}

// Whatever lies where progress and inventory are kept, a scrub is made.
func TestScrubBrokenObjects(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	for i := range 3 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	n.scrub(t)
	_, good, _ := strings.Cut(string(n.store.Objects()["queue/"+keyScrubInventory]), "\n")
	future := time.Now().Add(time.Hour).UnixNano()
	slot := ownerNo(0).slot("").Identity
	for name, text := range map[string]string{
		"empty": "", "no JSON": "{", "another JSON": `[1]`, "null": `null`,
		"an inventory":        good,
		"cut off":             good[:len(good)/2],
		"cursor of nowhere":   `{"pass":{"after":{"identity":"../x"}}}`,
		"a digest too short":  `{"pass":{"digests":{"` + strings.Repeat("ab", 32) + `":"AAAA"}}}`,
		"a digest of nobody":  `{"pass":{"digests":{"zz":null}}}`,
		"negative counts":     `{"pass":{"after":{"identity":"` + slot + `"},"report":{"good":-5}}}`,
		"hashes out of order": `{"pass":{"hashes":[2,1]}}`,
		"another node key":    `{"pass":{"key":"00","after":{"identity":"` + strings.Repeat("f", 64) + `"}}}`,
		"an endless lease":    `{"holder":"x","until_ns":9223372036854775807}`,
		"a megabyte of space": strings.Repeat(" ", 1<<20),
		"the future": `{"finished_ns":` + jsonOf(future) + `,"key":"` + hex.EncodeToString(n.own) +
			`","report":{"started_ns":` + jsonOf(future) + `,"finished_ns":` + jsonOf(future) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, sealed := range []bool{false, true} {
				for _, key := range []string{keyScrubProgress, keyScrubInventory} {
					object := text
					if sealed {
						object = sealBy(t, n.node.Sealer(), key, text)
					}
					put(t, n.store, "queue/"+key, object)
				}
				n.restart(t)
				n.recall(t.Context())
				n.askedNS = n.nowNS()
				if _, err := n.attempt(t.Context()); err != nil {
					t.Fatal(err)
				}
				if r := n.progress().Last; r.Good != 3 || r.Slots != 3 {
					t.Errorf("sealed %v: got %+v", sealed, r)
				}
			}
		})
	}
}

func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// Two replicas ask for passes at the same time: one makes them, and when it is
// gone the other does, behind where the first one saved.
func TestScrubReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newScrubWorld(t, 2)
		n := w.nodes[0]
		for i := range 60 {
			ownerNo(i).push(t, "", 1, w.nodes, n)
		}
		slow := &backendtest.Faulty{Backend: n.store, Inject: func(backendtest.Call) backendtest.Fault {
			time.Sleep(100 * time.Millisecond)
			return backendtest.None
		}}
		first, second := n.replica(openScrubNode(t, n.id, slow)), n.replica(openScrubNode(t, n.id, slow))
		ctx, stop := context.WithCancel(t.Context())
		firstCtx, stopFirst := context.WithCancel(ctx)
		done := make(chan struct{}, 2)
		go func() { first.run(firstCtx); done <- struct{}{} }()
		time.Sleep(5 * time.Second)
		go func() { second.run(ctx); done <- struct{}{} }()
		time.Sleep(40 * time.Second)
		if p := first.progress(); !p.Here || !p.Running || p.Now.Slots == 0 {
			t.Errorf("the first: %+v", p)
		}
		if p := second.progress(); p.Here || !p.Running || p.Scrubbed != 0 {
			t.Errorf("the second: %+v", p)
		}
		stopFirst()
		<-done
		time.Sleep(30 * time.Second)
		if p := second.progress(); !p.Here || p.Now.Slots <= first.progress().Scrubbed {
			t.Errorf("the second, alone: %+v", p)
		}
		for second.progress().Last.FinishedNS == 0 {
			time.Sleep(time.Minute)
		}
		if p := second.progress(); p.Last.Slots != 60 || p.Last.Good != 60 || p.Scrubbed+first.progress().Scrubbed != 60 {
			t.Errorf("at the end: %+v", p)
		}
		if share := second.progress().Last.CPUShare; share > 0.12 || share < 0.05 {
			t.Errorf("it worked for %v of the time", share)
		}
		stop()
		<-done
	})
}

// Who was killed holds its lease for as long as it is given, and no longer.
func TestScrubLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newScrubWorld(t, 2)
		n := w.nodes[0]
		ownerNo(1).push(t, "", 1, w.nodes, n)
		dead := n.replica(n.node)
		if _, err := dead.saveState(t.Context(), &scrubState{
			Holder: dead.replica, UntilNS: time.Now().Add(scrubLease).UnixNano(),
		}, backend.Revision{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.run(ctx); close(done) }()
		for n.progress().Last.FinishedNS == 0 {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < scrubLease || took > scrubLease+scrubPoll+time.Second {
			t.Errorf("it took %v", took)
		}
		stop()
		<-done
	})
}

// One that lost its lease while it worked stops.
func TestScrubLosesLease(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	for i := range 20 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	s := n.replica(n.node)
	state, rev, _ := s.loadState(t.Context())
	run := passOf(s, state, rev)
	s.enqueue = func(context.Context, Item) error { return nil }
	slots := 0
	s.cfg.Peers = nil
	tick := s.cfg.Now
	s.cfg.Now = func() time.Time {
		if slots++; slots == 12 {
			other := &scrubState{Holder: "other", UntilNS: time.Now().Add(20 * time.Second).UnixNano()}
			if _, err := n.saveState(t.Context(), other, backend.AnyRevision); err != nil {
				t.Error(err)
			}
		}
		return tick()
	}
	if err := run(t.Context()); !errors.Is(err, errOtherReplica) {
		t.Errorf("got %v", err)
	}
	if kept, _, _ := n.loadState(t.Context()); kept.Holder != "other" {
		t.Errorf("the lease is %q's", kept.Holder)
	}
	if s.lastInventory() != nil {
		t.Error("it made an inventory")
	}
}

// Passes come at the interval from start to start, at once when asked for, and
// never by themselves without one.
func TestScrubSchedule(t *testing.T) {
	for name, test := range map[string]struct {
		interval time.Duration
		ask      bool
		want     int64
	}{
		"every hour":          {interval: time.Hour, want: 4},
		"every hour, and now": {interval: time.Hour, ask: true, want: 5},
		"never":               {want: 0},
		"when asked":          {ask: true, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newScrubWorld(t, 2)
				n := w.nodes[0]
				ownerNo(1).push(t, "", 1, w.nodes, n)
				n.cfg.ScrubInterval = test.interval
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { n.run(ctx); close(done) }()
				time.Sleep(2*time.Hour + 40*time.Minute)
				if test.ask {
					n.start()
				}
				time.Sleep(70 * time.Minute)
				if got := n.progress().Scrubbed; got != test.want {
					t.Errorf("%d passes, want %d", got, test.want)
				}
				stop()
				<-done
			})
		})
	}
}

// A pass that was begun under a clock that was ahead does not put off the next.
func TestScrubBegunInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newScrubWorld(t, 1).nodes[0]
		state, rev, err := n.loadState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		state.Pass = n.newPass()
		state.Pass.Report.StartedNS += int64(10 * 24 * time.Hour)
		if err := n.pass(t.Context(), state, rev); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * n.cfg.ScrubInterval)
		if state, _, err = n.loadState(t.Context()); err != nil || n.due(state) > 0 {
			t.Errorf("the next pass is in %v, %v", n.due(state), err)
		}
	})
}

// A restarted process knows the share count of the last pass at once, and makes
// one of its own.
func TestScrubRecalls(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	for i := range 3 {
		ownerNo(i).push(t, "", 1, w.nodes, n)
	}
	n.scrub(t)
	node := openScrubNode(t, n.id, n.store)
	s := n.replica(node)
	s.recall(t.Context())
	if count, approximate := node.ShareCount(); count != 3 || !approximate {
		t.Errorf("%d, approximate %v", count, approximate)
	}
	if node.HighestThreshold() != 2 {
		t.Errorf("highest threshold %d", node.HighestThreshold())
	}
	mustPass(t, s)
	if count, approximate := node.ShareCount(); count != 3 || approximate {
		t.Errorf("then %d, approximate %v", count, approximate)
	}
}

// Without a node key there is nothing to compare, and all else.
func TestScrubAlone(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	ownerNo(1).push(t, "", 1, w.nodes, n)
	n.cfg.Key, n.cfg.Peers, n.own = nil, nil, nil
	if r := n.scrub(t); r.Good != 1 {
		t.Errorf("got %+v", r)
	}
	if len(n.lastInventory().Digests) != 0 {
		t.Error("there are digests")
	}
}

// The shares that were read do not stay in memory.
func TestScrubWipes(t *testing.T) {
	data := []byte("\x01secret")
	e := guardian.Examined{Slot: ownerNo(0).slot(""), Known: true, Version: 1, Held: []guardian.Held{
		{Version: 1, Sound: true, Share: guardian.Share{Data: data}},
	}}
	w := newScrubWorld(t, 1)
	n := w.nodes[0]
	worker, err := n.pace.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.end()
	p := &pass{scrubber: n.scrubber, state: &scrubState{Pass: n.newPass()}, worker: worker}
	if err := p.visit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if strings.Trim(string(data), "\x00") != "" {
		t.Errorf("%q is left", data)
	}
}

func TestIdentities(t *testing.T) {
	var few, many identities
	for i := range 500 {
		few.add(ownerNo(i % 250).slot("").Identity)
	}
	if few.count() != 250 {
		t.Errorf("%d of 250", few.count())
	}
	for i := range 50_000 {
		many.add(strings.Repeat("x", i%7) + jsonOf(i))
	}
	if got := many.count(); got < 46_000 || got > 54_000 || len(many) != keptHashes || !many.valid() {
		t.Errorf("%d of 50000", got)
	}
}
