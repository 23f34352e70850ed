package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	suspectAfter = 15 * time.Second
	deadAfter    = 60 * time.Second
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// script drives a detector through whole seconds from the start, with a Tick
// in each.
type script struct {
	t *testing.T
	*Detector
	at     time.Time
	events []string
}

func newScript(t *testing.T) *script {
	return &script{t: t, Detector: NewDetector(suspectAfter, deadAfter), at: start}
}

func (s *script) run(seconds int) {
	for range seconds {
		s.at = s.at.Add(time.Second)
		s.tick()
	}
}

func (s *script) tick() {
	for _, e := range s.Tick(s.at) {
		s.events = append(s.events, fmt.Sprintf("%v %s %s>%s", s.at.Sub(start), e.NodeID, e.From, e.To))
	}
}

func (s *script) heard(node string)  { s.Heard(node, s.at) }
func (s *script) listed(node string) { s.Listed(node, s.at) }

func (s *script) want(events ...string) {
	s.t.Helper()
	if !slices.Equal(s.events, events) {
		s.t.Errorf("events are %q, want %q", s.events, events)
	}
	s.events = nil
}

func (s *script) wantState(node string, want State) {
	s.t.Helper()
	if got := s.StateOf(node, s.at); got != want {
		s.t.Errorf("%v: %s is %s, want %s", s.at.Sub(start), node, got, want)
	}
}

func TestDetector(t *testing.T) {
	for name, run := range map[string]func(*script){
		"silent": func(s *script) {
			s.heard("a")
			s.run(14)
			s.wantState("a", Alive)
			s.run(1)
			s.wantState("a", Suspect)
			s.run(44)
			s.wantState("a", Suspect)
			s.run(1)
			s.wantState("a", Dead)
			s.run(1000)
			s.want("15s a alive>suspect", "1m0s a suspect>dead")
		},
		"heard every five seconds": func(s *script) {
			for range 100 {
				s.heard("a")
				s.run(5)
				s.wantState("a", Alive)
			}
			s.want()
		},
		"heard at the last moment": func(s *script) {
			for range 10 {
				s.heard("a")
				s.run(14)
			}
			s.want()
		},
		"revived when suspect": func(s *script) {
			s.heard("a")
			s.run(20)
			s.heard("a")
			s.wantState("a", Alive)
			s.run(15)
			s.want("15s a alive>suspect", "21s a suspect>alive", "35s a alive>suspect")
		},
		"revived when dead": func(s *script) {
			s.heard("a")
			s.run(100)
			s.heard("a")
			s.wantState("a", Alive)
			s.run(2)
			s.want("15s a alive>suspect", "1m0s a suspect>dead", "1m41s a dead>alive")
		},
		"never heard": func(s *script) {
			s.run(3)
			s.listed("a")
			s.wantState("a", Alive)
			s.run(15)
			s.wantState("a", Suspect)
			s.run(45)
			s.want("18s a alive>suspect", "1m3s a suspect>dead")
		},
		"listed again after it left": func(s *script) {
			s.listed("b")
			s.run(10)
			s.Left("b")
			s.Left("stranger")
			s.run(10)
			s.want() // who has left is not spoken of
			s.listed("b")
			s.wantState("b", Suspect)
			s.run(1)
			s.Left("b")
			s.run(100)
			s.listed("b")
			s.run(1)
			s.heard("b")
			s.run(1)
			s.want("21s b alive>suspect", "2m2s b suspect>dead", "2m3s b dead>alive")
		},
		"listed again and again": func(s *script) {
			for range 20 {
				s.listed("a")
				s.run(5)
			}
			s.want("15s a alive>suspect", "1m0s a suspect>dead")
		},
		"listed when heard before": func(s *script) {
			s.heard("a")
			s.run(20)
			s.listed("a")
			s.wantState("a", Suspect)
		},
		"forgotten": func(s *script) {
			s.heard("a")
			s.run(20)
			s.Forget("a")
			s.Forget("nobody")
			s.wantState("a", Dead)
			s.run(100)
			s.want("15s a alive>suspect")
			s.heard("a")
			s.run(1)
			s.want()
		},
		"unknown": func(s *script) {
			s.wantState("a", Dead)
			if silent, watched := s.Silence("a", s.at); silent != 0 || watched {
				s.t.Errorf("silent for %v, %v", silent, watched)
			}
		},
		"several in order of node id": func(s *script) {
			for _, node := range []string{"c", "a", "b"} {
				s.heard(node)
			}
			s.run(16)
			s.want("15s a alive>suspect", "15s b alive>suspect", "15s c alive>suspect")
		},
		"one of two": func(s *script) {
			for range 14 {
				s.heard("b")
				s.run(5)
			}
			s.listed("a")
			s.want()
			s.wantState("b", Alive)
		},
	} {
		t.Run(name, func(t *testing.T) { run(newScript(t).with(t)) })
	}
}

