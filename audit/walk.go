package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// walk follows one chain through its segments. Only lines that verify have a
// place in it; what does not verify is taken to stand in the place of as many
// lines as are left out there.
type walk struct {
	Chain
	segment  string // where the walk is
	segments uint64 // number of that segment
	number   int    // of the line there, from 1

	last   uint64 // highest sequence number of a line that verifies
	tag    string // of that line
	unread uint64 // lines behind it that do not verify
	gaps   []gap
}

// gap is lines first to last of the chain, which were left out where it was
// noticed. As many as unread may be the lines there that do not verify.
type gap struct {
	first, last, unread uint64
	segment             string
	number              int
}

func (g gap) size() uint64 { return g.last + 1 - g.first }

// enter begins a segment.
func (w *walk) enter(segment string, number uint64) {
	first := w.segments + 1
	w.segment, w.segments, w.number = segment, number, 0
	if number > first {
		w.add(MissingSegment, fmt.Sprintf("%s missing before it", span("segment", first, number-1)))
	}
}

// refuse notes a line that does not verify.
func (w *walk) refuse(kind ProblemKind) {
	w.unread++
	w.add(kind, details[kind])
}

// place puts a line that verifies where it belongs.
func (w *walk) place(line Line) {
	w.count(line)
	if line.Seq <= w.last {
		w.fill(line.Seq)
		w.add(Reordered, details[Reordered])
		return
	}
	w.follow(line)
	w.last, w.tag, w.unread, w.Closed = line.Seq, line.Tag, 0, line.Kind == End
}

func (w *walk) count(line Line) {
	w.Lines++
	if w.From.IsZero() || line.Time.Before(w.From) {
		w.From = line.Time
	}
	if line.Time.After(w.To) {
		w.To = line.Time
	}
	w.Lost += line.Lost
	if line.Kind == Start {
		w.Node, w.Program = line.Node, line.Program
	}
}

// follow checks a line against the highest one before it.
func (w *walk) follow(line Line) {
	if line.Seq > w.last+1 {
		w.gaps = append(w.gaps, gap{w.last + 1, line.Seq - 1, w.unread, w.segment, w.number})
	} else if w.last > 0 && w.unread == 0 && line.Prev != w.tag {
		w.add(Forked, details[Forked])
	}
}

// fill takes a line that comes late out of the gap that it left.
func (w *walk) fill(seq uint64) {
	i := slices.IndexFunc(w.gaps, func(g gap) bool { return g.first <= seq && seq <= g.last })
	if i < 0 {
		return
	}
	before, after := w.gaps[i], w.gaps[i]
	before.last, after.first = seq-1, seq+1
	before.unread = min(before.unread, before.size())
	after.unread -= before.unread
	rest := slices.DeleteFunc([]gap{before, after}, func(g gap) bool { return g.size() == 0 })
	w.gaps = slices.Replace(w.gaps, i, i+1, rest...)
}

// finish returns the chain once all of it was seen.
func (w *walk) finish() Chain {
	for _, g := range w.gaps {
		if g.size() > g.unread {
			w.miss(g)
		}
	}
	slices.SortStableFunc(w.Problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Segment, b.Segment), cmp.Compare(a.First, b.First))
	})
	return w.Chain
}

func (w *walk) miss(g gap) {
	detail := span("line", g.first, g.last) + " of the chain missing before it"
	if g.unread > 0 {
		detail = fmt.Sprintf("%d of %s", g.size()-g.unread, detail)
	}
	w.Problems = append(w.Problems, Problem{Missing, g.segment, g.number, g.number, detail})
}

// add notes a problem at the line where the walk is. One that goes on for
// several lines is one problem.
func (w *walk) add(kind ProblemKind, detail string) {
	if last := len(w.Problems) - 1; last >= 0 && w.number > 0 {
		p := &w.Problems[last]
		if p.Kind == kind && p.Segment == w.segment && p.Last == w.number-1 && p.First > 0 {
			p.Last = w.number
			return
		}
	}
	w.Problems = append(w.Problems, Problem{kind, w.segment, w.number, w.number, detail})
}

// span is such as `segment 3` or `lines 5 to 9`.
func span(what string, first, last uint64) string {
	if first == last {
		return fmt.Sprintf("%s %d", what, first)
	}
	return fmt.Sprintf("%ss %d to %d", what, first, last)
}
