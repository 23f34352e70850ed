package repair

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/round"
)

// What this node answers in rounds: package check asks before it takes part and
// before it signs.

// permitRound is asked when a round is proposed.
func (r *Repairer) permitRound(_ context.Context, batch []*record.Record, p record.Proposal) error {
	if r.order == nil {
		return ErrNoRounds
	}
	for _, of := range batch {
		if err := r.permit(of, p); err != nil {
			return err
		}
	}
	return nil
}

// vote is asked before the first signature in a session, which the registry and
// ballots know by its seed: the registry must say that it is being voted on, nobody who was left out
// may object, and the ballot must be durable.
func (r *Repairer) vote(ctx context.Context, seed [32]byte, batch []*record.Record, absent []manifest.Holder) error {
	if err := r.askAbsent(ctx, batch, absent); err != nil {
		return err
	}
	bases := make([][32]byte, len(batch))
	for i, of := range batch {
		bases[i] = of.Hash
	}
	if err := r.ballots.Cast(ctx, groupOf(batch[0]), seed, bases); err != nil {
		return fmt.Errorf("voting: %w", err)
	}
	return nil
}

// objectionTime bounds how long each of those who were left out is waited for: who
// does not answer could not have taken part.
const objectionTime = 5 * time.Second

// askAbsent asks the holders that are not in a session whether they have a sound
// share of any of its generations and could be in it. More liars than can be named
// could otherwise make those in the right look wrong, and replace the secret. A
// deletion or a later record that they know of stands against it, too.
func (r *Repairer) askAbsent(ctx context.Context, batch []*record.Record, absent []manifest.Holder) error {
	var request StandingRequest
	for _, of := range batch {
		request.Records = append(request.Records, of.Ref())
	}
	var mu sync.Mutex
	var objected error
	sideBySide(absent, len(absent), func(holder manifest.Holder) {
		answer, err := r.askStanding(ctx, holder.Key, request)
		if why := answer.objection(); err == nil && why != "" {
			mu.Lock()
			defer mu.Unlock()
			objected = fmt.Errorf("%w: %s %s", check.ErrObjected, holder.Node, why)
		}
	})
	return objected
}

func (a StandingAnswer) objection() string {
	switch {
	case a.Deleted:
		return "knows that the secret was deleted"
	case a.Moved:
		return "has followed a later record"
	case a.Sound:
		return "has a sound share and was left out"
	}
	return ""
}

func (r *Repairer) askStanding(ctx context.Context, key ed25519.PublicKey, request StandingRequest) (StandingAnswer, error) {
	conn, err := r.dial(key)
	if err != nil {
		return StandingAnswer{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, objectionTime)
	defer cancel()
	return call[StandingAnswer](ctx, conn, RouteStanding, request)
}

// mayFollow refuses what a coordinator may have kept back until others had
// aborted its round. Whoever voted in a later one waits for that one's end.
func (r *Repairer) mayFollow(ctx context.Context, of *record.Record) error {
	if r.ballots == nil || of.Epoch == 0 {
		return nil
	}
	err := r.ballots.MayFollow(ctx, of.Made)
	switch {
	case errors.Is(err, round.ErrCommitted):
		return fmt.Errorf("%w: %w", guardian.ErrForked, err)
	case err != nil:
		return fmt.Errorf("looking for a later vote over the same record: %w", err)
	}
	return nil
}

// standings bounds the records that are looked up at a time.
const standings = 16

// answerStanding tells what this node knows against moving any of some records.
func (r *Repairer) answerStanding(ctx context.Context, caller ed25519.PublicKey, request StandingRequest) (StandingAnswer, error) {
	if len(request.Records) == 0 || len(request.Records) > check.MaxRecords {
		return StandingAnswer{}, malformed("%d records", len(request.Records))
	}
	var all StandingAnswer
	var mu sync.Mutex
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	sideBySide(request.Records, standings, func(ref record.Ref) {
		one, err := r.standingOf(asking, caller, ref)
		if err != nil || one == (StandingAnswer{}) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = StandingAnswer{all.Sound || one.Sound, all.Deleted || one.Deleted, all.Moved || one.Moved}
		cancel() // one is enough
	})
	return all, ctx.Err()
}

func (r *Repairer) standingOf(ctx context.Context, caller ed25519.PublicKey, ref record.Ref) (StandingAnswer, error) {
	slot, err := slotNamed(ref)
	if err != nil || ctx.Err() != nil {
		return StandingAnswer{}, err
	}
	found, err := r.cfg.Node.Examine(ctx, slot)
	if err != nil {
		return StandingAnswer{}, err
	}
	defer wipeHeld(found.Held)
	answer := StandingAnswer{Deleted: found.Deleted && found.Version >= ref.Version}
	for _, held := range found.Held {
		of, err := r.cfg.Node.ParseRecord(held.Share.Record())
		if !held.Sound || err != nil || of.Version != ref.Version {
			continue
		}
		// Of a share whose hash nobody knows, only an audit tells that it is sound.
		own, holds := of.Of(r.ownKey())
		answer.Sound = answer.Sound || holds && ref.Names(of) && of.Check(own.X, held.Share.Data) == nil && r.mayTakePart(caller, of)
		answer.Moved = answer.Moved || of.Epoch > ref.Epoch && of.Follows([sha256.Size]byte(ref.Hash))
	}
	return answer, nil
}

// mayTakePart tells whether it is a holder, or a member that may become one, who
// asks.
func (r *Repairer) mayTakePart(caller ed25519.PublicKey, of *record.Record) bool {
	if _, holds := of.Of(caller); holds {
		return true
	}
	return r.cfg.Admission != nil && r.cfg.Admission.Equal(of.Manifest.Policy.Admission)
}

// preparers bounds how many new shares are written at a time.
const preparers = 16

// prepare makes the new shares of a session durable, before they are voted for.
func (r *Repairer) prepare(ctx context.Context, all []check.Prepared) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(preparers)
	for _, one := range all {
		group.Go(func() error {
			slot := guardian.Slot{Identity: one.Record.Identity, Name: one.Record.Name}
			share := guardian.Share{Data: one.Share, Version: one.Record.Version, Epoch: one.Record.Epoch, Chain: one.Draft}
			var err error
			if share.Manifest, err = record.ManifestOf(one.Base); err != nil {
				return err
			}
			if err := r.cfg.Node.Prepare(ctx, slot, share); err != nil {
				return fmt.Errorf("preparing a share: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// dropLingering drops what was prepared long ago in sessions that this node has no
// ballot for any more. Where a vote may count yet, all stays.
func (r *Repairer) dropLingering(ctx context.Context, slot guardian.Slot) {
	dropped, err := r.cfg.Node.DropLingering(ctx, slot, func(of *record.Record) (needed bool, err error) {
		pending, err := r.ballots.Pending(ctx)
		return slices.ContainsFunc(pending, func(b round.Ballot) bool { return b.Session == of.Seed }), err
	})
	if err != nil && ctx.Err() == nil {
		r.log.Warn("what was prepared long ago stays", "identity", slot.Short(), "error", err)
	}
	if dropped > 0 {
		r.log.Info("dropped what was prepared in rounds that were aborted", "identity", slot.Short(), "generations", dropped)
	}
}