func (s *script) with(t *testing.T) *script { s.t = t; return s }

// A clock that leads back or far ahead makes nobody suspect, and a node that
// stops is still found out in time.
func TestDetectorClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-100 * 365 * 24 * time.Hour, -time.Hour, -20 * time.Second, -1, 1, 20 * time.Second, time.Hour, 200 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			s := newScript(t)
			s.heard("a")
			s.run(3)
			s.at = s.at.Add(jump)
			s.tick()
			s.wantState("a", Alive)
			s.run(5) // less than suspectAfter with the third that a jump counts for
			s.wantState("a", Alive)
			s.want()
			s.heard("a")
			s.run(14)
			s.wantState("a", Alive)
			s.run(1)
			s.wantState("a", Suspect)
			s.run(45)
			s.wantState("a", Dead)
		})
	}
}

// A process that did not run for an hour cannot tell who was silent.
func TestDetectorStoppedProcess(t *testing.T) {
	s := newScript(t)
	s.heard("a")
	s.heard("b")
	s.run(14)
	s.heard("b")
	s.at = s.at.Add(time.Hour)
	s.wantState("b", Alive)
	s.tick()
	s.wantState("b", Alive)
	s.want("1h0m14s a alive>suspect") // 14 s of its own, and a third of 15 s
	s.heard("a")
	s.tick()
	s.want("1h0m14s a suspect>alive")
}

// Looking at a state changes nothing.
func TestDetectorStateOfIsPure(t *testing.T) {
	s := newScript(t)
	s.heard("a")
	s.run(10)
	for range 1000 {
		s.StateOf("a", s.at.Add(4*time.Second))
		s.Silence("a", s.at.Add(-time.Hour))
	}
	if got := s.StateOf("a", s.at.Add(4*time.Second)); got != Alive {
		t.Errorf("after 14 s it is %s", got)
	}
	if got := s.StateOf("a", s.at.Add(5*time.Second)); got != Suspect {
		t.Errorf("after 15 s it is %s", got)
	}
	if silent, watched := s.Silence("a", s.at); silent != 10*time.Second || !watched {
		t.Errorf("silent for %v, %v", silent, watched)
	}
}

// The plain rule, for steps that a running process makes: the state depends on
// the time since the last heartbeat alone. And whatever the steps: the events of
// a node are a chain from alive, each is told once, and they say what StateOf
// says.
func TestPropertyDetector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDetector(suspectAfter, deadAfter)
		now := start
		wild := rapid.Bool().Draw(t, "wild clock")
		step := rapid.Int64Range(0, int64(suspectAfter/3))
		if wild {
			step = rapid.Int64Range(-int64(3*time.Hour), int64(3*time.Hour))
		}
		heard := map[string]time.Time{}
		told := map[string]State{}
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			now = now.Add(time.Duration(step.Draw(t, "step")))
			node := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "node")
			switch rapid.SampledFrom([]string{"heard", "listed", "forget", "tick", "tick", "tick"}).Draw(t, "call") {
			case "heard":
				d.Heard(node, now)
				heard[node] = now
				if got := d.StateOf(node, now); got != Alive {
					t.Fatalf("heard, %s is %s", node, got)
				}
			case "listed":
				d.Listed(node, now)
				if heard[node].IsZero() {
					heard[node] = now
				}
			case "forget": // takes no time, and so a call that does goes before
				checkEvents(t, d, now, told)
				d.Forget(node)
				delete(heard, node)
				delete(told, node)
			case "tick":
				checkEvents(t, d, now, told)
			}
			for node := range heard {
				if told[node] == "" {
					told[node] = Alive
				}
				if want := d.after(now.Sub(heard[node])); !wild && d.StateOf(node, now) != want {
					t.Fatalf("%v after it was heard, %s is %s", now.Sub(heard[node]), node, d.StateOf(node, now))
				}
			}
		}
	})
}

func checkEvents(t *rapid.T, d *Detector, now time.Time, told map[string]State) {
	seen := map[string]bool{}
	for _, e := range d.Tick(now) {
		if seen[e.NodeID] || e.From == e.To || e.From != told[e.NodeID] || e.To != d.StateOf(e.NodeID, now) || e.Silent < 0 {
			t.Fatalf("%+v when %q was told", e, told[e.NodeID])
		}
		seen[e.NodeID], told[e.NodeID] = true, e.To
	}
	if again := d.Tick(now); len(again) > 0 {
		t.Fatalf("told twice: %+v", again)
	}
	for node, state := range maps.All(told) {
		if got := d.StateOf(node, now); got != state {
			t.Fatalf("%s is %s and was told to be %s", node, got, state)
		}
	}
}
