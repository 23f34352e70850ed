package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// Five processes find each other whatever the registry is and wherever they
// store; a silent one is noticed, and the same node wherever it comes back.
func TestGuardiansFindEachOther(t *testing.T) {
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		server := s3test.Versity(t)
		bucket := server.NewBucket(t)
		g := newGuardians(t, 5, "s3://"+bucket+"/registry", server.Environ()...)
		g.inRealTime()
		g.inBucket(t, 3, bucket)
		g.inBucket(t, 4, bucket)
		findEachOther(t, g, 3)
		g.wantCleanEnd(t)
	})
	t.Run("rqlite", func(t *testing.T) {
		t.Parallel()
		registry := rqlitetest.New(t, 3, rqlitetest.Options{User: "guardian", Password: "p@ss:word"})
		findEachOtherOn(t, registry)
	})
}

// rqliteRegistry is rqlite as tests see it, be it the real one or not.
type rqliteRegistry interface {
	URL() string
	Execute(t testing.TB, sql string, parameters ...any)
}

func findEachOtherOn(t *testing.T, registry rqliteRegistry) {
	g := newGuardians(t, 5, registry.URL())
	findEachOther(t, g, 1)
	wantStrangeRowsIgnored(t, g, registry)
	g.wantCleanEnd(t)
}

// wantStrangeRowsIgnored puts rows into the registry that no guardian writes.
func wantStrangeRowsIgnored(t *testing.T, g *guardians, registry rqliteRegistry) {
	t.Helper()
	for node, index := range map[string]int{"zero": 0, "byte": 256, "thief": 2, "nobody": 9} {
		registry.Execute(t, "INSERT INTO guardians (node_id, share_index, client_url, peer_url, public_key, failure_domain, registered_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
			node, index, "http://127.0.0.1:1", "https://127.0.0.1:1", testKey('z'), "", 0)
	}
	registry.Execute(t, "UPDATE guardians SET public_key = ? WHERE node_id = ?", testKey('z'), "g3")
	for _, node := range []string{"zero", "byte", "thief", "nobody"} {
		g.allLog(t, []string{"level=WARN", "ignored a record of the registry", "node_id=" + node})
	}
	g.allLog(t, []string{"level=WARN", "another key than the one first seen", "node_id=g3"}, 2)
	g.wantOneList(t, 5, 4)
	g.allSee(t, g.states(nobody, ""))
}

func findEachOther(t *testing.T, g *guardians, victim int) {
	t.Helper()
	g.startAll(t)
	g.wantListWithinOnePoll(t)
	g.allSee(t, g.states(nobody, ""))
	g.wantOneList(t, 5, 4)
	g.wantSharesTold(t, victim)
	g.wantSilenceNoticed(t, victim)
	g.wantSameNodeElsewhere(t, victim)
	g.wantOneList(t, 5, 4)
	g.wantMetrics(t)
	g.wantNoSecrets(t)
}

// wantListWithinOnePoll: once all are registered, the next poll of each brings
// all.
func (g *guardians) wantListWithinOnePoll(t *testing.T) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		if !g.within(func() bool { return ask[api.StatusResponse](n, api.RouteStatus).Index != 0 }) {
			t.Errorf("%s does not register:\n%s", n.id, n.stderr)
		}
	})
	g.each(t, func(_ int, n *neighbour) {
		before := n.metric(pollsMetric)
		if !g.within(func() bool { return len(n.list()) == len(g.all) }) {
			t.Errorf("%s sees %v:\n%s", n.id, n.list(), n.stderr)
		}
		if polls := n.metric(pollsMetric) - before; before < 0 || polls > 2 { // one may have been under way
			t.Errorf("%s lists all after %v polls", n.id, polls)
		}
	})
}

// wantOneList waits until all say the same of all. Indices are 1 to n, as nobody else
// ever registered.
func (g *guardians) wantOneList(t *testing.T, alive, writeQuorum int) {
	t.Helper()
	var differ error
	if !g.within(func() bool { differ = g.differ(); return differ == nil }) {
		t.Error(differ)
	}
	g.wantQuorum(t, alive, writeQuorum)
}

