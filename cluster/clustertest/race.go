package clustertest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
)

const (
	rounds = 100
	racers = 32
)

var raceTests = []conformanceTest{
	{"two nodes at one instant, 100 times", func(t *testing.T, d database) {
		both := d.pair(t)
		given := map[int]string{}
		for round := range rounds {
			for _, m := range registerAll(t, both, fmt.Sprintf("l-%d", round), fmt.Sprintf("r-%d", round)) {
				if other := given[m.Index]; other != "" {
					t.Fatalf("index %d was given to %s and to %s", m.Index, other, m.NodeID)
				}
				given[m.Index] = m.NodeID
			}
		}
		wantIndices(t, both, 2*rounds)
	}},
	{"many nodes at one instant", func(t *testing.T, d database) {
		var nodes []string
		for i := range racers {
			nodes = append(nodes, "n-"+strconv.Itoa(i))
		}
		both := d.pair(t)
		registerAll(t, both, nodes...)
		wantIndices(t, both, racers)
	}},
	{"last index", func(t *testing.T, d database) {
		d.Claim(t, 1, others(254)...)
		both := d.pair(t)
		errs := make([]error, 8)
		race(len(errs), func(i int) { _, errs[i] = both[i%2].Register(t.Context(), guardian("n-"+strconv.Itoa(i))) })
		wantOneWinner(t, errs, cluster.ErrFull)
	}},
	{"one node many times over", func(t *testing.T, d database) {
		both := d.pair(t)
		members := registerAll(t, both, repeat("a", racers)...)
		for _, m := range members {
			if !same(m, members[0]) {
				t.Errorf("one node got %+v and %+v", members[0], m)
			}
		}
		both[0].mustList(t, members[0])
		both[1].mustGive(t, "b", 2)
	}},
	{"one node that moves", func(t *testing.T, d database) {
		both := d.pair(t)
		race(racers, func(i int) {
			m := guardian("a")
			m.ClientURL = fmt.Sprintf("http://127.0.0.1:%d", i+1)
			if got, err := both[i%2].Register(t.Context(), m); err != nil || got.Index != 1 || got.ClientURL != m.ClientURL {
				t.Errorf("Register = %+v, %v", got, err)
			}
		})
		both[1].mustGive(t, "b", 2)
	}},
	{"one name with many keys", func(t *testing.T, d database) {
		both := d.pair(t)
		errs := make([]error, racers)
		race(racers, func(i int) {
			m := guardian("a")
			m.PublicKey = keyOf(strconv.Itoa(i))
			_, errs[i] = both[i%2].Register(t.Context(), m)
		})
		winner := wantOneWinner(t, errs, cluster.ErrImpostor)
		m := guardian("a")
		m.PublicKey = keyOf(strconv.Itoa(winner))
		both[0].mustList(t, both[1].mustRegister(t, m))
	}},
	{"one creation wins", func(t *testing.T, d database) {
		both := d.pair(t)
		for round := range 5 {
			swapAll(t, both, fmt.Sprintf("key/%d", round), cluster.Revision{})
		}
	}},
	{"one swap wins", func(t *testing.T, d database) {
		both := d.pair(t)
		rev := both[0].mustSwap(t, "a", "one", cluster.Revision{})
		for range 5 {
			rev = swapAll(t, both, "a", rev)
		}
	}},
	{"no increment is lost", func(t *testing.T, d database) {
		both := d.pair(t)
		both[0].mustSwap(t, "a", "0", cluster.Revision{})
		const workers, increments = 6, 10
		race(workers, func(i int) {
			for range increments {
				both[i%2].increment(t, "a")
			}
		})
		both[1].mustHold(t, "a", strconv.Itoa(workers*increments))
	}},
}

// race starts n goroutines as near to one moment as can be and waits for all.
func race(n int, run func(i int)) {
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	group.Wait()
}

func repeat(node string, n int) []string {
	nodes := make([]string, n)
	for i := range nodes {
		nodes[i] = node
	}
	return nodes
}

// registerAll registers the nodes at one moment.
func registerAll(t *testing.T, both [2]client, nodes ...string) []cluster.Member {
	t.Helper()
	members, errs := make([]cluster.Member, len(nodes)), make([]error, len(nodes))
	race(len(nodes), func(i int) { members[i], errs[i] = both[i%2].Register(t.Context(), guardian(nodes[i])) })
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Register = %v", err)
	}
	return members
}

// wantIndices fails unless there are n members with the indices 1 to n.
func wantIndices(t *testing.T, both [2]client, n int) {
	t.Helper()
	for _, r := range both {
		members, err := r.List(t.Context())
		if err != nil || len(members) != n {
			t.Fatalf("List() = %d members, %v, want %d", len(members), err, n)
		}
		for i, m := range members {
			if m.Index != i+1 {
				t.Fatalf("member %d of the list has index %d", i+1, m.Index)
			}
		}
	}
}

// wantOneWinner fails unless one call won and all others failed with want.
func wantOneWinner(t *testing.T, errs []error, want error) int {
	t.Helper()
	winner, winners := 0, 0
	for i, err := range errs {
		if err == nil {
			winner, winners = i, winners+1
			continue
		}
		wantError(t, err, want)
	}
	if winners != 1 {
		t.Fatalf("%d of %d won, want 1", winners, len(errs))
	}
	return winner
}

// swapAll swaps at one moment and returns the revision of the one that won.
func swapAll(t *testing.T, both [2]client, key string, rev cluster.Revision) cluster.Revision {
	t.Helper()
	revs, errs := make([]cluster.Revision, racers), make([]error, racers)
	race(racers, func(i int) { revs[i], errs[i] = both[i%2].Swap(t.Context(), key, []byte(strconv.Itoa(i)), rev) })
	winner := wantOneWinner(t, errs, cluster.ErrLost)
	for _, r := range both {
		if got := r.mustHold(t, key, strconv.Itoa(winner)); got != revs[winner] {
			t.Fatal("the record is at another revision than the winner's")
		}
	}
	return revs[winner]
}

func (c client) increment(t *testing.T, key string) {
	for {
		data, rev, err := c.Load(t.Context(), key)
		if err != nil {
			t.Errorf("Load = %v", err)
			return
		}
		count, err := strconv.Atoi(string(data))
		if err != nil {
			t.Errorf("count is %q", data)
			return
		}
		_, err = c.Swap(t.Context(), key, []byte(strconv.Itoa(count+1)), rev)
		if err == nil || t.Failed() {
			return
		}
		if !errors.Is(err, cluster.ErrLost) {
			t.Errorf("Swap = %v", err)
			return
		}
	}
}
