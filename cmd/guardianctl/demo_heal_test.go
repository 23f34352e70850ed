package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

// healShape is what the demo says, in this order; between the lines there may be
// others.
var healShape = []string{
	`1\. Start five guardians that know each other, with keys kept outside their data`,
	`each scrubs its storage every 2s, by default every 24h`,
	`before the peer port of each stands a relay that has its key, and writes down what goes through`,
	`guardian-5: pid \d+, http://127\.0\.0\.1:\d+`,
	`each of the 5 lists all 5, with K = 3 and W = 4:`,
	`2\. Store a file`,
	`opticks\.txt: 431021 bytes, version \d, stored by 5 guardians \(needed: 4\)`,
	`http://127\.0\.0\.1:\d+ +1 +x = 1 +431220`,
	`3\. Delete all shares of one guardian, and flip a bit of another's`,
	`guardian-2: rm -r guardian-2/shares`,
	`guardian-4: one bit of share\.bin is flipped`,
	`4\. Wait: nobody does anything`,
	`\d+\.\ds  guardian-[24] has its share again`,
	`\d+\.\ds  guardian-[24] has its share again`,
	`guardian-2 reports: repaired; before: \d good, \d corrupt, 1 missing of 5, needed 3; after: \d good`,
	`guardian-4 reports: repaired; before: \d good, 1 corrupt, \d missing of 5, needed 3; after: \d good`,
	`5\. Compare the new shares with the old ones`,
	`all five are byte for byte what they were, and the version is still \d`,
	`6\. Audit all five, without rebuilding anything`,
	`n = 5, K = 3: every share fits; up to 1 that did not would have been named`,
	`7\. Search all that the guardians said to each other for shares`,
	`\d+ messages before encryption, \d+ of them heartbeats, \d+ what was computed of shares for those that lost theirs:`,
	`none has 16 bytes in a row of any share but for its owner, .*`,
	`8\. Recover the file with the two that were healed and one more`,
	`3 shares, of guardian-2, guardian-4 and guardian-1, rebuilt version \d: 431021 bytes, identical to the original`,
	`All of it held\.`,
	`Next:`,
}

func TestDemoHeal(t *testing.T) {
	t.Parallel()
	said, temp := playDemo(t, healShape, "--heal", "--keep")
	if n := running(t, temp); n != 0 {
		t.Errorf("%d guardians are left", n)
	}
	wantKept(t, said)
}

