package round

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"testing"
	"time"
)

// The model explores every interleaving of coordinators and voters over one
// base, breadth first, with the decisions of the production code. What is
// modelled is what lies between them: the registry's compare-and-swap, answers
// that are lost, swaps that land late, and clocks an hour apart, under which
// every round may be taken over at once.

type goal string

const (
	toOpen   goal = "open"
	toVote   goal = "vote"
	toGather goal = "gather"
	toCommit goal = "commit"
	toAbort  goal = "abort"
	atEnd    goal = "end"
)

// coordinator is one round of one process.
type coordinator struct {
	goal   goal
	own    claim
	seen   *State // nil: look first
	seenAt int
	votes  uint
	asked  bool
	answer string // committed, lost, aborted, refused
}

// elector is a node that votes. It may have as many replicas as there are
// coordinators: a look for each.
type elector struct {
	ballots []Ballot
	follows bool
	looks   [3]*State
}

type flight struct {
	at   int
	next State
}

type world struct {
	registry     State
	at           int
	coordinators []coordinator
	electors     []elector
	flights      []flight
	faults       int
	wipes        int
}

type model struct {
	rules  rules
	blind  bool // no compare-and-swap
	teams  []uint
	voters int
	need   int
	faults int
	wipes  int
	stays  bool // no coordinator aborts by itself
}

var modelSeed = maphash.MakeSeed()

var modelBases = Hashes{{9}}

func modelSession(c int) Session { return Session{byte(c + 1)} }

// modelNow is an hour later for each coordinator.
func modelNow(c int) time.Time { return time.Unix(1e9+int64(c)*3600, 0) }

func (m *model) first() world {
	w := world{registry: State{Phase: Idle}, electors: make([]elector, m.voters), faults: m.faults, wipes: m.wipes}
	for c := range m.teams {
		w.coordinators = append(w.coordinators, coordinator{goal: toOpen, own: claim{coordinator: "n", nonce: fmt.Sprint(c)}})
	}
	return w
}

func (w world) clone() world {
	w.coordinators, w.electors, w.flights = slices.Clone(w.coordinators), slices.Clone(w.electors), slices.Clone(w.flights)
	return w
}

func (s State) text() string {
	b := fmt.Appendf(nil, "%d%s%x%s%d|", s.Serial, s.Phase, s.Session[0], s.Nonce, len(s.Bases))
	for _, e := range s.Aborted {
		b = fmt.Appendf(b, "%x ", e.Session[0])
	}
	for _, e := range s.Committed {
		b = fmt.Appendf(b, "!%x%v", e.Session[0], e.Closed())
	}
	return string(b)
}

func textOf(s *State) string {
	if s == nil {
		return "-"
	}
	return s.text()
}

func (w world) key() uint64 {
	b := fmt.Appendf(nil, "%s f%d w%d", w.registry.text(), w.faults, w.wipes)
	for _, c := range w.coordinators {
		b = fmt.Appendf(b, "\n%s %d %s %d %b %v %s", c.goal, c.own.serial, textOf(c.seen), min(1, w.at-c.seenAt), c.votes, c.asked, c.answer)
	}
	for _, e := range w.electors {
		b = fmt.Appendf(b, "\n%v", e.follows)
		for _, s := range e.looks {
			b = fmt.Appendf(b, " %s", textOf(s))
		}
		for _, ballot := range e.ballots {
			b = fmt.Appendf(b, " %x", ballot.Session[0])
		}
	}
	for _, f := range w.flights {
		b = fmt.Appendf(b, "\n%d %s", min(1, w.at-f.at), f.next.text())
	}
	return maphash.Bytes(modelSeed, b)
}

// land is a swap that reaches the registry.
func (m *model) land(w *world, f flight) bool {
	if f.at != w.at && !m.blind {
		return false
	}
	w.registry, w.at = f.next, w.at+1
	w.flights = slices.DeleteFunc(w.flights, func(f flight) bool { return f.at != w.at && !m.blind })
	return true
}

func (m *model) decide(w world, i int) (State, bool, error) {
	c := w.coordinators[i]
	switch c.goal {
	case toOpen:
		return m.rules.open(*c.seen, c.own, Summary{}, modelNow(i))
	case toVote:
		return m.rules.vote(*c.seen, c.own, modelSession(i), modelBases.tags(), modelNow(i))
	case toCommit:
		return m.rules.commit(*c.seen, c.own, modelSession(i), modelNow(i))
	default:
		return m.rules.abort(*c.seen, c.own, modelSession(i), c.asked, modelNow(i))
	}
}

