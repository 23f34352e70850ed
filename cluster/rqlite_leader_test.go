package cluster_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// load is what registers and counts while a leader goes away.
type load struct {
	registries []cluster.Registry
	workers    int // of each kind
	each       int // what one worker does
	done       atomic.Int64
	doubtful   atomic.Int64  // increments of which nobody knows, as others were faster
	took       time.Duration // all of it
	rest       time.Duration // what came after halfway was called
}

func (l *load) String() string {
	return fmt.Sprintf("%d registrations and as many increments took %v, %v of it from then on",
		l.workers*l.each, l.took.Round(time.Millisecond), l.rest.Round(time.Millisecond))
}

// run does all of it, and calls halfway once when half is done. Whatever is
// answered must be true: every node has an index of its own, from 1 up without
// a gap, and the counter has every increment that was acknowledged, once.
func (l *load) run(t *testing.T, halfway func()) {
	t.Helper()
	var group sync.WaitGroup
	var half time.Time
	start := time.Now()
	step := func() {
		if l.done.Add(1) == int64(l.workers*l.each) {
			half = time.Now()
			group.Go(halfway)
		}
	}
	for worker := range l.workers {
		registry := l.registries[worker%len(l.registries)]
		group.Go(func() {
			for i := range l.each {
				register(t, registry, fmt.Sprintf("n-%d-%d", worker, i))
				step()
			}
		})
		group.Go(func() {
			for range l.each {
				l.increment(t, registry)
				step()
			}
		})
	}
	group.Wait()
	l.took, l.rest = time.Since(start), time.Since(half)
	l.check(t)
}

func (l *load) check(t *testing.T) {
	t.Helper()
	members, err := l.registries[0].List(t.Context())
	if err != nil || len(members) != l.workers*l.each {
		t.Fatalf("List() = %d members, %v, want %d", len(members), err, l.workers*l.each)
	}
	for i, m := range members {
		if m.Index != i+1 {
			t.Fatalf("member %d of the list has index %d", i+1, m.Index)
		}
	}
	text, _, err := l.registries[0].Load(t.Context(), "count")
	count, _ := strconv.Atoi(string(text))
	if over := count - l.workers*l.each; err != nil || over < 0 || over > int(l.doubtful.Load()) {
		t.Fatalf("the counter is at %q, %v, want %d and at most %d more", text, err, l.workers*l.each, l.doubtful.Load())
	}
}

func register(t *testing.T, r cluster.Registry, node string) {
	if _, err := r.Register(t.Context(), guardianCalled(node)); err != nil {
		t.Errorf("Register(%s) = %v", node, err)
	}
}

// increment returns when an increment was acknowledged.
func (l *load) increment(t *testing.T, r cluster.Registry) {
	for {
		data, rev, err := r.Load(t.Context(), "count")
		if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
			t.Errorf("Load = %v", err)
			return
		}
		count, _ := strconv.Atoi(string(data))
		if _, err = r.Swap(t.Context(), "count", []byte(strconv.Itoa(count+1)), rev); err == nil {
			return
		}
		switch {
		case errors.Is(err, cluster.ErrLost):
		case strings.Contains(err.Error(), "too often"):
			l.doubtful.Add(1)
		default:
			t.Errorf("Swap = %v", err)
			return
		}
	}
}

// TestRqliteLeaderStops has followers forward twice, lose answers and lose
// leaders, and a leader stop.
func TestRqliteLeaderStops(t *testing.T) {
	c := rqlitetest.New(t, 3, rqlitetest.Options{})
	faults := []rqlitetest.Fault{
		rqlitetest.Twice, rqlitetest.AnswerLost, rqlitetest.LeadershipLost, rqlitetest.LeadershipLostLate, rqlitetest.NotLeader, rqlitetest.Cut,
	}
	c.Inject = func(call rqlitetest.Call) rqlitetest.Fault {
		if call.N%7 == 0 {
			return faults[call.N/7%len(faults)]
		}
		return rqlitetest.None
	}
	database := standIn(c)
	l := &load{registries: []cluster.Registry{database.Open(t, nil), database.Open(t, nil)}, workers: 4, each: 20}
	l.run(t, func() {
		c.Stop(0)
		time.Sleep(100 * time.Millisecond) // until the others notice
		c.Elect(-1)
		time.Sleep(100 * time.Millisecond) // of an election
		c.Elect(1)
	})
	if c.Leader() != 1 {
		t.Error("the leader was not stopped")
	}
}