// wantKept starts again what was kept, as is said: with the keys, under which the
// shares are sound and the guardians are who they were.
func wantKept(t *testing.T, said string) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^  (GUARDIAN_STORAGE=.*) &$`).FindAllStringSubmatch(said, -1)
	kept := regexp.MustCompile(`(?m)^Kept: (.*)$`).FindStringSubmatch(said)
	if len(lines) != demoGuardians || kept == nil {
		t.Fatalf("%d lines say how to start the guardians again:\n%s", len(lines), said)
	}
	s, _ := testStage(t)
	h := newHealDemo(s)
	h.dir, h.launcher = kept[1], newLauncher()
	defer h.launcher.close()
	defer h.killAll()
	for i, line := range lines {
		h.startKept(t, i, line[1])
	}
	if _, err := h.agree(t.Context()); err != nil {
		t.Fatalf("started again, they do not find each other: %v\n%s", err, h.lastLog(nodeID(0)))
	}
	shares := 0
	err := h.eventually(t.Context(), func() error {
		shares = 0
		for _, g := range h.guardians[watcher].listed(t).Guardians {
			shares += int(g.ShareCount)
		}
		if shares != demoGuardians {
			return fmt.Errorf("they have %d shares", shares)
		}
		return nil
	})
	if err != nil {
		t.Errorf("started again: %v", err)
	}
}

func (p *process) listed(t *testing.T) api.GuardiansResponse {
	list, err := p.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// startKept runs a line in a shell, with other ports than the usual ones, which
// somebody may have. No key is made where the line names one that is not there.
func (h *healDemo) startKept(t *testing.T, i int, line string) {
	t.Helper()
	line = regexp.MustCompile(`127\.0\.0\.1:7[56]0\d`).ReplaceAllString(line, "127.0.0.1:0")
	for _, setting := range h.keySettings(i) {
		if !strings.Contains(line, setting) {
			t.Errorf("%q lacks %s", line, setting)
		}
	}
	binary := h.binary
	defer func() { h.binary = binary }()
	at := strings.LastIndex(line, " ")
	h.binary = script(t, line[:at]+" GUARDIAN_ADMIN_BIND=127.0.0.1:0 GUARDIAN_HEARTBEAT_INTERVAL="+demoHeartbeat.String()+" exec"+line[at:])
	if err := h.startOne(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}

// healPart is some steps of the demonstration.
type healPart struct {
	*healDemo
	names []string
}

func (p healPart) steps() []demoStep {
	return slices.DeleteFunc(p.healDemo.steps(), func(step demoStep) bool { return !slices.Contains(p.names, step.name) })
}

const throughHeal = "start store damage heal"

// brokenHealSteps are ways to break a step; rare ones are tried by the full
// campaigns only, as each takes a demonstration.
var brokenHealSteps = []struct {
	name, steps string // the last one is broken
	want        string // in the error
	rare        bool
	sabotage    func(t *testing.T, h *healDemo)
}{
	{"a share that is not there", "start store damage", "guardian-4 has 0 shares", false, func(_ *testing.T, h *healDemo) {
		_ = removeTree(filepath.Join(h.storage(corrupted), "shares"))
	}},
	{"too many that are damaged", throughHeal, "not within", true, func(_ *testing.T, h *healDemo) {
		h.guardians[watcher].kill() // three are needed, and two have theirs
	}},
	{"another version", throughHeal + " compare", "the version is ", false, func(_ *testing.T, h *healDemo) { h.version++ }},
	{"one that is silent in the audit", throughHeal + " audit", "has not found the share of guardian-3 good", true, func(_ *testing.T, h *healDemo) {
		h.guardians[2].kill()
		h.patience = healPatience
	}},
	{"another file", throughHeal + " recover", "not the file that was stored", true, func(_ *testing.T, h *healDemo) { h.secret = []byte("another text") }},
}

// Each must end the demo at that very step.
func TestDemoHealNoticesABrokenStep(t *testing.T) {
	for _, test := range brokenHealSteps {
		if test.rare && os.Getenv("GUARDIAN_TEST_LONG") != "1" {
			continue
		}
		t.Run(test.name, func(t *testing.T) { wantHealBroken(t, strings.Fields(test.steps), test.want, test.sabotage) })
	}
}

func wantHealBroken(t *testing.T, steps []string, want string, sabotage func(t *testing.T, h *healDemo)) {
	s, out := testStage(t)
	h, last := newHealDemo(s), steps[len(steps)-1]
	h.before = func(step string) {
		if step == last {
			h.patience = 5 * time.Second
			sabotage(t, h)
		}
	}
	err := h.perform(t.Context(), false, healPart{h, steps})
	h.close()
	if err == nil || !strings.Contains(err.Error(), "("+last+")") || !strings.Contains(err.Error(), want) {
		t.Fatalf("the demo ended with %v, not in step %s with %q:\n%s", err, last, want, out)
	}
	if code := advised(err).code; code == exitOK {
		t.Errorf("exit code %d", code)
	}
	wantNothingLeft(t, &h.stage)
}

// overheardDemo is one of which all was overheard, and that is whole.
func overheardDemo() *healDemo {
	h := &healDemo{needed: 3, clusterDemo: clusterDemo{stage: stage{out: io.Discard}}}
	for i := range h.shares {
		h.shares[i] = randomBytes(200)
		r := &relay{self: i}
		r.note(message{from: nodeID(0), to: nodeID(i), route: peer.RouteHeartbeat, body: []byte(`{"shares":1}`)})
		h.relays = append(h.relays, r)
	}
	for range 2 * h.needed {
		h.relays[emptied].note(message{from: nodeID(2), to: nodeID(emptied), route: repair.RouteContribute, answer: true, body: randomBytes(300)})
	}
	return h
}

// What guardian-3 says to guardian-1 must not have 16 bytes of any share but
// that of guardian-1, however they are written and wherever.
func TestOverheard(t *testing.T) {
	t.Parallel()
	const any = ""
	for name, test := range map[string]struct {
		change func(h *healDemo)
		want   string
	}{
		"all of it":               {func(*healDemo) {}, any},
		"a share to its owner":    {func(h *healDemo) { h.say1(h.shares[0]) }, any},
		"a whole share":           {func(h *healDemo) { h.say1(h.shares[2]) }, "guardian-3 said a part of the share of guardian-3 to guardian-1"},
		"a part in base64":        {func(h *healDemo) { h.say1(disguises["base64"](h.shares[4][7:23])) }, "the share of guardian-5 to guardian-1"},
		"a part in hex":           {func(h *healDemo) { h.say1(disguises["hex"](h.shares[1][184:])) }, "the share of guardian-2 to guardian-1"},
		"15 bytes":                {func(h *healDemo) { h.say1(h.shares[1][185:]) }, any},
		"a part in a header":      {func(h *healDemo) { h.head1(string(disguises["URL"](h.shares[4][3:19]))) }, "the share of guardian-5"},
		"nothing at all":          {func(h *healDemo) { h.forget(func(message) bool { return true }) }, "not all was overheard"},
		"no heartbeat":            {func(h *healDemo) { h.forget(func(m message) bool { return m.route == peer.RouteHeartbeat }) }, "not all was overheard"},
		"no part":                 {func(h *healDemo) { h.forget(func(m message) bool { return m.answer }) }, "not all was overheard"},
		"refusals in their place": {func(h *healDemo) { h.refuseAll() }, "not all was overheard"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := overheardDemo()
			test.change(h)
			err := h.overhear(t.Context())
			if test.want == any && err != nil || test.want != any && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("overhearing ended with %v, want %q", err, test.want)
			}
		})
	}
}

// say1 and head1 have guardian-3 say something to guardian-1.
func (h *healDemo) say1(body []byte) {
	h.relays[0].note(message{from: nodeID(2), to: nodeID(0), route: repair.RouteSurvey, body: body})
}

func (h *healDemo) head1(head string) {
	h.relays[0].note(message{from: nodeID(2), to: nodeID(0), route: repair.RouteSurvey, head: "X-Trace: " + head})
}

func (h *healDemo) forget(which func(message) bool) {
	for _, r := range h.relays {
		r.said = slices.DeleteFunc(r.said, which)
	}
}

func (h *healDemo) refuseAll() {
	for _, r := range h.relays {
		for i := range r.said {
			r.said[i].body = []byte(`{"error":"no","code":"no_share"}`)
		}
	}
}

// A relay lets nobody in whose key it does not have.
func TestRelayRefusesStrangers(t *testing.T) {
	t.Parallel()
	r, err := newRelay(0, []relayed{{nodeID(0), randomHex()}, {nodeID(1), randomHex()}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	stranger, err := newRelay(0, []relayed{{nodeID(0), randomHex()}, {nodeID(1), randomHex()}})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.close()
	request, err := http.NewRequest(http.MethodPost, r.url()+peer.RouteHeartbeat, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	config := stranger.tlsAs(1, -1)
	config.VerifyConnection = nil
	if response, err := (&http.Transport{TLSClientConfig: config}).RoundTrip(request); err == nil {
		response.Body.Close()
		t.Errorf("it answers a stranger with %s", response.Status)
	}
	if said := r.overheard(); len(said) != 0 {
		t.Errorf("it passed on %v", said)
	}
}
