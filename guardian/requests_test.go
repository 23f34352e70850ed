package guardian

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// cost is what an operation takes of a store, the cleaning behind it apart.
type cost struct {
	puts, gets int
	roundTrips int // how many requests had to wait for the one before
}

// addedLatency makes requests overlap that are sent side by side. On a machine
// that does much else it may be too little now and then, which adds round
// trips but never takes one away: the fewest that were seen count.
const (
	addedLatency = 50 * time.Millisecond
	measurements = 10
)

type operation func(*testing.T, *Node, Slot)

// What a push and a pull cost is promised in docs and paid for by the request;
// exact numbers show that something was counted.
func TestCountedRequests(t *testing.T) {
	store, proxy := openCounted(t)
	push := func(version uint64) operation {
		return func(t *testing.T, n *Node, slot Slot) { mustPush(t, n, slot, version, "share") }
	}
	pull := func(t *testing.T, n *Node, slot Slot) { wantPull(t, n, slot, 1, "share") }
	for _, test := range []struct {
		name   string
		before []operation // by another replica
		warm   operation   // by the same
		do     operation
		want   cost
	}{
		{"first push", nil, nil, push(1), cost{3, 1, 2}},
		{"update", []operation{push(1)}, nil, push(2), cost{3, 1, 2}},
		{"update of a cached version", nil, push(1), push(2), cost{3, 1, 2}},
		// What is stored is compared, and made durable before that is said.
		{"same push again", []operation{push(1)}, nil, pushAgain, cost{3, 3, 3}},
		{"pull", []operation{push(1)}, nil, pull, cost{0, 3, 2}},
		{"pull of a cached version", []operation{push(1)}, pull, pull, cost{0, 3, 1}},
		{"pull after a push", nil, push(1), pull, cost{0, 3, 1}},
		{"delete", []operation{push(1)}, nil, deleteOne, cost{1, 1, 2}},
		{"pull of nothing", nil, nil, pullNothing, cost{0, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got cost
			for i := 0; i < measurements && got != test.want; i++ {
				slot := freshSlot()
				replica, other := openNode(t, store), openNode(t, store)
				for _, before := range test.before {
					before(t, other, slot)
				}
				if test.warm != nil {
					test.warm(t, replica, slot)
				}
				settle(t, replica)
				settle(t, other)
				got = measure(t, proxy, func() { test.do(t, replica, slot); settle(t, replica) })
			}
			if got != test.want {
				t.Errorf("it takes %+v, want %+v", got, test.want)
			}
		})
	}
}

// openCounted opens a store behind a proxy.
func openCounted(t *testing.T) (backend.Backend, *s3test.Proxy) {
	t.Helper()
	server := s3test.Versity(t)
	proxy := s3test.NewProxy(t, server)
	for _, variable := range proxy.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	store, err := s3.Open(t.Context(), s3.Config{Bucket: server.NewBucket(t), Prefix: "nodes/n1"})
	if err != nil {
		t.Fatal(err)
	}
	return store, proxy
}

func freshSlot() Slot {
	return Slot{Identity: strings.Repeat(randomAttempt(), 6)[:64]}
}

func measure(t *testing.T, proxy *s3test.Proxy, do func()) (c cost) {
	t.Helper()
	proxy.Inject(func(s3test.Request) s3test.Fault { return s3test.Fault{Delay: addedLatency} })
	proxy.Reset()
	do()
	proxy.Inject(nil)
	requests := slices.DeleteFunc(proxy.Requests(), isCleaning)
	for _, r := range requests {
		if r.Op() == "PutObject" {
			c.puts++
		} else {
			c.gets++
		}
	}
	c.roundTrips = s3test.RoundTrips(requests)
	return c
}

// isCleaning tells the requests of a push's background work: it lists the
// generations of an identity and deletes what is not named, and nothing else
// here does.
func isCleaning(r s3test.Request) bool { return r.Op() == "ListObjectsV2" || r.Op() == "DeleteObject" }

func pushAgain(t *testing.T, n *Node, slot Slot) {
	err := n.Push(t.Context(), slot, Share{Data: []byte("share"), Version: 1}, Caller{})
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); !ok || !conflict.Stored {
		t.Fatalf("push of what is stored: %v", err)
	}
}

func deleteOne(t *testing.T, n *Node, slot Slot) {
	if err := n.Delete(t.Context(), slot, 1, Caller{}); err != nil {
		t.Fatal(err)
	}
}

func pullNothing(t *testing.T, n *Node, slot Slot) {
	if _, err := n.Pull(t.Context(), slot, nil, nil, Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("pull of nothing: %v", err)
	}
}