// differ says where the lists differ.
func (g *guardians) differ() error {
	first := g.all[0].list()
	indices := map[int]bool{}
	for id, info := range first {
		indices[info.Index] = true
		for _, n := range g.all {
			seen := n.list()[id]
			if seen.Index != info.Index || seen.NodeKey != info.NodeKey || seen.URL != info.URL || seen.Port != info.Port || len(seen.NodeKey) != 64 {
				return fmt.Errorf("%s sees %+v, g1 sees %+v", n.id, seen, info)
			}
		}
	}
	for i := range g.all {
		if !indices[i+1] {
			return fmt.Errorf("nobody has index %d: %v", i+1, first)
		}
	}
	return nil
}

// wantQuorum waits until all but those excepted have the numbers for as many
// alive.
func (g *guardians) wantQuorum(t *testing.T, alive, writeQuorum int, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		var listed api.GuardiansResponse
		var status api.StatusResponse
		if !g.within(func() bool {
			listed, status = ask[api.GuardiansResponse](n, api.RouteGuardians), ask[api.StatusResponse](n, api.RouteStatus)
			return listed.Threshold == 3 && listed.WriteQuorum == writeQuorum && listed.Total == len(g.all) &&
				status.Alive == alive && status.Threshold == 3 && status.WriteQuorum == writeQuorum && status.Peers == len(g.all)-1
		}) {
			t.Errorf("%s says K=%d W=%d N=%d, and has the status %+v", n.id, listed.Threshold, listed.WriteQuorum, listed.Total, status)
		}
		if own := n.list()[n.id]; status.NodeKey != own.NodeKey || status.Index != own.Index || status.PeerPort == 0 || status.PeerPort == status.ClientPort {
			t.Errorf("%s has the status %+v, and is listed as %+v", n.id, status, own)
		}
	}, except...)
}

// wantSharesTold: a share of one guardian counts there, and the others hear so.
func (g *guardians) wantSharesTold(t *testing.T, where int) {
	t.Helper()
	n := g.all[where]
	push := `{"identity":"` + strings.Repeat("b", 64) + `","share":"eA==","version":1}`
	response, err := http.Post("http://"+n.address+api.RoutePush, "application/json", strings.NewReader(push))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	g.each(t, func(_ int, other *neighbour) {
		if !g.within(func() bool { return other.list()[n.id].ShareCount == 1 }) {
			t.Errorf("to %s, %s has %+v", other.id, n.id, other.list()[n.id])
		}
		if own := other.list()[other.id]; other != n && own.ShareCount != 0 {
			t.Errorf("%s has %d shares of its own", other.id, own.ShareCount)
		}
	})
}

// wantSilenceNoticed stops one for a while.
func (g *guardians) wantSilenceNoticed(t *testing.T, victim int) {
	t.Helper()
	stopped := g.all[victim]
	before := make([]int, len(g.all)) // how much each has written
	for i, n := range g.all {
		before[i] = len(n.stderr.String())
	}
	if err := stopped.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if g.intervals == defaultIntervals { // else it may be over before it is seen
		g.allSee(t, g.states(victim, "suspect"), victim)
	}
	g.allSee(t, g.states(victim, "dead"), victim)
	g.wantQuorum(t, 4, 3, victim)
	g.wantCalled(t, victim, before, "suspect", "alive", g.intervals.suspectAfter)
	g.wantCalled(t, victim, before, "dead", "suspect", g.intervals.deadAfter)
	if err := stopped.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	g.allSee(t, g.states(nobody, ""))
	g.allLog(t, []string{"guardian is alive", "node_id=" + stopped.id, "was=dead"}, victim)
	if lines := stopped.logged("guardian is dead"); lines != nil {
		t.Errorf("%s was stopped, and calls others dead: %s", stopped.id, lines)
	}
	g.wantQuorum(t, 5, 4)
}

var silence = regexp.MustCompile(` silent=(\S+)`)

// wantCalled wants all others to have logged a change of state once since before,
// and not until the silence was long enough.
func (g *guardians) wantCalled(t *testing.T, victim int, before []int, state, was string, after time.Duration) {
	t.Helper()
	parts := []string{"guardian is " + state, "node_id=" + g.all[victim].id, "was=" + was}
	g.each(t, func(i int, n *neighbour) {
		var lines []string
		if !g.within(func() bool {
			lines = linesWith(n.stderr.String()[before[i]:], parts...)
			return lines != nil
		}) || len(lines) != 1 {
			t.Errorf("%s logs %q", n.id, lines)
			return
		}
		found := silence.FindStringSubmatch(lines[0])
		if found == nil {
			t.Errorf("%s logs %q", n.id, lines)
			return
		}
		// The upper bound leaves room for a machine that does much else.
		if silent, err := time.ParseDuration(found[1]); err != nil || silent < after || silent > after+5*time.Second {
			t.Errorf("%s called %s %s after %s", n.id, g.all[victim].id, state, found[1])
		}
		t.Logf("%s called %s %s after %s", n.id, g.all[victim].id, state, found[1])
	}, victim)
}

