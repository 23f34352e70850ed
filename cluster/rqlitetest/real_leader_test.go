//go:build rqlite

package rqlitetest_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// asked are the requests that meet a cluster without a leader.
var asked = []struct{ path, body string }{
	{execute + "?timeout=100ms", `[["DELETE FROM t WHERE n = ?",1]]`},
	{strong + "&timeout=100ms", selectAll},
	{"/db/query?level=linearizable&timeout=100ms", selectAll},
}

const patience = 10 * time.Second // with which a state of the cluster is awaited

// saying is what is said to a request.
type saying struct{ path, answer string }

// addresses differ from run to run; which error a whole request has, from how
// far it got.
var (
	addresses = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	failures  = regexp.MustCompile(`"results":\[\],"error":"[^"]+"`)
)

// shape is what a client goes by.
func (s saying) shape() saying {
	return saying{s.path, failures.ReplaceAllString(s.answer, `"results":[],"error":"..."`)}
}

// heard are answers, and when each was first given.
type heard map[saying]time.Duration

// condition is what a node does with all that it is asked.
type condition int

const (
	varies condition = iota
	serves
	refuses // as there is no leader
)

// ask puts all requests to one node.
func (h heard) ask(t *testing.T, since time.Time, ask asker) condition {
	t.Helper()
	var served, refused int
	for _, a := range asked {
		status, header, text, err := ask(a.path, a.body)
		if err != nil {
			t.Errorf("%s: %v", a.path, err)
			continue
		}
		said := saying{a.path, addresses.ReplaceAllString(fmt.Sprintf("%d %s %s", status, header.Get("Content-Type"), text), "ADDRESS")}
		if _, again := h[said]; !again {
			h[said] = time.Since(since)
		}
		switch {
		case strings.HasPrefix(text, `{"results":[{`):
			served++
		case text == noLeader:
			refused++
		}
	}
	switch len(asked) {
	case served:
		return serves
	case refused:
		return refuses
	}
	return varies
}

// fromStandIn are the shapes of the answers that the stand-in gives in all its
// states.
func fromStandIn(t *testing.T) map[saying]bool {
	t.Helper()
	all := heard{}
	for _, bring := range []func(c cluster){
		func(cluster) {},
		func(c cluster) { c.Stop(0) },
		func(c cluster) { c.Pause(0) },
		func(c cluster) { c.Elect(-1) },
		func(c cluster) { c.Inject = always(rqlitetest.LeadershipLost) },
		func(c cluster) { c.Inject = always(rqlitetest.NotLeader) },
	} {
		c := newCluster(t, 3)
		bring(c)
		all.ask(t, time.Now(), post(t, c.Addresses()[1]))
	}
	shapes := map[saying]bool{}
	for said := range all {
		shapes[said.shape()] = true
	}
	return shapes
}

func always(fault rqlitetest.Fault) func(rqlitetest.Call) rqlitetest.Fault {
	return func(rqlitetest.Call) rqlitetest.Fault { return fault }
}

// TestRealLeaderStops asks a cluster while its leader is away, then while the
// next one is away too, and when they come back, and wants no answer that the
// stand-in would not give.
func TestRealLeaderStops(t *testing.T) {
	known := fromStandIn(t)
	for name, stop := range map[string]func(*rqlitetest.Real, int){"killed": (*rqlitetest.Real).Stop, "paused": (*rqlitetest.Real).Pause} {
		t.Run(name, func(t *testing.T) {
			r := rqlitetest.NewReal(t, 3)
			r.Execute(t, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
			all := heard{}
			first := r.AwaitLeader(t)
			stop(r, first)
			t.Logf("leader %s: both others serve again after %v", name, all.await(t, r, serves, (first+1)%3, (first+2)%3))

			second := r.AwaitLeader(t)
			last := 3 - first - second
			stop(r, second)
			t.Logf("two of three %s: the last refuses after %v", name, all.await(t, r, refuses, last))
			wantStaleRead(t, r, last)

			bringBack(t, r, first)
			bringBack(t, r, second)
			t.Logf("both back: all three serve after %v", all.await(t, r, serves, 0, 1, 2))
			for said, at := range all {
				t.Logf("%s %q, first after %v", said.path, said.answer, at.Round(time.Millisecond))
				if !known[said.shape()] {
					t.Errorf("the stand-in never answers %s with %q", said.path, said.answer)
				}
			}
		})
	}
}

// await asks nodes until all of them are in a condition, and returns how long
// that took.
func (h heard) await(t *testing.T, r *rqlitetest.Real, want condition, nodes ...int) time.Duration {
	t.Helper()
	since := time.Now()
	for ; time.Since(since) < patience; time.Sleep(10 * time.Millisecond) {
		there := 0
		for _, i := range nodes {
			if h.ask(t, since, node(r, i)) == want {
				there++
			}
		}
		if there == len(nodes) {
			return time.Since(since)
		}
	}
	t.Fatalf("not all of %v come round: %v", nodes, h)
	return 0
}

func node(r *rqlitetest.Real, i int) asker {
	return func(path, body string) (int, http.Header, string, error) { return r.Ask(i, path, body) }
}

// wantStaleRead fails unless a node answers from what it has.
func wantStaleRead(t *testing.T, r *rqlitetest.Real, i int) {
	t.Helper()
	status, _, text, err := r.Ask(i, "/db/query?level=none", selectAll)
	if err != nil || status != http.StatusOK || text != noRow {
		t.Errorf("node %d answers a read at level none with %d %q, %v", i, status, text, err)
	}
}

// bringBack has a node go on, or start again, and waits until it answers.
func bringBack(t *testing.T, r *rqlitetest.Real, i int) {
	t.Helper()
	r.Resume(i)
	r.Start(t, i)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, _, _, err := r.Ask(i, execute, "[]")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("node %d does not come back: %v", i, err)
		}
	}
}
