//go:build rqlite

package cluster_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/clustertest"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// emptied is the database of real processes, without what earlier tests left.
func emptied(t *testing.T, r *rqlitetest.Real, options ...cluster.RqliteOption) rqlite {
	t.Helper()
	for _, table := range []string{"guardians", "guardian_indices", "guardian_records"} {
		r.Execute(t, "DROP TABLE IF EXISTS "+table)
	}
	return rqlite{r.URL(), options, r.Execute}
}

func TestRealRqlite(t *testing.T) {
	r := rqlitetest.NewReal(t, 1)
	clustertest.Run(t, func(t *testing.T) clustertest.Database { return emptied(t, r) })
}

func TestRealRqliteOfThree(t *testing.T) {
	r := rqlitetest.NewReal(t, 3)
	clustertest.Run(t, func(t *testing.T) clustertest.Database { return emptied(t, r) })
}

// TestRealRqliteUnrest kills and pauses one leader after the other under the
// conformance suite.
func TestRealRqliteUnrest(t *testing.T) {
	r := rqlitetest.NewReal(t, 3)
	var group sync.WaitGroup
	over := make(chan struct{})
	stops := 0
	group.Go(func() {
		for ; ; stops++ {
			if leader := r.AwaitLeader(t); stops%2 == 0 {
				r.Stop(leader)
				r.AwaitLeader(t)
				r.Start(t, leader)
			} else {
				r.Pause(leader)
				r.AwaitLeader(t)
				r.Resume(leader)
			}
			select {
			case <-over:
				return
			case <-time.After(time.Second): // in which the suite gets on
			}
		}
	})
	clustertest.Run(t, func(t *testing.T) clustertest.Database { return emptied(t, r) })
	close(over)
	group.Wait()
	t.Logf("the suite was run while %d leaders were stopped", stops+1)
}

func TestRealRqliteTLS(t *testing.T) {
	r := rqlitetest.NewRealTLS(t, 1)
	authority := cluster.WithCAFile(r.CAFile())
	clustertest.Run(t, func(t *testing.T) clustertest.Database { return emptied(t, r, authority) })

	patience := cluster.WithPatience(500 * time.Millisecond)
	for name, err := range callAll(t.Context(), openRqlite(t, r.URL(), patience)) {
		wantHarmless(t, name, err, "certificate")
	}
	for name, err := range callAll(t.Context(), openRqlite(t, strings.Replace(r.URL(), "https", "http", 1), patience)) {
		wantHarmless(t, name, err, "400")
	}
}

func TestRealRqliteWrongPassword(t *testing.T) {
	r := rqlitetest.NewReal(t, 3)
	for _, login := range []string{"guardian:" + "s3cr3t", "nobody:" + "s3cr3t"} {
		start := time.Now()
		address := "rqlite+http://" + login + "@" + strings.Join(r.Addresses(), ",")
		for name, err := range callAll(t.Context(), openRqlite(t, address)) {
			wantHarmless(t, name, err, "401")
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v to give up", took)
		}
	}
}

// TestRealRqliteMajorityLost takes two of three away and brings them back.
func TestRealRqliteMajorityLost(t *testing.T) {
	r := rqlitetest.NewReal(t, 3)
	registry := openRqlite(t, r.URL(), cluster.WithPatience(5*time.Second))
	wantIndex(t, registry, guardianCalled("a"), 1)
	r.Stop(1)
	r.Stop(2)
	start := time.Now()
	for name, err := range callAll(t.Context(), registry) {
		wantHarmless(t, name, err, "127.0.0.1:")
	}
	t.Logf("four calls gave up in %v", time.Since(start))
	r.Start(t, 1)
	r.Start(t, 2)
	start = time.Now()
	r.AwaitLeader(t)
	wantIndex(t, registry, guardianCalled("c"), 2)
	t.Logf("registered %v after the others came back", time.Since(start))
}

// TestRealRqliteListAfterElection kills the leader right after a registration,
// and wants that guardian in the first list that the next leader gives.
func TestRealRqliteListAfterElection(t *testing.T) {
	for round := range 5 {
		r := rqlitetest.NewReal(t, 3)
		registry := openRqlite(t, r.URL())
		// Gives up soon, to be there when the next leader first answers.
		hasty := openRqlite(t, r.URL(), cluster.WithPatience(60*time.Millisecond))
		leader := r.AwaitLeader(t)
		wantIndex(t, registry, guardianCalled("a"), 1)
		wantMembers(t, hasty, 1)
		wantIndex(t, registry, guardianCalled("b"), 2)
		r.Stop(leader)
		start := time.Now()
		members, err := hasty.List(t.Context())
		for err != nil && time.Since(start) < time.Minute {
			members, err = hasty.List(t.Context())
		}
		if err != nil || len(members) != 2 {
			t.Errorf("round %d: the first list after the election has %d members, %v", round, len(members), err)
		}
		t.Logf("the first list came after %v", time.Since(start))
		for i := range 3 {
			r.Stop(i)
		}
	}
}

// TestRealRqliteLeaderStops takes the leader away in mid-run.
func TestRealRqliteLeaderStops(t *testing.T) {
	for _, test := range []struct {
		name string
		stop func(r *rqlitetest.Real, leader int)
		back bool // the same one leads, at the end or again
	}{
		{"killed", (*rqlitetest.Real).Stop, false},
		{"paused", (*rqlitetest.Real).Pause, false},
		// Long enough for a follower to send a request again that the leader
		// carries out when it goes on, short of most elections.
		{"stutters", stutter, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := rqlitetest.NewReal(t, 3)
			database := emptied(t, r)
			l := &load{registries: []cluster.Registry{database.Open(t, nil), database.Open(t, nil)}, workers: 4, each: 50}
			leader := r.AwaitLeader(t)
			l.run(t, func() { test.stop(r, leader) })
			now := r.AwaitLeader(t)
			t.Logf("leader %d %s; %v; the leader is now %d", leader, test.name, l, now)
			if now == leader && !test.back {
				t.Error("the leader is still the leader")
			}
			wantSameFrom(t, r, l, leader)
		})
	}
}

func stutter(r *rqlitetest.Real, leader int) {
	for range 5 {
		r.Pause(leader)
		time.Sleep(1100 * time.Millisecond)
		r.Resume(leader)
		time.Sleep(500 * time.Millisecond)
	}
}

// wantSameFrom brings a node back, and fails unless everything is there when no
// other one is asked.
func wantSameFrom(t *testing.T, r *rqlitetest.Real, l *load, i int) {
	t.Helper()
	r.Resume(i)
	r.Start(t, i)
	login, _, _ := strings.Cut(r.URL(), "@")
	l.registries = []cluster.Registry{openRqlite(t, login+"@"+r.Addresses()[i], cluster.WithPatience(30*time.Second))}
	l.check(t)
}
