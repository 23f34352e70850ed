package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/integrity"
)

// guardians are real processes that share a registry.
type guardians struct {
	dir       string
	intervals intervals
	environ   []string // of all
	all       []*neighbour
	secrets   []string // that none of them may show
}

// neighbour is one of them. Its storage and its key outlive its processes.
type neighbour struct {
	*process
	id      string
	environ []string
	program string // "" for this one
}

// intervals are how often a guardian sends heartbeats, and how long a silent one
// is alive and not dead to others.
type intervals struct{ heartbeat, suspectAfter, deadAfter time.Duration }

var (
	defaultIntervals = intervals{5 * time.Second, 15 * time.Second, time.Minute}
	// shortIntervals make a silent guardian suspect and dead soon enough for a
	// test, and not so soon that a busy machine does.
	shortIntervals = intervals{200 * time.Millisecond, 2 * time.Second, 4 * time.Second}
)

// environ names all but the defaults, which are to be in force by themselves.
func (i intervals) environ() []string {
	if i == defaultIntervals {
		return nil
	}
	return []string{
		"GUARDIAN_HEARTBEAT_INTERVAL=" + i.heartbeat.String(),
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER=" + i.suspectAfter.String(),
		"GUARDIAN_HEARTBEAT_DEAD_AFTER=" + i.deadAfter.String(),
	}
}

// inRealTime has a long run use the intervals that are in force by default.
func (g *guardians) inRealTime() {
	if os.Getenv("GUARDIAN_TEST_LONG") == "1" {
		g.intervals = defaultIntervals
	}
}

// integrityKey is that of the guardians in a bucket.
var integrityKey = strings.Repeat("0f", integrity.KeySize)

// newGuardians makes n, g1 to gn, on directories, and starts none.
func newGuardians(t *testing.T, n int, registry string, environ ...string) *guardians {
	t.Helper()
	g := &guardians{dir: t.TempDir(), intervals: shortIntervals, secrets: []string{integrityKey}}
	g.environ = bareEnvironment(slices.Concat([]string{
		"GUARDIAN_REGISTRY=" + registry, "GUARDIAN_UNAUTHENTICATED=true", "GUARDIAN_LOG_LEVEL=debug",
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_PEER_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0",
	}, environ)...)
	g.secrets = append(g.secrets, passwordsIn(t, registry)...)
	for i := range n {
		id := fmt.Sprintf("g%d", i+1)
		g.all = append(g.all, &neighbour{id: id, environ: []string{
			"GUARDIAN_NODE_ID=" + id, "GUARDIAN_STORAGE=" + filepath.Join(g.dir, id),
		}})
	}
	return g
}

// passwordsIn are the password of a registry, if it has one, and ways to write it.
func passwordsIn(t *testing.T, registry string) []string {
	t.Helper()
	at := strings.LastIndexByte(registry, '@')
	if at < 0 {
		return nil
	}
	u, err := url.Parse(registry[:at] + "@host") // of several hosts it would make nothing
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return []string{password, url.QueryEscape(password), url.UserPassword("", password).String()[1:]}
}

// inFile gives a guardian that has not started a bolt file in place of its
// directory.
func (g *guardians) inFile(i int) {
	n := g.all[i]
	n.environ[indexOf(n.environ, "GUARDIAN_STORAGE=")] = "GUARDIAN_STORAGE=bolt://" + filepath.Join(g.dir, n.id, "guardian.db")
}

// inBucket gives a guardian that has not started a bucket in place of its
// directory.
func (g *guardians) inBucket(t *testing.T, i int, bucket string) {
	t.Helper()
	keyFile := filepath.Join(g.dir, g.all[i].id+".key")
	if err := os.WriteFile(keyFile, []byte(testKey('A'+byte(i))), 0o600); err != nil {
		t.Fatal(err)
	}
	g.all[i].environ = []string{
		"GUARDIAN_NODE_ID=" + g.all[i].id, "GUARDIAN_STORAGE=s3://" + bucket + "/shares", "GUARDIAN_NODE_KEY_FILE=" + keyFile,
		"GUARDIAN_INTEGRITY_KEY=" + integrityKey,
	}
}

