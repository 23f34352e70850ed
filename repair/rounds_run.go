package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// moveBatch moves what it can of a batch. What it cannot is reported: only the
// end of the context is an error.
func (r *Repairer) moveBatch(ctx context.Context, batch []moving) error {
	parts, err := r.moveTogether(ctx, batch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(parts) > 1 {
		for _, part := range parts {
			if err := r.moveBatch(ctx, part); err != nil {
				return err
			}
		}
		return nil
	}
	if err == nil {
		r.rounds.committed.Add(1)
	} else {
		r.rounds.failed.Add(1)
	}
	r.rounds.note(func(report *RoundsReport) {
		report.Generations += len(batch)
		if err == nil {
			report.Rounds++
			report.Moved += len(batch)
			return
		}
		report.Failed += len(batch)
		for _, one := range batch {
			report.problem(one.slot(), one.Version, err)
		}
	})
	return nil
}

// moveTogether is one round. Where holders lack different parts of the batch it
// is not moved: it returns the parts that can be.
func (r *Repairer) moveTogether(ctx context.Context, batch []moving) (parts [][]moving, err error) {
	base := batch[0]
	opened, err := r.order.Open(ctx, groupOf(base.Record), summaryOf(batch))
	if err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(ctx)
	defer stop()
	go renew(renewing, opened)
	result, err := r.redistribute(ctx, opened, batch)
	if err == nil {
		var of *intent
		r.rounds.enter(result.Seed)
		defer r.rounds.leave(result.Seed)
		if of, err = r.intend(ctx, opened, batch, result); err == nil {
			return nil, r.commit(ctx, opened, of)
		}
		err = errors.Join(err, r.forgetIntent(context.WithoutCancel(ctx), of))
	}
	if aborted := r.abort(ctx, opened); aborted != nil {
		err = errors.Join(err, aborted)
	}
	return partsOf(batch, result.Verdict, err), withReasons(err, base, result)
}

// withReasons tells why the first of those who are missing took no part, an
// objection before all else.
func withReasons(err error, base moving, result check.Result) error {
	reasons := slices.Concat(reasonsOf(result.Absent, base.At), reasonsOf(result.New.Absent, base.target))
	if i := slices.IndexFunc(reasons, func(why error) bool { return errors.Is(why, check.ErrObjected) }); i > 0 {
		reasons = reasons[i:]
	}
	if err == nil || len(reasons) == 0 {
		return err
	}
	return fmt.Errorf("%w; %w", err, reasons[0])
}

func reasonsOf(missing []check.Absent, at func(x byte) (manifest.Holder, bool)) (reasons []error) {
	for _, absent := range missing {
		if holder, ok := at(absent.X); ok {
			reasons = append(reasons, fmt.Errorf("%s: %w", holder.Node, absent.Err))
		}
	}
	return reasons
}

func summaryOf(batch []moving) round.Summary {
	s := round.Summary{
		FromThreshold: batch[0].Threshold, ToThreshold: batch[0].proposal.Threshold,
		ToHolders: len(batch[0].proposal.Holders), Generations: len(batch),
	}
	for _, one := range batch {
		s.Bytes += int64(one.ShareSize)
	}
	return s
}

func (r *Repairer) redistribute(ctx context.Context, opened *round.Round, batch []moving) (check.Result, error) {
	records, chains := recordsOf(batch)
	together, err := check.NewBatch(records)
	if err != nil {
		return check.Result{}, err
	}
	params := check.Params{Batch: together, Proposal: &batch[0].proposal, Chains: chains}
	var bases [][32]byte
	for _, one := range batch {
		bases = append(bases, one.Hash)
	}
	lines := newLines(r, records[0])
	lines.proposal = params.Proposal
	defer lines.close()
	defer func() { r.rounds.note(func(report *RoundsReport) { report.Bytes += lines.bytes.Load() }) }()
	return check.Redistribute(ctx, params, func(seed [32]byte) error {
		return opened.Vote(ctx, seed, bases)
	}, lines.call)
}

// renew keeps a round while it goes on.
func renew(ctx context.Context, opened *round.Round) {
	ticker := time.NewTicker(round.Lease / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = opened.Renew(ctx) // what becomes of it shows at the next step
		}
	}
}

// abortTime bounds the end of a round that failed, whatever has ended it.
const abortTime = 10 * time.Second

func (r *Repairer) abort(ctx context.Context, opened *round.Round) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	return opened.Abort(ctx)
}

// partsOf tells apart what different holders lack, and halves what is wrong.
func partsOf(batch []moving, verdict check.Verdict, err error) (parts [][]moving) {
	records := make([]*record.Record, len(batch))
	byHash := map[[32]byte]moving{}
	for i, one := range batch {
		records[i], byHash[one.Hash] = one.Record, one
	}
	for _, part := range divide(records, verdict, err) {
		var some []moving
		for _, of := range part {
			some = append(some, byHash[of.Hash])
		}
		parts = append(parts, some)
	}
	return parts
}

// commitTime bounds how long a registry that does not say what became of a round
// is asked by the one who waits for it. Behind that, resume goes on.
const commitTime = time.Minute

// commit has the registry say that the round is committed, and shows the
// certificates.
func (r *Repairer) commit(ctx context.Context, opened *round.Round, of *intent) error {
	until := time.Now().Add(commitTime)
	for {
		err := opened.Commit(ctx)
		switch {
		case err == nil:
			r.show(ctx, of)
			return nil
		case errors.Is(err, round.ErrLost):
			return errors.Join(err, r.forgetIntent(ctx, of))
		case ctx.Err() != nil || time.Now().After(until):
			r.rounds.postpone(of.Session, opened)
			return fmt.Errorf("%w: it is asked again", err)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}
