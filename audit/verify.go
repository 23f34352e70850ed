package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
)

// Segment is one object of an audit log.
type Segment struct {
	// Name is that which Store.PutSegment was given.
	Name string
	Data []byte
}

// Verify checks all chains of a node. It streams: memory grows with the number
// of chains and of problems only.
//
// The segments come in ascending order of their names, as storages list them.
// KeyUnknown is the error, or one that it wraps, by which the sealer tells that
// it does not have a key; every other one of its errors is taken for damage.
//
// What is wrong with the log is in the report. An error means that there is no
// report: reading failed, ctx ended, or the segments are out of order.
func Verify(ctx context.Context, sealer Sealer, keyUnknown error, segments iter.Seq2[Segment, error]) (Report, error) {
	v := verifier{sealer: sealer, keyUnknown: keyUnknown}
	for s, err := range segments {
		if err != nil {
			return Report{}, fmt.Errorf("reading segments: %w", err)
		}
		if err := v.segment(ctx, s); err != nil {
			return Report{}, err
		}
		// A sealer whose ctx has ended may not have fetched a key.
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
	}
	v.finishChain()
	return v.report, nil
}

type verifier struct {
	sealer     Sealer
	keyUnknown error
	report     Report
	previous   string // name of the segment before
	walk       *walk  // of the chain it is part of; nil before the first
}

func (v *verifier) segment(ctx context.Context, s Segment) error {
	if s.Name <= v.previous {
		return fmt.Errorf("segments are not in order: %q after %q", s.Name, v.previous)
	}
	v.previous = s.Name
	name, number, ok := parseName(s.Name)
	if !ok {
		v.report.Problems = append(v.report.Problems, Problem{Kind: Foreign, Segment: s.Name, Detail: details[Foreign]})
		return nil
	}
	if v.walk == nil || v.walk.Name != name {
		v.finishChain()
		v.walk = &walk{Chain: Chain{Name: name}}
	}
	v.walk.enter(s.Name, number)
	v.lines(ctx, s.Data)
	return nil
}

func (v *verifier) finishChain() {
	if v.walk != nil {
		v.report.Chains = append(v.report.Chains, v.walk.finish())
	}
}

func (v *verifier) lines(ctx context.Context, data []byte) {
	for raw := range bytes.Lines(data) {
		v.walk.number++
		raw, whole := bytes.CutSuffix(raw, []byte("\n"))
		line, problem := v.judge(ctx, raw)
		if !whole {
			problem = CutOff
		}
		if problem != "" {
			v.walk.refuse(problem)
			continue
		}
		v.walk.place(line)
	}
	if len(data) == 0 {
		v.walk.add(CutOff, details[CutOff])
	}
}

// judge reads one line and checks its tag.
func (v *verifier) judge(ctx context.Context, raw []byte) (Line, ProblemKind) {
	line, covered, tag, err := parseLine(raw)
	if err != nil {
		return Line{}, Malformed
	}
	err = v.sealer.Open(ctx, labelChain, line.Key, tag, []byte(v.walk.Name), covered)
	switch {
	case err == nil:
		return line, ""
	case errors.Is(err, v.keyUnknown):
		return Line{}, KeyUnknown
	}
	return Line{}, Damaged
}
