package round

import (
	"slices"
	"time"
)

const (
	// Lease is how long a round belongs to a coordinator that is not heard of.
	Lease = 10 * time.Minute
	// maxAborted and maxEnded are how many sessions are remembered that were aborted
	// and that were committed. A ballot for one that was aborted and is forgotten
	// stands for good.
	maxAborted = 512
	maxEnded   = 64
	// maxOpenBases bounds the bases that a record of the registry has: those
	// that are voted on and those of committed sessions that are not closed.
	maxOpenBases = 8192
)

// Phase is how far the rounds of a group are.
type Phase string

// The phases. A group that the registry has no record of is Idle.
const (
	Idle      Phase = "idle"
	Open      Phase = "open"
	Voting    Phase = "voting"
	Committed Phase = "committed"
	Aborted   Phase = "aborted"
)

// running tells whether a coordinator has the group.
func (p Phase) running() bool { return p == Open || p == Voting }

// Summary is what a round is for, in a few numbers for people.
type Summary struct {
	FromThreshold int   `json:"from_k"`
	ToThreshold   int   `json:"to_k"`
	ToHolders     int   `json:"to_n"`
	Generations   int   `json:"generations"`
	Bytes         int64 `json:"bytes"`
}

// State is what the registry has of the rounds of a group. The slices are not to
// be changed.
type State struct {
	Group Group `json:"-"`
	// Line is the nonce of the first round that this record has seen: it is another
	// one once the registry has lost what it had.
	Line string `json:"line,omitempty"`
	// Serial counts the rounds of the line, from 1.
	Serial uint64 `json:"serial"`
	Phase  Phase  `json:"state"`
	// Session is that of the round's vote; zero if there was none.
	Session Session `json:"session,omitzero"`
	// Coordinator is a node id, and Nonce tells two of its processes apart.
	Coordinator string  `json:"coordinator,omitempty"`
	Nonce       string  `json:"nonce,omitempty"`
	Proposal    Summary `json:"proposal,omitzero"`
	// Bases are those of the session that is being voted on.
	Bases     Tags  `json:"bases,omitempty"`
	OpenedNS  int64 `json:"opened_ns,omitempty"`
	ChangedNS int64 `json:"changed_ns,omitempty"`
	// Aborted and Committed are the sessions that ended so, newest last: the
	// last 512 and 64, but that a committed one stays until it is closed.
	Aborted   []Ended `json:"aborted,omitempty"`
	Committed []Ended `json:"committed,omitempty"`
}

// Ended is a session that will not be voted on again.
type Ended struct {
	Session Session `json:"session"`
	AtNS    int64   `json:"at_ns"`
	// Bases are those of a committed session until it is closed.
	Bases Tags `json:"bases,omitempty"`
}

// Closed tells whether enough holders follow a committed session for its bases
// to need no guard any more.
func (e Ended) Closed() bool { return len(e.Bases) == 0 }

// HasAborted tells whether the session is listed as aborted: then it is never
// committed.
func (s State) HasAborted(session Session) bool { return lists(s.Aborted, session) }

// HasCommitted tells whether the session is listed as committed.
func (s State) HasCommitted(session Session) bool { return lists(s.Committed, session) }

func lists(ended []Ended, session Session) bool {
	return slices.ContainsFunc(ended, func(e Ended) bool { return e.Session == session })
}

// taken tells which committed session has a successor of one of the bases.
func (s State) taken(bases Tags) (Session, bool) {
	for _, e := range s.Committed {
		if e.Bases.hasAny(bases) {
			return e.Session, true
		}
	}
	return Session{}, false
}

// openBases counts the bases of the record.
func (s State) openBases() int {
	n := s.Bases.Count()
	for _, e := range s.Committed {
		n += e.Bases.Count()
	}
	return n
}

// IsClosed tells whether the session is listed as committed, and closed.
func (s State) IsClosed(session Session) bool {
	return slices.ContainsFunc(s.Committed, func(e Ended) bool { return e.Session == session && e.Closed() })
}

// Knows tells whether what is listed can be all that became of a session that was
// voted on in a round of a line: where the registry has begun anew, or has gone back
// to before, it does not.
func (s State) Knows(line string, serial uint64) bool { return s.Line == line && s.Serial >= serial }
