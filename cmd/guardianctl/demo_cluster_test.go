package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// clusterShape is what the demo says, in this order; between the lines there may
// be others, as a busy machine has guardians suspect each other.
var clusterShape = []string{
	`1\. Start three guardians that share a registry, here a directory`,
	`a heartbeat every 200ms, suspect after 1s without one, dead after 3s; by default 5s, 15s and 1m0s`,
	`guardian-3: pid \d+, http://127\.0\.0\.1:\d+`,
	`\d\.\ds  guardian-\d is a member, index [1-3]; alive: \d, K = 3, W = \d`,
	`each of the 3 lists all 3, with K = 3 and W = 2:`,
	`NODE +INDEX +STATE +LAST SEEN +ADDRESS +KEY`,
	`guardian-\d +3 +alive +\d\.\ds +http://127\.0\.0\.1:\d+ +[0-9a-f]{8}\.\.\.`,
	`2\. Start two more`,
	`\d\.\ds  guardian-[45] is a member, index [45]; alive: \d, K = 3, W = \d`,
	`each of the 5 lists all 5, with K = 3 and W = 4:`,
	`guardian-\d +5 +alive .*`,
	`3\. Store a file, .*`,
	`opticks\.txt: 431021 bytes, version \d, stored by 5 guardians \(needed: 4\)`,
	`http://127\.0\.0\.1:\d+ +5 +x = 5 +431220`,
	`http://127\.0\.0\.1:\d+ +1 +x = 1 +431220`,
	`4\. Stop one with SIGSTOP: .*`,
	`guardian-3 is stopped, .* what guardian-1 lists since:`,
	`\d\.\ds  guardian-3 is suspect \(was alive\); alive: \d, K = 3, W = \d`,
	`\d\.\ds  guardian-3 is dead \(was suspect\); alive: \d, K = 3, W = \d`,
	`all the others agree:`,
	`guardian-3 +\d +dead .*`,
	`5\. Recover the file meanwhile`,
	`[34] shares rebuilt version \d: 431021 bytes, identical to the original`,
	`6\. Let it go on, with SIGCONT`,
	`\d\.\ds  guardian-3 is alive \(was dead\); alive: \d, K = 3, W = \d`,
	`all five list all five alive, with K = 3 and W = 4`,
	`7\. Kill one, and start it anew on another port`,
	`guardian-4: pid \d+ at 127\.0\.0\.1:\d+ was killed, pid \d+ is at 127\.0\.0\.1:\d+`,
	`\d\.\ds  guardian-4 is at http://127\.0\.0\.1:\d+; alive: \d, .*`,
	`guardian-4 has the index \d and the key [0-9a-f]{8}\.\.\. that it had`,
	`http://127\.0\.0\.1:\d+ +5 +x = 5 +431220`,
	`8\. Start an impostor: .*`,
	`pid \d+, 127\.0\.0\.1:\d+, calls itself guardian-2; its log says:`,
	`time=\S+ level=ERROR msg="the registry refuses this guardian, .* error=".*node id is registered with another key"`,
	`it lists itself alone, and the lists of the five are as before`,
	`9\. Stop three of the five, and let them go on`,
	`\d\.\ds  guardian-5 is suspect \(was alive\); .*`,
	`the other two say of their health: degraded, for 2 alive are fewer than the 3 that the file needs`,
	`\d\.\ds  guardian-5 is alive \(was suspect\); .*`,
	`all five say: ok`,
	`All of it held\.`,
	`Next:`,
}

// wantShape wants lines that match the patterns in their order.
func wantShape(t *testing.T, text string, shape []string) {
	t.Helper()
	next := 0
	for line := range strings.Lines(text) {
		if next < len(shape) && regexp.MustCompile(`^ *`+shape[next]+`$`).MatchString(strings.TrimRight(line, "\n")) {
			next++
		}
	}
	if next < len(shape) {
		t.Errorf("the output lacks %q in its place:\n%s", shape[next], text)
	}
}

