//go:build unix

package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// simulated is how many guardians the simulation has.
const simulated = 100

// TestSimulation runs a hundred guardians in one process, on the clock of a
// bubble and a network of function calls; all else is what runs in production.
// What must be by the rules is asserted; figures are printed.
func TestSimulation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := joinAll(t, w)
		steady(t, w, all)
		oneStops(t, all)
		twoHalves(t, w, all)
	})
}

// joinAll starts them at one moment: within one poll all list all, with indices
// of which no two are the same.
func joinAll(t *testing.T, w *world) []*process {
	t.Helper()
	used := cpu(t)
	var all []*process
	for i := range simulated {
		all = append(all, w.prepare(fmt.Sprintf("g%d", i), &keeper{}, &registryOf{Registry: NewBucket(w.store, nil)}))
	}
	for _, p := range all {
		p.run()
	}
	pass(6 * time.Second)
	indices := map[int]bool{}
	for _, p := range all {
		wantAlive(t, p, simulated, 33, 67)
		indices[p.View().Index] = true
	}
	if len(indices) != simulated || indices[0] {
		t.Errorf("%d indices for %d guardians", len(indices), simulated)
	}
	t.Logf("%d guardians started at one moment: all list all within 6 s, %v of CPU", simulated, cpu(t)-used)
	return all
}

func wantAlive(t *testing.T, p *process, alive, k, w int) {
	t.Helper()
	v := p.View()
	if len(v.Members) != simulated || v.Alive != alive || v.Threshold != k || v.WriteQuorum != w {
		t.Errorf("%s sees %d of %d alive, K %d, W %d; want %d, %d, %d", p.cfg.Self.NodeID, v.Alive, len(v.Members), v.Threshold, v.WriteQuorum, alive, k, w)
	}
}

// steady measures what it costs when nothing happens, which is also what must
// be in the log.
func steady(t *testing.T, w *world, all []*process) {
	t.Helper()
	const during = time.Minute
	logged := 0
	for _, p := range all {
		logged -= len(p.log.with())
	}
	calls, wire, used := w.calls.Load(), w.wire.Load(), cpu(t)
	pass(during)
	used = cpu(t) - used
	for _, p := range all {
		logged += len(p.log.with())
		wantAlive(t, p, simulated, 33, 67)
	}
	if logged != 0 {
		t.Errorf("%d lines were logged", logged)
	}
	perSecond := func(n int64) float64 { return float64(n) / during.Seconds() }
	sent, bytes := perSecond(w.calls.Load()-calls)/simulated, perSecond(w.wire.Load()-wire)/simulated
	if want := float64(simulated-1) / 5; sent < 0.9*want || sent > 1.1*want {
		t.Errorf("each sends %.1f heartbeats a second, want about %.1f", sent, want)
	}
	t.Logf("each of %d sends %.1f heartbeats a second and answers as many: %.0f bytes/s of JSON each way, HTTP and TLS not counted", simulated, sent, bytes)
	t.Logf("%v of CPU for %v of all %d, heartbeats and polls: %.2f ms a second and guardian", used, during, simulated, float64(used.Microseconds())/1000/during.Seconds()/simulated)
}

// oneStops stops one, and starts it again on another port.
func oneStops(t *testing.T, all []*process) {
	t.Helper()
	stopped, others := all[7], slices.Delete(slices.Clone(all), 7, 8)
	node := stopped.cfg.Self.NodeID
	stopped.end()
	at := time.Now()
	pass(62 * time.Second)
	for _, p := range others {
		wantAlive(t, p, simulated-1, 33, 66)
	}
	wantDetected(t, others, node, "suspect", at, suspectAfter)
	wantDetected(t, others, node, "dead", at, deadAfter)
	all[7] = stopped.again()
	at = time.Now()
	pass(6 * time.Second)
	for _, p := range all {
		wantAlive(t, p, simulated, 33, 67)
	}
	var took []time.Duration
	for _, p := range others {
		took = append(took, p.loggedAt(t, "guardian is alive", node).Sub(at))
	}
	t.Logf("started again elsewhere, it is alive to the others after %s", spread(took))
}

