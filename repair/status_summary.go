package repair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

const (
	keySummary = "summary"
	// finishedKept is how many of the last reports are kept, with at most
	// holdersKept holders in all: the older lose theirs first.
	finishedKept = 100
	holdersKept  = 5000
	flushTries   = 5
	flushTime    = 5 * time.Second
)

// Totals count what was done since the queue exists. They are approximate: a
// replica writes its part every poll, and loses it when it is killed before, or
// adds it twice when storage does not tell whether it was written.
type Totals struct {
	Repaired int64 `json:"repaired"`
	Verified int64 `json:"verified"`
	Unknown  int64 `json:"unknown"`
	// Failed counts attempts, not items.
	Failed int64 `json:"failed_attempts"`
	Bytes  int64 `json:"bytes"`
}

// Finished is an item that left the queue.
type Finished struct {
	Report
	FinishedNS int64 `json:"finished_ns"`
}

// summary keeps Totals and what was finished last. It is safe for concurrent use.
type summary struct {
	store backend.Backend
	log   *slog.Logger

	flushing sync.Mutex
	mu       sync.Mutex // guards what follows
	unsaved  summaryObject
	here     Totals // by this process
}

// summaryObject is the summary as it is stored; the latest of Finished is first.
type summaryObject struct {
	Totals   Totals     `json:"totals"`
	Finished []Finished `json:"finished"`
}

// note counts an attempt, and keeps the report of one that ended the item.
func (s *summary) note(report Report, now time.Time) {
	one := summaryObject{Totals: Totals{Bytes: report.Bytes}}
	switch report.Outcome {
	case OutcomeRepaired:
		one.Totals.Repaired = 1
	case OutcomeVerified:
		one.Totals.Verified = 1
	case OutcomeUnknown:
		one.Totals.Unknown = 1
	default:
		one.Totals.Failed = 1
	}
	if one.Totals.Failed == 0 {
		one.Finished = []Finished{{Report: report, FinishedNS: now.UnixNano()}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved = s.unsaved.after(one)
	s.here = s.here.plus(one.Totals)
}

// mine returns what this process has done.
func (s *summary) mine() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.here
}

func (t Totals) plus(more Totals) Totals {
	return Totals{
		Repaired: t.Repaired + more.Repaired,
		Verified: t.Verified + more.Verified,
		Unknown:  t.Unknown + more.Unknown,
		Failed:   t.Failed + more.Failed,
		Bytes:    t.Bytes + more.Bytes,
	}
}

// after returns the sum of what was done before and of one done after it.
func (o summaryObject) after(one summaryObject) summaryObject {
	sum := summaryObject{Totals: o.Totals.plus(one.Totals)}
	sum.Finished = append(sum.Finished, one.Finished...)
	sum.Finished = append(sum.Finished, o.Finished...)
	sum.Finished = sum.Finished[:min(len(sum.Finished), finishedKept)]
	holders := 0
	for i := range sum.Finished {
		f := &sum.Finished[i]
		if holders += len(f.Before.Holders) + len(f.After.Holders); holders > holdersKept {
			f.Before.Holders, f.After.Holders = nil, nil
		}
	}
	return sum
}

// flush adds what is not saved to what is stored, also when ctx has ended. What
// cannot be saved is kept for the next time.
func (s *summary) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	mine := s.unsaved
	s.unsaved = summaryObject{}
	s.mu.Unlock()
	if mine.Totals == (Totals{}) {
		return
	}
	if err := s.save(ctx, mine); err != nil {
		s.log.Debug("the totals of the repair queue could not be saved yet", "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unsaved = mine.after(s.unsaved)
	}
}

func (s *summary) save(ctx context.Context, mine summaryObject) (err error) {
	for range flushTries {
		var stored summaryObject
		var rev backend.Revision
		if stored, rev, err = s.load(ctx); err != nil {
			return err
		}
		var data []byte
		if data, err = json.Marshal(stored.after(mine)); err != nil {
			return err
		}
		if _, err = s.store.Put(ctx, keySummary, data, rev); !errors.Is(err, backend.ErrConflict) {
			return err
		}
	}
	return err
}

// load reads what is stored. A broken object counts for nothing.
func (s *summary) load(ctx context.Context) (summaryObject, backend.Revision, error) {
	var o summaryObject
	data, rev, err := s.store.Get(ctx, keySummary)
	switch {
	case absent(err):
		return o, backend.Revision{}, nil
	case errors.Is(err, backend.ErrTooLarge):
		rev = backend.AnyRevision
	case err != nil:
		return o, rev, fmt.Errorf("reading the totals of the repair queue: %w", err)
	}
	if json.Unmarshal(data, &o) != nil {
		s.log.Warn("the totals of the repair queue are broken and begin anew")
		o = summaryObject{}
	}
	return o, rev, nil
}

// read returns the totals and what was finished last, latest first.
func (s *summary) read(ctx context.Context) (Totals, []Finished, error) {
	stored, _, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := stored.after(s.unsaved)
	if sum.Finished == nil {
		sum.Finished = []Finished{}
	}
	return sum.Totals, sum.Finished, err
}