// wantSameNodeElsewhere kills one and starts it again, on other ports.
func (g *guardians) wantSameNodeElsewhere(t *testing.T, victim int) {
	t.Helper()
	n := g.all[victim]
	address, before := n.address, g.all[0].list()[n.id]
	n.kill()
	g.start(t, victim)
	if n.address == address {
		t.Fatal("the new process has the port of the old one")
	}
	g.each(t, func(_ int, other *neighbour) {
		var now api.GuardianInfo
		if !g.within(func() bool {
			now = other.list()[n.id]
			return now.URL == "http://"+n.address && now.Index != 0 // to itself it has none at first
		}) || now.Index != before.Index || now.NodeKey != before.NodeKey || now.NodeKey == "" {
			t.Errorf("to %s, %s was %+v, and is %+v", other.id, n.id, before, now)
		}
	})
	g.allSee(t, g.states(nobody, ""))
	g.allLog(t, []string{"guardian moved", "node_id=" + n.id}, victim)
	g.each(t, func(_ int, other *neighbour) {
		if joined, left := other.logged("guardian joined"), other.logged("guardian left"); len(joined) != len(g.all)-1 || left != nil {
			t.Errorf("%s logs %q and %q", other.id, joined, left)
		}
	})
}

func (g *guardians) wantMetrics(t *testing.T) {
	t.Helper()
	text := g.all[0].metrics()
	for _, metric := range []string{
		`guardian_cluster_members{state="alive"} 5`, `guardian_cluster_members{state="dead"} 0`,
		`guardian_threshold 3`, `guardian_write_quorum 4`, `guardian_heartbeat_age_seconds{node="g2"}`,
	} {
		if !strings.Contains(text, metric) {
			t.Errorf("metrics lack %s", metric)
		}
	}
}

// No two that start at one moment get the same index.
func TestStartAtOneMoment(t *testing.T) {
	t.Parallel()
	for range 5 {
		g := newGuardians(t, 4, t.TempDir())
		g.startAll(t)
		owners := map[int]string{}
		for _, n := range g.all {
			index := 0
			eventually(t, n.id+" registers", func() bool {
				index = ask[api.StatusResponse](n, api.RouteStatus).Index
				return index != 0
			})
			if owners[index] != "" || index > len(g.all) {
				t.Errorf("%s has index %d, as has %q", n.id, index, owners[index])
			}
			owners[index] = n.id
		}
		for _, n := range g.all {
			n.kill()
		}
	}
}

// Guardians start while their registry is down and join by themselves; when it
// goes they keep the list, and notice a silent one. They end when told to,
// whoever does not answer.
func TestRegistryDown(t *testing.T) {
	t.Parallel()
	registry := rqlitetest.New(t, 3, rqlitetest.Options{})
	stopAll := func() {
		for i := range 3 {
			registry.Stop(i)
		}
	}
	stopAll()
	g := newGuardians(t, 3, registry.URL())
	g.startAll(t)
	g.allLog(t, []string{"level=WARN", `msg="failed to fetch node list from RQLite, running in single-node mode"`})
	for _, n := range g.all {
		g.wantAlone(t, n)
	}
	for i := range 3 {
		registry.Start(t, i)
	}
	registry.Elect(1)
	g.allSee(t, g.states(nobody, ""))
	g.allLog(t, []string{"the registry answers again"})

	stopAll()
	g.all[2].kill()
	g.allSee(t, g.states(2, "dead"), 2)
	g.allLog(t, []string{"level=WARN", "the registry is out of reach, going on with the last list"}, 2)
	g.allSee(t, g.states(2, "dead"), 2)
	if err := g.all[1].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.wantCleanEnd(t, 1, 2)
}

func (g *guardians) wantAlone(t *testing.T, n *neighbour) {
	t.Helper()
	if listed := ask[api.GuardiansResponse](n, api.RouteGuardians); listed.Total != 1 || listed.Threshold != 3 || listed.WriteQuorum != 1 {
		t.Errorf("alone, %s lists %+v", n.id, listed)
	}
	if health := ask[api.HealthResponse](n, api.RouteV1Health); health.Status != "ok" || health.Peers != 0 {
		t.Errorf("alone, %s is %+v", n.id, health)
	}
}

