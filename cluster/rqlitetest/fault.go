package rqlitetest

// Call is one request that got past authentication.
type Call struct {
	// N counts the requests of a cluster from 1, in the order they came.
	N int
	// Node is the number of the node that was asked.
	Node int
	// Path is that of the URL, Level the level of consistency that it asks for,
	// and SQL the text of the first statement.
	Path, Level, SQL string
}

// Fault is what becomes of a request.
type Fault int

const (
	// None lets the request through.
	None Fault = iota
	// NoLeader answers 503 as during an election. Nothing is carried out.
	NoLeader
	// Cut closes the connection in place of an answer. Nothing is carried out.
	Cut
	// AnswerLost carries the request out, then closes the connection.
	AnswerLost
	// Twice carries the request out twice and gives the second answer, as a
	// follower does that forwards to a leader which fails to answer once.
	Twice
	// LeadershipLost gives the answer of a leader that loses its office while
	// it commits. Nothing is carried out.
	LeadershipLost
	// LeadershipLostLate is LeadershipLost when the request was carried out all
	// the same, by the next leader.
	LeadershipLostLate
	// NotLeader gives the answer of a follower that forwards to a node which
	// leads no longer. Nothing is carried out.
	NotLeader
	// Hang keeps the request until the caller goes away. Nothing is carried
	// out.
	Hang
	// NotJSON answers 200 with something else, as a proxy in between might.
	// Nothing is carried out.
	NotJSON
	// Short answers with a result too few. Nothing is carried out.
	Short
	// Endless answers with JSON that does not end. Nothing is carried out.
	Endless
	// Redirect sends the caller to another address, the cluster's Elsewhere.
	// Nothing is carried out.
	Redirect
	// Refused answers 401 and quotes the caller's credentials, as a careless
	// proxy might. Nothing is carried out.
	Refused
)

// applications is how often a request is carried out.
func (f Fault) applications() int {
	switch f {
	case None, AnswerLost, LeadershipLostLate:
		return 1
	case Twice:
		return 2
	default:
		return 0
	}
}
