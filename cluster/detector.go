package cluster

import (
	"maps"
	"slices"
	"time"
)

// State is what a detector thinks of a node.
type State string

// The states.
const (
	Alive   State = "alive"
	Suspect State = "suspect"
	Dead    State = "dead"
)

// States are all of them.
var States = []State{Alive, Suspect, Dead}

// Event is one transition of one node.
type Event struct {
	NodeID   string
	From, To State
	// Silent is how long the node had not been heard of.
	Silent time.Duration
}

// Detector tells from heartbeats alone which nodes are alive: a node is alive
// when heard of, suspect once SuspectAfter has gone by without, dead once
// DeadAfter has; any heartbeat revives it. Being listed counts as one
// heartbeat: a node never heard of is alive at first, suspect SuspectAfter
// behind its listing, and dead DeadAfter behind it. So a cluster that starts
// does not begin with everybody suspect.
//
// It has no clock: times are handed in, from one clock. Silence is added up
// from the steps between calls, of which one that leads back counts as nothing
// and a long one as a third of SuspectAfter. So a clock that is set, or a
// process that was stopped for an hour, makes nobody suspect: whoever was not
// there to listen cannot tell who was silent. It follows that Tick must be
// called several times in SuspectAfter.
//
// A Detector is not safe for concurrent use.
type Detector struct {
	suspectAfter, deadAfter time.Duration

	last    time.Time     // of the latest call
	elapsed time.Duration // since the first
	nodes   map[string]*watched
}

// watched is one node. What Tick has reported of it is reported.
type watched struct {
	heard    time.Duration // as Detector.elapsed
	reported State
	left     bool
}

// NewDetector returns a detector that watches nobody. It wants 0 < suspectAfter
// < deadAfter.
func NewDetector(suspectAfter, deadAfter time.Duration) *Detector {
	return &Detector{suspectAfter: suspectAfter, deadAfter: deadAfter, nodes: map[string]*watched{}}
}

// Listed begins to watch a node that is not watched yet, and goes on with one
// that has left.
func (d *Detector) Listed(node string, at time.Time) {
	d.advance(at)
	if d.nodes[node] == nil {
		d.nodes[node] = &watched{heard: d.elapsed, reported: Alive}
	}
	d.nodes[node].left = false
}

// Left stops reporting a node until it is listed or heard again. Its silence
// goes on meanwhile: only the first listing counts as a heartbeat.
func (d *Detector) Left(node string) {
	if n := d.nodes[node]; n != nil {
		n.left = true
	}
}

// Heard notes a heartbeat of a node, and begins to watch it if need be.
func (d *Detector) Heard(node string, at time.Time) {
	d.Listed(node, at)
	d.nodes[node].heard = d.elapsed
}

// Forget ends the watch over a node.
func (d *Detector) Forget(node string) { delete(d.nodes, node) }

// StateOf returns the state of a node. A node that is not watched is dead.
func (d *Detector) StateOf(node string, at time.Time) State {
	silent, watched := d.Silence(node, at)
	if !watched {
		return Dead
	}
	return d.after(silent)
}

// Silence returns how long a node has not been heard of, and whether it is
// watched at all.
func (d *Detector) Silence(node string, at time.Time) (time.Duration, bool) {
	n := d.nodes[node]
	if n == nil {
		return 0, false
	}
	return d.elapsed + d.step(at) - n.heard, true
}

// Tick returns the transitions since the last Tick in order of node id, each
// once. Of a node that was suspect and is alive again by the next Tick there is
// none.
func (d *Detector) Tick(at time.Time) []Event {
	d.advance(at)
	var events []Event
	for _, id := range slices.Sorted(maps.Keys(d.nodes)) {
		n := d.nodes[id]
		silent := d.elapsed - n.heard
		if now := d.after(silent); now != n.reported && !n.left {
			events = append(events, Event{NodeID: id, From: n.reported, To: now, Silent: silent})
			n.reported = now
		}
	}
	return events
}

func (d *Detector) after(silent time.Duration) State {
	switch {
	case silent >= d.deadAfter:
		return Dead
	case silent >= d.suspectAfter:
		return Suspect
	}
	return Alive
}

// advance moves on to at. A clock that was set back goes on from there.
func (d *Detector) advance(at time.Time) {
	d.elapsed += d.step(at)
	d.last = at
}

// step is how much silence there can have been since the latest call.
func (d *Detector) step(at time.Time) time.Duration {
	if d.last.IsZero() {
		return 0
	}
	return min(max(at.Sub(d.last), 0), d.suspectAfter/3)
}