// achieve is what follows a step that is done.
func (c *coordinator) achieve() {
	switch c.goal {
	case toOpen:
		c.goal, c.own.serial = toVote, c.seen.Serial
	case toVote:
		c.goal = toGather
	case toCommit:
		c.goal, c.answer = atEnd, "committed"
	case toAbort:
		c.goal, c.answer = atEnd, "aborted"
	}
}

func (c *coordinator) refuse(err error) {
	switch {
	case errors.Is(err, ErrUnknown):
		c.seen = nil
	case errors.Is(err, ErrCommitted):
		c.goal, c.answer = atEnd, "committed"
	case errors.Is(err, ErrLost):
		c.goal, c.answer = atEnd, "lost"
	default:
		c.goal, c.answer = atEnd, "refused"
	}
}

// coordinate returns what may come of the next move of a coordinator.
func (m *model) coordinate(w world, i int) []world {
	c := w.coordinators[i]
	var all []world
	with := func(change func(w *world, c *coordinator)) {
		next := w.clone()
		change(&next, &next.coordinators[i])
		all = append(all, next)
	}
	if !m.stays && slices.Contains([]goal{toVote, toGather, toCommit}, c.goal) {
		with(func(_ *world, c *coordinator) { c.goal = toAbort })
	}
	switch {
	case c.goal == atEnd:
		return nil
	case c.goal == toGather:
		if bits.OnesCount(c.votes) >= m.need {
			with(func(_ *world, c *coordinator) { c.goal, c.asked = toCommit, true })
		}
		return all
	case c.seen == nil:
		with(func(w *world, c *coordinator) { s := w.registry; c.seen, c.seenAt = &s, w.at })
		return all
	}
	next, done, err := m.decide(w, i)
	switch {
	case done:
		with(func(_ *world, c *coordinator) { c.achieve() })
		return all
	case err != nil:
		with(func(_ *world, c *coordinator) { c.refuse(err) })
		return all
	}
	f := flight{c.seenAt, next}
	with(func(w *world, c *coordinator) {
		if c.seen = nil; m.land(w, f) {
			c.seen, c.seenAt = &f.next, w.at
			c.achieve()
		}
	})
	if w.faults == 0 {
		return all
	}
	with(func(w *world, c *coordinator) { c.seen = nil; w.faults-- })
	with(func(w *world, c *coordinator) { c.seen = nil; w.faults--; m.land(w, f) })
	with(func(w *world, c *coordinator) { c.seen = nil; w.faults--; w.flights = append(w.flights, f) })
	return all
}

// elect returns what may come of the next move of a voter for a coordinator.
func (m *model) elect(w world, v, i int) []world {
	bit := uint(1) << v
	c := w.coordinators[i]
	if m.teams[i]&bit == 0 || c.votes&bit != 0 || c.goal != toGather || w.electors[v].follows {
		return nil
	}
	next := w.clone()
	e := &next.electors[v]
	if e.looks[i] == nil {
		s := w.registry
		e.looks[i] = &s
		return []world{next}
	}
	s := *e.looks[i]
	e.looks[i] = nil
	if m.rules.admit(s, modelSession(i), modelBases) != nil {
		return []world{next}
	}
	known := slices.DeleteFunc(slices.Clone(e.ballots), func(b Ballot) bool { return m.rules.aborted(s, b.Session) })
	ballots, err := m.rules.cast(known, Ballot{Session: modelSession(i), Bases: modelBases})
	if err == nil {
		e.ballots = ballots
		next.coordinators[i].votes |= bit
	}
	return []world{next}
}

// others returns what else may come next.
func (m *model) others(w world) []world {
	var all []world
	for f := range w.flights {
		next := w.clone()
		next.flights = slices.Delete(next.flights, f, f+1)
		m.land(&next, w.flights[f])
		all = append(all, next)
	}
	if w.wipes > 0 {
		next := w.clone()
		next.registry, next.wipes, next.at, next.flights = State{Phase: Idle}, w.wipes-1, w.at+1, nil
		all = append(all, next)
	}
	for i, c := range w.coordinators {
		if c.answer == "committed" {
			all = append(all, m.spread(w, i)...)
		}
	}
	return all
}

