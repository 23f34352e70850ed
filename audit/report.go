package audit

import (
	"fmt"
	"time"
)

// NotClosed says what is to be thought of a chain that is not Closed.
const NotClosed = "not closed: the process was killed, or lines were removed at its end (these cannot be told apart), or it still runs"

// Report is what Verify found.
type Report struct {
	// Chains are in the order of their names, which is that of their starts.
	Chains []Chain
	// Problems are those of objects that belong to no chain.
	Problems []Problem
}

// Sound reports whether there is no problem at all. Chains that are not closed
// are none.
func (r Report) Sound() bool {
	for _, c := range r.Chains {
		if len(c.Problems) > 0 {
			return false
		}
	}
	return len(r.Problems) == 0
}

// Chain is what the lines of one process say.
type Chain struct {
	// Name is the start time and the chain id, as in names of segments.
	Name string
	// Node and Program are those of the first line; "" if that is missing.
	Node, Program string
	// Lines counts those that verify.
	Lines int
	// From and To are the times of the first and the last of them.
	From, To time.Time
	// Lost is the number of lines that the process says it dropped.
	Lost uint64
	// Closed is true when the last line says that it is the last. Otherwise
	// see NotClosed.
	Closed bool
	// Problems are in the order of segments and lines.
	Problems []Problem
}

// ProblemKind says what is wrong.
type ProblemKind string

const (
	// Malformed is something that is no line.
	Malformed ProblemKind = "malformed"
	// Damaged is a line that does not verify.
	Damaged ProblemKind = "damaged"
	// KeyUnknown is a line that cannot be judged for want of its key.
	KeyUnknown ProblemKind = "key_unknown"
	// CutOff is a segment that does not end with a whole line.
	CutOff ProblemKind = "cut_off"
	// Missing is lines that are nowhere in the chain.
	Missing ProblemKind = "missing"
	// Reordered is a line that verifies but stands behind a later one, or again.
	Reordered ProblemKind = "reordered"
	// Forked is a line that verifies but follows another one than stands
	// before it: two processes went on with one chain.
	Forked ProblemKind = "forked"
	// MissingSegment is segments whose numbers are left out.
	MissingSegment ProblemKind = "missing_segment"
	// Foreign is an object whose name is not that of a segment.
	Foreign ProblemKind = "foreign"
)

// details are those of problems that need no numbers.
var details = map[ProblemKind]string{
	Malformed:  "not a line of an audit log",
	Damaged:    "does not verify: changed, inserted, or moved here from another chain",
	KeyUnknown: "sealed with a key that is not in the keyring: cannot be judged",
	CutOff:     "cut off: it does not end with a whole line",
	Reordered:  "out of order or repeated",
	Forked:     "does not follow the line before it: two processes wrote one chain",
	Foreign:    "not the name of a segment",
}

// Problem is one finding.
type Problem struct {
	Kind ProblemKind
	// Segment is the name of the segment where it was noticed.
	Segment string
	// First and Last are the line numbers in the segment, from 1; 0 for a
	// problem of the segment as a whole. What is missing has the line before
	// which it is missed.
	First, Last int
	// Detail says it in words.
	Detail string
}

// String is the problem for people, on one line.
func (p Problem) String() string {
	switch p.First {
	case 0:
		return fmt.Sprintf("segment %s: %s", p.Segment, p.Detail)
	case p.Last:
		return fmt.Sprintf("segment %s, line %d: %s", p.Segment, p.First, p.Detail)
	}
	return fmt.Sprintf("segment %s, lines %d to %d: %s", p.Segment, p.First, p.Last, p.Detail)
}