// nodeKey is the node key of a guardian that has been started.
func (g *guardians) nodeKey(t *testing.T, i int) *integrity.NodeKey {
	t.Helper()
	text, err := os.ReadFile(g.nodeKeyFile(i))
	if err != nil {
		t.Fatal(err)
	}
	key, err := integrity.ParseNodeKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (g *guardians) nodeKeyFile(i int) string {
	for _, path := range []string{filepath.Join(g.dir, g.all[i].id+".key"), filepath.Join(g.dir, g.all[i].id, "node.key")} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// each does something with every guardian but those excepted, side by side.
func (g *guardians) each(t *testing.T, do func(i int, n *neighbour), except ...int) {
	t.Helper()
	var all sync.WaitGroup
	for i, n := range g.all {
		if !slices.Contains(except, i) {
			all.Go(func() { do(i, n) })
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// start launches a guardian that does not run.
func (g *guardians) start(t *testing.T, i int) {
	t.Helper()
	n := g.all[i]
	p, err := launch(cmp.Or(n.program, thisProgram(t)), g.dir, slices.Concat(g.environ, g.intervals.environ(), n.environ))
	if err != nil {
		t.Errorf("starting %s: %v", n.id, err)
		return
	}
	n.process = p
	t.Cleanup(func() {
		_ = p.signal(syscall.SIGCONT) // fails once it is gone
		p.kill()
		if log := p.stderr.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			t.Errorf("%s wrote:\n%s", n.id, log)
		}
	})
}

// startAll starts them at one moment.
func (g *guardians) startAll(t *testing.T) {
	t.Helper()
	g.each(t, func(i int, _ *neighbour) { g.start(t, i) })
}

// within polls until ok, for as long as the slowest change takes at most.
func (g *guardians) within(ok func() bool) bool {
	for deadline := time.Now().Add(patience + g.intervals.deadAfter); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

var impatient = &http.Client{Timeout: 2 * time.Second}

// ask returns the zero answer when there is none.
func ask[T any](n *neighbour, route string) (into T) {
	response, err := impatient.Get("http://" + n.address + route)
	if err != nil {
		return into
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&into)
	return into
}

// list is whom a guardian knows, by node id.
func (n *neighbour) list() map[string]api.GuardianInfo {
	known := map[string]api.GuardianInfo{}
	for _, info := range ask[api.GuardiansResponse](n, api.RouteGuardians).Guardians {
		known[info.NodeID] = info
	}
	return known
}

// metrics is the text of a guardian's metrics.
func (n *neighbour) metrics() string {
	return fetch("http://" + n.printed("GUARDIAN_ADMIN_LISTEN_ADDR") + "/metrics")
}

// metric is one number of its metrics, -1 when it is not there.
func (n *neighbour) metric(name string) float64 {
	for line := range strings.Lines(n.metrics()) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			if value, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				return value
			}
		}
	}
	return -1
}

const (
	pollsMetric    = "guardian_cluster_registry_polls_total"
	receivedMetric = "guardian_cluster_heartbeats_received_total"
)

// allPoll waits until every guardian but those excepted has begun and ended a
// poll of the registry after the call.
func (g *guardians) allPoll(t *testing.T, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		before := n.metric(pollsMetric)
		if !g.within(func() bool { return n.metric(pollsMetric) >= before+2 }) { // one may have been under way
			t.Errorf("%s does not poll", n.id)
		}
	}, except...)
}

// allSee waits until every guardian but those excepted lists each of the states
// by node id, and nobody else.
func (g *guardians) allSee(t *testing.T, states map[string]string, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		if !g.within(func() bool { return n.sees(states) }) {
			t.Errorf("%s sees %v, not %v:\n%s", n.id, n.list(), states, n.stderr)
		}
	}, except...)
}

func (n *neighbour) sees(states map[string]string) bool {
	seen := n.list()
	for id, state := range states {
		if seen[id].State != state {
			return false
		}
	}
	return len(seen) == len(states)
}

// states are alive for all, but for one.
func (g *guardians) states(which int, state string) map[string]string {
	states := map[string]string{}
	for i, n := range g.all {
		states[n.id] = "alive"
		if i == which {
			states[n.id] = state
		}
	}
	return states
}

const nobody = -1

// allLog waits until every guardian but those excepted has logged all of the
// parts on one line.
func (g *guardians) allLog(t *testing.T, parts []string, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		if !g.within(func() bool { return n.logged(parts...) != nil }) {
			t.Errorf("%s never logs %q:\n%s", n.id, parts, n.stderr)
		}
	}, except...)
}

// logged are the lines with all of the parts.
func (n *neighbour) logged(parts ...string) []string { return linesWith(n.stderr.String(), parts...) }

func linesWith(text string, parts ...string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// wantNoSecrets looks for keys and passwords in all that the guardians say.
func (g *guardians) wantNoSecrets(t *testing.T, except ...int) {
	t.Helper()
	secrets := slices.Clone(g.secrets)
	for i := range g.all {
		for _, path := range []string{g.nodeKeyFile(i), filepath.Join(g.dir, g.all[i].id, "integrity.key")} {
			text, _ := os.ReadFile(path) // not all have one
			key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
			if err == nil && len(key) == integrity.KeySize {
				secrets = append(secrets, strings.TrimSpace(string(text)), hex.EncodeToString(key), string(key), fmt.Sprintf("%d", key))
			}
		}
	}
	if len(secrets) < 4*len(g.all) {
		t.Fatalf("only %d secrets are known", len(secrets))
	}
	g.each(t, func(_ int, n *neighbour) {
		said := n.stderr.String() + n.stdout.String() + n.metrics()
		for _, route := range []string{api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteRoster} {
			said += fetch("http://" + n.address + route)
		}
		for _, secret := range secrets {
			if strings.Contains(said, secret) {
				t.Errorf("%s says %q", n.id, secret)
			}
		}
	}, except...)
}

// wantCleanEnd tells all to stop, but those excepted.
func (g *guardians) wantCleanEnd(t *testing.T, except ...int) {
	t.Helper()
	g.each(t, func(_ int, n *neighbour) {
		if err := n.signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if code, err := n.wait(); code != 0 || err != nil {
			t.Errorf("%s: exit code %d, %v:\n%s", n.id, code, err, n.stderr)
		}
		for _, part := range []string{"finish in time", "closing failed", "closing the registry failed"} {
			if lines := n.logged("level=WARN", part); lines != nil {
				t.Errorf("%s logs %s", n.id, lines)
			}
		}
	}, except...)
}