// playDemo runs a demonstration as its user does, in a directory for temporary
// files of its own, and wants all of it to hold.
func playDemo(t *testing.T, shape []string, flags ...string) (said, temp string) {
	t.Helper()
	temp = t.TempDir()
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), append([]string{"demo"}, flags...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("demo: %v, %s\n%s", err, &stderr, stdout)
	}
	wantShape(t, string(stdout), shape)
	return string(stdout), temp
}

func TestDemoCluster(t *testing.T) {
	t.Parallel()
	_, temp := playDemo(t, clusterShape, "--cluster")
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// part is some steps of the demonstration. All five are started at first, unless
// two are to join.
type part struct {
	*clusterDemo
	names []string
}

func (p part) steps() []demoStep {
	all := p.clusterDemo.steps()
	if !slices.Contains(p.names, "join") {
		all[0].do = func(ctx context.Context) error { return p.start(ctx, demoGuardians) }
	}
	return slices.DeleteFunc(all, func(step demoStep) bool { return !slices.Contains(p.names, step.name) })
}

// brokenClusterSteps are ways to break a step.
var brokenClusterSteps = []struct {
	name, steps string // the last one is broken
	want        string // in the error
	sabotage    func(t *testing.T, c *clusterDemo)
}{
	{"a guardian that ends at once", "start", "it ended or was not ready", func(t *testing.T, c *clusterDemo) { c.binary = script(t, "exit 0") }},
	{"a registry for each", "start", "guardian-1 lists map[guardian-1:alive]", func(t *testing.T, c *clusterDemo) {
		c.wrap(t, "GUARDIAN_REGISTRY=$GUARDIAN_STORAGE-registry")
	}},
	{"guardians that are alone", "start", "guardian-1 lists map[guardian-1:alive]", func(t *testing.T, c *clusterDemo) {
		c.wrap(t, "GUARDIAN_REGISTRY= GUARDIAN_PEER_BIND=")
	}},
	{"a stranger in the list", "start join", "it has 6 guardians, not 5", func(t *testing.T, c *clusterDemo) {
		if _, err := c.launch(t.Context(), "stranger", "stranger"); err != nil {
			t.Fatal(err)
		}
	}},
	{"too few guardians", "start store", "", func(_ *testing.T, c *clusterDemo) { c.guardians[1].kill(); c.guardians[2].kill() }},
	{"a list with wrong addresses", "start store", "the list of guardian-1: it has guardian-2", func(t *testing.T, c *clusterDemo) {
		first, second := c.guardians[1].address, c.guardians[2].address
		c.lie(t, watcher, api.RouteGuardians, strings.NewReplacer(first, second, second, first).Replace)
	}},
	{"a silent one that comes back too early", "start silence", "guardian-1 lists map[", func(_ *testing.T, c *clusterDemo) {
		stopped := c.guardians[silenced]
		time.AfterFunc(2*time.Second, func() { _ = stopped.signal(syscall.SIGCONT) })
	}},
	{"another that is silent", "start silence", "guardian-3:alive", func(_ *testing.T, c *clusterDemo) {
		c.guardians[silenced], c.guardians[replaced] = c.guardians[replaced], c.guardians[silenced]
	}},
	{"one that is dead without having been suspect", "start silence", "and not as suspect and then as dead", func(t *testing.T, c *clusterDemo) {
		c.lie(t, watcher, api.RouteGuardians, func(answer string) string { return strings.ReplaceAll(answer, "suspect", "alive") })
	}},
	{"K and W that do not follow", "start silence", "which are not for 4 alive", func(t *testing.T, c *clusterDemo) {
		c.lie(t, 1, api.RouteGuardians, func(answer string) string {
			return strings.Replace(answer, `"write_quorum":3`, `"write_quorum":4`, 1)
		})
	}},
	{"another file", "start store silence recover", "not the file that was stored", func(_ *testing.T, c *clusterDemo) { c.secret = []byte("another text") }},
	{"one that is gone for good", "start silence return", "sending continued", func(_ *testing.T, c *clusterDemo) { c.guardians[silenced].kill() }},
	{"one that has lost its keys", "start replace", "", func(_ *testing.T, c *clusterDemo) { _ = os.RemoveAll(c.storage(replaced)) }},
	{"shares at other indices", "start store replace", "holds the share at x", func(t *testing.T, c *clusterDemo) { c.storeElsewhere(t) }},
	{"an impostor with the right key", "start impostor", "has no refusal", func(t *testing.T, c *clusterDemo) {
		c.wrap(t, "GUARDIAN_NODE_KEY_FILE="+shellWord(filepath.Join(c.storage(impersonated), "node.key")))
	}},
	{"health that is always ok", "start store degraded", `the health of guardian-2 is "ok", not "degraded"`, func(t *testing.T, c *clusterDemo) {
		c.lie(t, 1, api.RouteV1Health, func(answer string) string { return strings.ReplaceAll(answer, "degraded", "ok") })
	}},
	{"health that never mends", "start store degraded", `the health of guardian-2 is "degraded", not "ok"`, func(t *testing.T, c *clusterDemo) {
		var wasDegraded atomic.Bool
		c.lie(t, 1, api.RouteV1Health, func(answer string) string {
			if strings.Contains(answer, "degraded") {
				wasDegraded.Store(true)
			}
			if wasDegraded.Load() {
				return strings.Replace(answer, `"status":"ok"`, `"status":"degraded"`, 1)
			}
			return answer
		})
	}},
}

// Each must end the demo at that very step. They wait more than they work, so
// more run side by side than there are processors.
func TestDemoClusterNoticesABrokenStep(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	room := make(chan struct{}, 6)
	for _, test := range brokenClusterSteps {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			t.Run(test.name, func(t *testing.T) { wantBroken(t, strings.Fields(test.steps), test.want, test.sabotage) })
		})
	}
	all.Wait()
}