// wantDetected wants each to have logged a state once, when the silence was as
// long as it must be: the last heartbeat was up to one interval before the stop,
// and a second goes by between two ticks.
func wantDetected(t *testing.T, observers []*process, node, state string, at time.Time, after time.Duration) {
	t.Helper()
	var took []time.Duration
	for _, p := range observers {
		p.wantLogged(1, "guardian is "+state+`" node_id=`+node+" ")
		took = append(took, p.loggedAt(t, "guardian is "+state, node).Sub(at))
	}
	if slices.Min(took) < after-5500*time.Millisecond || slices.Max(took) > after+1100*time.Millisecond {
		t.Errorf("%s after %s, want %v", state, spread(took), after)
	}
	t.Logf("stopped without a word, it is %s to the others after %s", state, spread(took))
}

// twoHalves cuts the network in two, of which one has lost the registry too, and
// heals it.
func twoHalves(t *testing.T, w *world, all []*process) {
	t.Helper()
	left := map[string]bool{}
	for _, p := range all[:simulated/2] {
		left[p.cfg.Self.NodeID] = true
	}
	for _, p := range all[simulated/2:] {
		p.registry.fails(errors.New("no route to host"))
	}
	w.lose(func(from, to string) bool { return left[from] != left[to] })
	used := cpu(t)
	pass(16 * time.Second)
	for _, p := range all {
		wantAlive(t, p, simulated/2, 16, 34)
	}
	pass(46 * time.Second)
	for _, p := range all {
		wantAlive(t, p, simulated/2, 16, 34)
		wantHalfDead(t, p, left)
	}
	w.lose(func(string, string) bool { return false })
	healed := time.Now()
	for _, p := range all[simulated/2:] {
		p.registry.fails(nil)
	}
	pass(7 * time.Second)
	var last time.Time
	for _, p := range all {
		wantAlive(t, p, simulated, 33, 67)
		for _, line := range p.log.with(`msg="guardian is alive"`) {
			if at := timeOf(t, line); at.After(last) {
				last = at
			}
		}
		p.wantLogged(0, `msg="guardian left"`)
		wantJoined(t, p, simulated-1)
	}
	t.Logf("cut in two halves, each sees 50 alive, K 16, W 34, and nobody leaves; healed, all see all %v later; %v of CPU for 69 s", last.Sub(healed), cpu(t)-used)
}

// wantJoined wants so many to have joined once, those included that were only
// counted.
func wantJoined(t *testing.T, p *process, want int) {
	t.Helper()
	joined := len(p.log.with(`msg="guardian joined"`))
	for _, line := range p.log.with(`msg="more guardians joined"`) {
		_, more, _ := strings.Cut(strings.TrimSpace(line), "count=")
		joined += count(t, more)
	}
	if joined != want {
		t.Errorf("%s logged that %d joined, want %d", p.cfg.Self.NodeID, joined, want)
	}
}

func wantHalfDead(t *testing.T, p *process, left map[string]bool) {
	t.Helper()
	own := left[p.cfg.Self.NodeID]
	for _, m := range p.View().Members {
		if want := map[bool]State{true: Alive, false: Dead}[left[m.NodeID] == own]; m.State != want {
			t.Errorf("to %s, %s is %s", p.cfg.Self.NodeID, m.NodeID, m.State)
		}
	}
}

// loggedAt is when a process last logged a message about a node.
func (p *process) loggedAt(t *testing.T, message, node string) time.Time {
	t.Helper()
	lines := p.log.with(message, "node_id="+node+" ")
	if len(lines) == 0 {
		t.Errorf("%s has not logged %q about %s", p.cfg.Self.NodeID, message, node)
		return time.Now()
	}
	return timeOf(t, lines[len(lines)-1])
}

func timeOf(t *testing.T, line string) time.Time {
	t.Helper()
	text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func spread(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("%.1f to %.1f s (half within %.1f)", took[0].Seconds(), took[len(took)-1].Seconds(), took[len(took)/2].Seconds())
}

// cpu is what this process has used so far. The clock of a bubble knows nothing
// of it.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Round(time.Millisecond)
}