// Guardians that keep everything in buckets find each other as soon as that of
// the registry answers, replicas of one node are one member, and polling it
// costs little.
func TestGuardiansInBuckets(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t)
	shares, registry := server.NewBucket(t), server.NewBucket(t)
	proxy := s3test.NewProxy(t, server)
	proxy.Inject(func(r s3test.Request) s3test.Fault { return s3test.Fault{Cut: r.Bucket == registry} })
	g := newGuardians(t, 3, "s3://"+registry+"/cluster", proxy.Environ()...)
	for i := range g.all {
		g.inBucket(t, i, shares)
	}
	g.inRealTime()
	replica := *g.all[0]
	g.all = append(g.all, &replica)
	g.startAll(t)
	g.allLog(t, []string{"level=WARN", "failed to fetch node list from RQLite, running in single-node mode", "opening the registry s3://"})
	proxy.Inject(nil)
	g.allSee(t, map[string]string{"g1": "alive", "g2": "alive", "g3": "alive"})
	g.wantReplicas(t, 0, 3)
	g.all[0].kill()
	g.wantQuiet(t, proxy, registry, 0)
	g.wantHeardOf(t, "g1", 0, 3)
	g.wantNoSecrets(t, 0)
	g.wantCleanEnd(t, 0)
}

// wantReplicas: two processes of one node say the same of themselves, and
// neither is an impostor.
func (g *guardians) wantReplicas(t *testing.T, one, other int) {
	t.Helper()
	a, b := g.all[one], g.all[other]
	if x, y := ask[api.StatusResponse](a, api.RouteStatus), ask[api.StatusResponse](b, api.RouteStatus); x.NodeKey != y.NodeKey || x.Index != y.Index || x.Index == 0 || a.address == b.address {
		t.Errorf("replicas say %+v and %+v", x, y)
	}
	for _, n := range g.all {
		if lines := slices.Concat(n.logged("another key"), n.logged("level=ERROR")); lines != nil {
			t.Errorf("%s logs %q", n.id, lines)
		}
	}
}

// wantHeardOf wants some not to miss a node for longer than it takes to be
// suspect.
func (g *guardians) wantHeardOf(t *testing.T, node string, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		// Two others send, so that this takes half as many intervals.
		beats := 3 * float64(g.intervals.suspectAfter/g.intervals.heartbeat)
		before := n.metric(receivedMetric)
		if !g.within(func() bool { return n.metric(receivedMetric) >= before+beats }) {
			t.Errorf("%s hears of nobody", n.id)
		}
		if lines := n.logged("guardian is suspect", "node_id="+node); lines != nil {
			t.Errorf("with one of two replicas left, %s logs %q", n.id, lines)
		}
	}, except...)
}

// wantQuiet counts what guardians ask of S3 while nothing happens: for each
// poll two listings and a record of each of three members, and no write at all.
func (g *guardians) wantQuiet(t *testing.T, proxy *s3test.Proxy, registry string, except int) {
	t.Helper()
	polls := func() (sum float64) {
		for i, n := range g.all {
			if i != except {
				sum += n.metric(pollsMetric)
			}
		}
		return sum
	}
	g.allPoll(t, except) // what follows the start is over
	proxy.Reset()
	before, began := polls(), time.Now()
	g.allPoll(t, except)
	during, took, running := polls()-before, time.Since(began), float64(len(g.all)-1)
	lists, reads, others := 0.0, 0.0, 0.0
	for _, r := range proxy.Requests() {
		switch op := r.Op(); {
		case op != "GetObject" && op != "HeadBucket" && op != "HeadObject" && op != "ListObjectsV2":
			t.Errorf("while nothing happens, there is %s of %s/%s", op, r.Bucket, r.Key)
		case r.Bucket != registry:
			others++
		case op == "ListObjectsV2":
			lists++
		default:
			reads++
		}
	}
	// Polls that had begun before, or had not ended, one of each guardian.
	if lists > 2*(during+running) || reads > 3*(during+running) || lists < during-running || reads < during-running {
		t.Errorf("in %v polls there are %v listings and %v reads", during, lists, reads)
	}
	t.Logf("three members: for %v polls of the registry there were %v listings and %v reads, in %v; each sent %.0f requests a minute to its own storage",
		during, lists, reads, took.Round(time.Millisecond), others/running/took.Minutes())
}