// spread shows the certificate to one more node, or closes the session when at
// most K have not seen it.
func (m *model) spread(w world, i int) []world {
	var all []world
	follow := 0
	for v, e := range w.electors {
		if e.follows {
			follow++
			continue
		}
		next := w.clone()
		next.electors[v].follows = true
		next.electors[v].ballots = slices.DeleteFunc(slices.Clone(e.ballots), func(b Ballot) bool { return b.Session == modelSession(i) })
		all = append(all, next)
	}
	if closed, done, err := w.registry.closed(modelSession(i)); follow > m.voters-m.need && !done && err == nil {
		next := w.clone()
		m.land(&next, flight{w.at, closed})
		all = append(all, next)
	}
	return all
}

// wrong says what must not be.
func (w world) wrong() string {
	committed := 0
	for i, c := range w.coordinators {
		if c.answer == "committed" {
			committed++
		}
		if over := c.answer == "lost" || c.answer == "aborted"; over && w.registry.HasCommitted(modelSession(i)) {
			return "a session that was said to be over is committed"
		}
	}
	if committed > 1 || len(w.registry.Committed) > 1 {
		return "two sessions over one base are committed"
	}
	return ""
}

// explore returns what went wrong, how many states there are, and whether a
// session was committed in one.
func (m *model) explore(t *testing.T) (wrong string, states int, committed bool) {
	t.Helper()
	first := m.first()
	known, queue := map[uint64]bool{first.key(): true}, []world{first}
	for len(queue) > 0 {
		w := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if wrong := w.wrong(); wrong != "" {
			return wrong, len(known), true
		}
		committed = committed || len(w.registry.Committed) > 0
		for _, next := range m.successors(w) {
			if key := next.key(); !known[key] {
				known[key] = true
				queue = append(queue, next)
			}
		}
	}
	return "", len(known), committed
}

func (m *model) successors(w world) []world {
	all := m.others(w)
	for i := range w.coordinators {
		all = append(all, m.coordinate(w, i)...)
		for v := range w.electors {
			all = append(all, m.elect(w, v, i)...)
		}
	}
	return all
}

// Scenarios: who may vote in whose session, how many of them are needed.
func overlapping() model {
	return model{rules: pageRules, teams: []uint{0b011, 0b110}, voters: 3, need: 2, faults: 1}
}

func disjoint() model {
	return model{rules: pageRules, teams: []uint{0b0011, 0b1100}, voters: 4, need: 2, faults: 1, stays: true}
}

// emptied is a registry that loses all it has, once.
func emptied() model {
	m := overlapping()
	m.faults, m.wipes = 0, 1
	return m
}

// three is a voter between three coordinators.
func three() model {
	return model{rules: pageRules, teams: []uint{1, 1, 1}, voters: 1, need: 1, stays: true}
}

func TestAtMostOneSessionIsCommitted(t *testing.T) {
	for name, m := range map[string]model{
		"overlapping": overlapping(), "disjoint": disjoint(), "emptied": emptied(), "three": three(),
	} {
		t.Run(name, func(t *testing.T) {
			wrong, states, committed := m.explore(t)
			if wrong != "" || !committed {
				t.Fatalf("%q after %d states; committed at all: %v", wrong, states, committed)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestRulesAreNeeded takes out one at a time.
func TestRulesAreNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		scenario func() model
		without  func(m *model)
	}{
		"compare-and-swap of the round": {overlapping, func(m *model) { m.blind = true }},
		"one vote over a base":          {emptied, func(m *model) { m.rules.once = func([]Ballot, Ballot) error { return nil } }},
		"aborted before voting anew":    {emptied, func(m *model) { m.rules.aborted = func(State, Session) bool { return true } }},
		"bases of committed sessions":   {disjoint, func(m *model) { m.rules.taken = func(State, Tags) error { return nil } }},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.scenario()
			c.without(&m)
			wrong, states, _ := m.explore(t)
			if wrong == "" {
				t.Fatalf("nothing went wrong in %d states without the rule", states)
			}
			t.Logf("%s, after %d states", wrong, states)
		})
	}
}
