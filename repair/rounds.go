package repair

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair/round"
)

var (
	// ErrNoRounds reports a node that cannot move shares, as it has no registry
	// that puts rounds in order.
	ErrNoRounds = errors.New("this guardian has no registry to put rounds in order")
	// ErrRoundsRunning reports an order that is given while another is carried
	// out.
	ErrRoundsRunning = errors.New("rounds are going on")
)

// RoundOrder says which shares are to be dealt anew, and to whom. The zero
// RoundOrder refreshes everything.
type RoundOrder struct {
	// Slots are moved, with all versions that are retained of them; none stands
	// for all that this node holds.
	Slots []guardian.Slot
	// Threshold is the new K; 0 keeps each one's.
	Threshold int
	// Members are the node ids of the new holders; none keeps each one's.
	Members []string

	// leading: only what this node leads the rounds of. replace: that, where
	// holders are gone for good, whose places others are to take.
	leading, replace bool
}

// RoundsReport is what the rounds that this node coordinates have come to so
// far, or came to in the end.
type RoundsReport struct {
	Running   bool  `json:"running"`
	StartedNS int64 `json:"started_ns,omitempty"`
	// FinishedNS is 0 until then.
	FinishedNS int64 `json:"finished_ns,omitempty"`
	// Rounds were committed.
	Rounds int `json:"rounds"`
	// Generations were looked at: Moved ones have new shares. Refused ones are
	// not to be moved so, or cannot be, and Failed ones may be tried again.
	Generations int `json:"generations"`
	Moved       int `json:"moved"`
	Refused     int `json:"refused"`
	Failed      int `json:"failed"`
	// Bytes were said and heard by the coordinator, as JSON.
	Bytes int64 `json:"bytes"`
	// Problems are the first of what was refused or failed.
	Problems []RoundProblem `json:"problems,omitempty"`
	// Error tells why the rounds did not come to their end.
	Error string `json:"error,omitempty"`
}

// RoundProblem is a generation that was not moved.
type RoundProblem struct {
	SlotName
	Version uint64 `json:"version"`
	Error   string `json:"error"`
}

// maxProblems bounds RoundsReport.Problems.
const maxProblems = 100

// rounds runs one order at a time.
type rounds struct {
	asked chan RoundOrder

	committed, failed atomic.Int64 // rounds since the process began

	mu     sync.Mutex
	report RoundsReport
	// undecided are rounds of which the registry has not said whether they are
	// committed.
	undecided map[round.Session]*round.Round
	// going are sessions that are being committed and shown.
	going map[round.Session]bool
}

func newRounds() *rounds {
	return &rounds{asked: make(chan RoundOrder, 1), undecided: map[round.Session]*round.Round{}, going: map[round.Session]bool{}}
}

func (rs *rounds) enter(session round.Session) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.going[session] = true
}

func (rs *rounds) leave(session round.Session) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.going, session)
}

func (rs *rounds) isGoing(session round.Session) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.going[session]
}

func (rs *rounds) postpone(session round.Session, opened *round.Round) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.undecided[session] = opened
}

// decide asks the registry again. A nil error: the session is committed.
func (rs *rounds) decide(ctx context.Context, session round.Session) error {
	rs.mu.Lock()
	opened := rs.undecided[session]
	rs.mu.Unlock()
	if opened == nil {
		return round.ErrUnknown
	}
	err := opened.Commit(ctx)
	if err == nil || errors.Is(err, round.ErrLost) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		delete(rs.undecided, session)
	}
	return err
}

// StartRounds begins to carry out an order. It goes on behind the call;
// RoundsProgress tells how far it is. Errors: ErrNoCluster, ErrNoRounds,
// ErrRoundsRunning.
func (r *Repairer) StartRounds(order RoundOrder) error {
	switch {
	case r.checks == nil:
		return ErrNoCluster
	case r.order == nil:
		return ErrNoRounds
	}
	r.rounds.mu.Lock()
	defer r.rounds.mu.Unlock()
	if r.rounds.report.Running {
		return ErrRoundsRunning
	}
	r.rounds.report = RoundsReport{Running: true, StartedNS: r.cfg.Now().UnixNano()}
	r.rounds.asked <- order
	return nil
}

// RoundsProgress returns what the rounds that go on have come to so far, or the
// last ones in the end.
func (r *Repairer) RoundsProgress() RoundsReport {
	r.rounds.mu.Lock()
	defer r.rounds.mu.Unlock()
	report := r.rounds.report
	report.Problems = slices.Clone(report.Problems)
	return report
}

func (rs *rounds) note(change func(*RoundsReport)) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	change(&rs.report)
}

// runRounds carries out what StartRounds asked for, until ctx ends.
func (r *Repairer) runRounds(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case order := <-r.rounds.asked:
			err := r.carryOut(ctx, order)
			r.rounds.note(func(report *RoundsReport) {
				report.Running, report.FinishedNS = false, r.cfg.Now().UnixNano()
				if err != nil {
					report.Error = err.Error()
				}
			})
			report := r.RoundsProgress()
			r.log.Info("rounds ended", "error", err, "rounds", report.Rounds,
				"moved", report.Moved, "refused", report.Refused, "failed", report.Failed)
		}
	}
}

// carryOut gathers generations that can be moved together into batches, and
// moves each when it is full.
func (r *Repairer) carryOut(ctx context.Context, order RoundOrder) error {
	gathered := &moves{}
	take := func(found guardian.Examined) error {
		defer wipeHeld(found.Held)
		for _, held := range found.Held {
			one, err := r.movable(held, order)
			if err != nil {
				if !passedOver(held, order, err) {
					r.rounds.refuse(found.Slot, held.Version, err)
				}
				continue
			}
			if full := gathered.add(one); full != nil {
				if err := r.moveBatch(ctx, full); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := r.eachOf(ctx, order.Slots, take); err != nil {
		return err
	}
	for _, batch := range gathered.all {
		if err := r.moveBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (rs *rounds) refuse(slot guardian.Slot, version uint64, err error) {
	rs.note(func(report *RoundsReport) {
		report.Generations++
		report.Refused++
		report.problem(slot, version, err)
	})
}

func (report *RoundsReport) problem(slot guardian.Slot, version uint64, err error) {
	if len(report.Problems) < maxProblems {
		report.Problems = append(report.Problems, RoundProblem{SlotName(slot), version, err.Error()})
	}
}