func wantBroken(t *testing.T, steps []string, want string, sabotage func(t *testing.T, c *clusterDemo)) {
	s, out := testStage(t)
	c, last := newClusterDemo(s), steps[len(steps)-1]
	c.before = func(step string) {
		if step == last {
			c.patience = demoDeadAfter + 5*time.Second
			sabotage(t, c)
		}
	}
	err := c.perform(t.Context(), false, part{c, steps})
	if err == nil || !strings.Contains(err.Error(), "("+last+")") || !strings.Contains(err.Error(), want) {
		t.Fatalf("the demo ended with %v, not in step %s with %q:\n%s", err, last, want, out)
	}
	if code := advised(err).code; code == exitOK {
		t.Errorf("exit code %d", code)
	}
	wantNothingLeft(t, &c.stage)
}

// wrap has guardians that start from now on start with other settings.
func (c *clusterDemo) wrap(t *testing.T, settings string) {
	t.Helper()
	c.binary = script(t, settings+" exec "+shellWord(c.binary))
}

// lie changes what the demo hears from a guardian on one route.
func (c *clusterDemo) lie(t *testing.T, i int, route string, edit func(answer string) string) {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.guardians[i].address})
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != route {
			return nil
		}
		answer, err := io.ReadAll(r.Body)
		r.Body.Close()
		text := edit(string(answer))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Length", fmt.Sprint(len(text)))
		return err
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	guardian, err := client.New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	c.guardians[i].guardian = guardian
}

// storeElsewhere stores anew, no share at the index of its guardian.
func (c *clusterDemo) storeElsewhere(t *testing.T) {
	t.Helper()
	var urls []string
	for i := range c.guardians {
		urls = append(urls, c.url(i))
	}
	if err := c.connect(urls, c.token, client.WithIndices([]int{11, 12, 13, 14, 15})); err != nil {
		t.Fatal(err)
	}
	if _, err := c.storeEverywhere(t.Context()); err != nil {
		t.Fatal(err)
	}
}
