package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// Codes of requests that no guardian gave a code.
const (
	codeWrong   = "wrong_share"
	codeTimeout = "timeout"
	codeSilent  = "no_answer"
)

// codeOf is what a request failed with: the code of the protocol, the HTTP status
// of an answer that has none, or why there is no answer.
func codeOf(err error) string {
	said, ok := errors.AsType[*client.Error](err)
	network, timed := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errWrongShare):
		return codeWrong
	case errors.Is(err, context.DeadlineExceeded), timed && network.Timeout():
		return codeTimeout
	case !ok || said.Status == 0:
		return codeSilent
	}
	if row := api.RowOf(err); errors.Is(err, row.Err) {
		return row.Code
	}
	return fmt.Sprintf("http_%d", said.Status)
}

// benchTurn is what one turn of a target came to. What adds to it may be called at
// the same time.
type benchTurn struct {
	mu      sync.Mutex
	took    []*hdrhistogram.Histogram // of those that succeeded, in µs, by operation
	failed  []map[string]int64        // by operation and code
	unsent  int64
	seconds float64
}

// newHistogram keeps three digits of times up to ten minutes.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

func newBenchTurn() *benchTurn {
	turn := &benchTurn{}
	for range benchOperations {
		turn.took = append(turn.took, newHistogram())
		turn.failed = append(turn.failed, map[string]int64{})
	}
	return turn
}

func (t *benchTurn) add(operation int, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed[operation][codeOf(err)]++
		return
	}
	most := t.took[operation].HighestTrackableValue()
	_ = t.took[operation].RecordValue(min(max(took.Microseconds(), 1), most)) // it is within bounds
}

func (t *benchTurn) addUnsent(count int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unsent += count
}

// perSecond is how many requests succeeded in a second.
func (t *benchTurn) perSecond() float64 {
	count := int64(0)
	for _, took := range t.took {
		count += took.TotalCount()
	}
	return float64(count) / t.seconds
}

// sumOf puts the turns of a target together.
func sumOf(turns []*benchTurn) *benchTurn {
	sum := newBenchTurn()
	for _, turn := range turns {
		sum.seconds += turn.seconds
		sum.unsent += turn.unsent
		for at := range benchOperations {
			sum.took[at].Merge(turn.took[at])
			for code, count := range turn.failed[at] {
				sum.failed[at][code] += count
			}
		}
	}
	return sum
}

// benchSpread is the middle of some values, and between which the middle half is.
type benchSpread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func (s benchSpread) String() string {
	return fmt.Sprintf("%.3g (%.3g to %.3g)", s.Median, s.Low, s.High)
}

// spreadOf returns nil for no values.
func spreadOf(values []float64) *benchSpread {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := func(part float64) float64 {
		position := part * float64(len(values)-1)
		below := int(position)
		above := min(below+1, len(values)-1)
		return values[below] + (position-float64(below))*(values[above]-values[below])
	}
	return &benchSpread{at(0.5), at(0.25), at(0.75)}
}

// ratios are a figure of each of our turns to that of the other's beside it. Turns
// in which one of them did nothing have none.
func ratios(ours, others []*benchTurn, figure func(*benchTurn) float64) *benchSpread {
	var values []float64
	for at := range ours {
		if other := figure(others[at]); other > 0 && figure(ours[at]) > 0 {
			values = append(values, figure(ours[at])/other)
		}
	}
	return spreadOf(values)
}
