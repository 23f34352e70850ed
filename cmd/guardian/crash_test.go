package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/integrity"
)

var crashKills = flag.Int("crash.kills", 0, "how often TestCrash kills a guardian on each storage (0: as the table in it says)")

// storages are the kinds of storage that a guardian survives being killed on.
// Empty makes one, and returns what a guardian has to be told to use it.
var storages = []struct {
	name  string
	empty func(t *testing.T) (environ []string)
	// kills in `make test` and with GUARDIAN_TEST_LONG=1.
	kills, killsLong int
}{
	{"directory", emptyDirectory, 20, 1000},
	{"file", emptyFile, 20, 1000},
	{"bucket", emptyBucket, 5, 300},
}

func emptyDirectory(t *testing.T) []string {
	return []string{"GUARDIAN_STORAGE=" + filepath.Join(t.TempDir(), "storage")}
}

func emptyFile(t *testing.T) []string {
	return []string{"GUARDIAN_STORAGE=bolt://" + filepath.Join(t.TempDir(), "guardian.db")}
}

func emptyBucket(t *testing.T) []string {
	server := s3test.Versity(t)
	return bucketEnviron(server, server.NewBucket(t))
}

// bucketEnviron is that of a guardian in a bucket of the server, or behind a
// proxy of that.
func bucketEnviron(server interface{ Environ() []string }, bucket string) []string {
	return append(server.Environ(), "GUARDIAN_STORAGE=s3://"+bucket+"/"+bucketPrefix,
		"GUARDIAN_NODE_ID="+bucketNodeID, "GUARDIAN_INTEGRITY_KEY="+strings.Repeat("0f", integrity.KeySize))
}

// TestCrash kills the real program at random moments under load. After each
// restart everything that was acknowledged is there, nothing is torn, every
// share verifies, and what was not acknowledged can be sent again as it was.
func TestCrash(t *testing.T) {
	t.Parallel()
	binary := buildGuardian(t)
	for _, storage := range storages {
		t.Run(storage.name, func(t *testing.T) {
			t.Parallel()
			kills := storage.kills
			switch {
			case *crashKills > 0:
				kills = *crashKills
			case os.Getenv("GUARDIAN_TEST_LONG") == "1":
				kills = storage.killsLong
			}
			c := crashing{binary: binary, dir: t.TempDir(), environ: storage.empty(t), what: "kills", strike: kill}
			c.run(t, kills)
		})
	}
}

func buildGuardian(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "guardian")
	args := slices.Concat([]string{"build", "-o", binary}, flags, []string{"."})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return binary
}

// crashReport is after how many kills a long campaign says how far it is.
const crashReport = 50

// crashing is one campaign on one storage.
type crashing struct {
	binary, dir string
	environ     []string
	// strike ends the process p, under load of the owners by client; what are many
	// of these.
	strike func(t *testing.T, p *process, client *crashClient)
	what   string
	owners []*owner

	acknowledged, refused, unanswered int
}

func kill(_ *testing.T, p *process, _ *crashClient) { p.kill() }

func (c *crashing) run(t *testing.T, times int) {
	for i := range crashOwners {
		c.owners = append(c.owners, newOwner(i))
	}
	began := time.Now()
	for round := range times {
		c.crashOnce(t, c.launch(t))
		c.settle(t)
		if t.Failed() {
			t.Fatalf("after %d %s under load", round+1, c.what)
		}
		if (round+1)%crashReport == 0 {
			t.Logf("%d %s", round+1, c.what)
		}
	}
	t.Logf("%d %s under load in %v, %d operations acknowledged, %d cut off, %d refused as storage was slow; nothing lost, torn or unreadable",
		times, c.what, time.Since(began).Round(time.Second), c.acknowledged, c.unanswered, c.refused)
	if c.acknowledged == 0 || c.unanswered == 0 {
		t.Errorf("%d acknowledged and %d cut off: that was no test", c.acknowledged, c.unanswered)
	}
}

func (c *crashing) launch(t *testing.T) *process {
	t.Helper()
	// With GUARDIAN_REQUIRE_ALL_SHARES a share that does not verify is a
	// start that fails.
	p, err := launch(c.binary, c.dir, bareEnvironment(slices.Concat(c.environ, []string{
		"GUARDIAN_REQUIRE_ALL_SHARES=1", "GUARDIAN_LOG_LEVEL=warn",
	})...), "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// crashOnce lets all owners work until p is struck, at a number of
// acknowledgements drawn at random and a little later.
func (c *crashing) crashOnce(t *testing.T, p *process) {
	t.Helper()
	client := newCrashClient(p)
	defer client.close()
	var acks, refusals atomic.Int64
	until := int64(rand.IntN(60))
	reached := make(chan struct{})
	var working sync.WaitGroup
	for _, o := range c.owners {
		working.Go(func() {
			for {
				switch o.work(t, client) {
				case acknowledged:
					if acks.Add(1) == until+1 {
						close(reached)
					}
				case unavailable:
					refusals.Add(1)
				case cutOff:
					return
				}
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(patience): // on a machine that does much else
	}
	time.Sleep(rand.N(10 * time.Millisecond)) // the random moment itself
	c.strike(t, p, client)
	working.Wait()
	c.acknowledged += int(acks.Load())
	c.refused += int(refusals.Load())
}

// settle starts again, checks every identity, sends again what was cut off,
// and counts how much that was.
func (c *crashing) settle(t *testing.T) {
	t.Helper()
	p := c.launch(t)
	client := newCrashClient(p)
	client.patient = true
	defer client.close()
	for _, o := range c.owners {
		for _, r := range o.records {
			r.check(t, client)
			if r.pending != nil {
				c.unanswered++
				r.sendAgain(t, client)
				r.check(t, client)
			}
		}
	}
	p.kill()
}
