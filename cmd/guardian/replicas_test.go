package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

const replicaCount = 3

var (
	shortSize = size{clients: 24, identities: 200, calls: 5_000, kills: 6}
	longSize  = size{clients: 24, identities: 200, calls: 50_000, kills: 60}
	// crowdedSize makes clients race, on a store where that is what goes wrong.
	crowdedSize = size{clients: 24, identities: 4, calls: 400}
)

// checkTimeout bounds the search for an order that explains a history.
const checkTimeout = 5 * time.Minute

// TestReplicasAreLinearizable lets many clients work through three replicas of
// one node, each client through all of them in turn, while requests to the
// store and its answers get lost and replicas are killed and replaced. What
// they saw must be what one register for each identity could have shown them,
// and what was acknowledged must be there at the end.
func TestReplicasAreLinearizable(t *testing.T) {
	size := shortSize
	if os.Getenv("GUARDIAN_TEST_LONG") == "1" {
		size = longSize
	}
	node, weather := newBucketNode(t), &weather{}
	c := newCampaign(t, newFleet(t, node, replicaCount), size, 0)
	node.proxy.Inject(weather.fault)
	c.run(t)
	t.Logf("%d calls in %s, %d of unknown outcome; %d replicas killed, %d starts failed; %s",
		size.calls, time.Since(c.start).Round(time.Second), c.unknown, size.kills, c.fleet.failedStarts, weather)
	if c.unknown == 0 || !weather.was() {
		t.Error("that was no test")
	}

	node.proxy.Inject(nil)
	c.fleet.stopAll(t)
	// With GUARDIAN_REQUIRE_ALL_SHARES a share that does not verify is a start
	// that fails.
	c.fleet = newFleet(t, node, 1, "GUARDIAN_REQUIRE_ALL_SHARES=true")
	c.wantAcknowledged(t)
	c.wantNothingUnexpected(t)
	c.wantLinearizable(t)
	c.fleet.stopAll(t)
	node.wantNoMarkers(t)
	node.wantNothingWritten(t)
}

// The same clients find out a store that takes every write, whatever the
// condition on it.
func TestUnsafeStoreIsFoundOut(t *testing.T) {
	node := newBucketNode(t)
	node.proxy.Inject(func(s3test.Request) s3test.Fault { return s3test.Fault{StripConditions: true} })
	fleet := newFleet(t, node, replicaCount, "GUARDIAN_SKIP_STORE_PROBE=true")
	const rounds = 10
	for round := range rounds {
		c := newCampaign(t, fleet, crowdedSize, round)
		c.run(t)
		verdict := porcupine.CheckOperationsTimeout(registers, closed(c.history), patience)
		t.Logf("round %d: %s, %d unexpected answers", round, verdict, len(c.unexpected))
		if verdict == porcupine.Illegal {
			return
		}
	}
	t.Error("no violation was found on a store that has no conditional writes")
}

func TestUnsafeStoreIsRefused(t *testing.T) {
	node := newBucketNode(t)
	node.proxy.Inject(func(s3test.Request) s3test.Fault { return s3test.Fault{StripConditions: true} })
	p, err := node.launch()
	if err == nil {
		p.kill()
		t.Fatal("it serves")
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n") // the first one is launch's
	if len(lines) != 2 || !strings.Contains(lines[0], "exit code 69") {
		t.Fatalf("not one line and exit code 69 but:\n%v", err)
	}
	for _, want := range []string{s3.ErrUnsafe.Error(), "a create (If-None-Match: *) of what exists is refused"} {
		if !strings.Contains(lines[1], want) {
			t.Errorf("%q is missing from: %s", want, lines[1])
		}
	}
}

// A replica that has served and was told to stop has written no file.
func TestReplicaWritesNoFile(t *testing.T) {
	node := newBucketNode(t)
	c := newCampaign(t, newFleet(t, node, 1), size{clients: 2, identities: 2, calls: 100}, 0)
	c.run(t)
	c.wantNothingUnexpected(t)
	p := c.fleet.replicas[0].Load().process
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := p.wait(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v:\n%s", code, err, p.stderr)
	}
	node.wantNothingWritten(t)
}

// weather is the faults between guardians and store: rare ones all the time,
// and storms, in which requests fail until callers give up.
type weather struct{ requests, cut, lost, failed, delayed atomic.Int64 }

const (
	stormEvery   = 2_000 // requests
	stormLength  = 150
	rareFaults   = 5 // percent
	stormFaults  = 80
	delays       = 15
	longestDelay = 30 * time.Millisecond
)

func (w *weather) fault(s3test.Request) s3test.Fault {
	faults := rareFaults
	if w.requests.Add(1)%stormEvery >= stormEvery-stormLength {
		faults = stormFaults
	}
	if rand.IntN(100) < faults {
		return w.failure()
	}
	if rand.IntN(100) < delays {
		w.delayed.Add(1)
		return s3test.Fault{Delay: rand.N(longestDelay), AfterApply: rand.IntN(2) == 0}
	}
	return s3test.Fault{}
}

func (w *weather) failure() s3test.Fault {
	switch rand.IntN(3) {
	case 0:
		w.cut.Add(1)
		return s3test.Fault{Cut: true}
	case 1:
		w.lost.Add(1)
		return s3test.Fault{Cut: true, AfterApply: true}
	}
	w.failed.Add(1)
	return s3test.Fault{AfterApply: true, Answer: http.StatusInternalServerError, Code: "InternalError"}
}

// was reports whether there was some of everything.
func (w *weather) was() bool {
	return w.cut.Load() > 0 && w.lost.Load() > 0 && w.failed.Load() > 0 && w.delayed.Load() > 0
}

func (w *weather) String() string {
	return fmt.Sprintf("%d requests to the store: %d cut, %d answers lost, %d answered 500 after success, %d delayed",
		w.requests.Load(), w.cut.Load(), w.lost.Load(), w.failed.Load(), w.delayed.Load())
}
