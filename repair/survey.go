package repair

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
)

// answerSurvey tells a caller what this node holds of a slot. Sound shares are
// told of only to those whom their record names; that something is damaged, or
// deleted, to any member that knows the identity.
func (r *Repairer) answerSurvey(ctx context.Context, caller ed25519.PublicKey, request SurveyRequest) (SurveyAnswer, error) {
	slot, err := slotOf(request.Identity, request.Name)
	if err != nil {
		return SurveyAnswer{}, err
	}
	found, err := r.cfg.Node.Examine(ctx, slot)
	if err != nil {
		return SurveyAnswer{}, err
	}
	answer := SurveyAnswer{Deleted: found.Deleted, Generations: []Generation{}}
	if found.Deleted {
		answer.Version = found.Version
	}
	for _, held := range found.Held {
		if told, ok := r.generationFor(caller, held, request); ok {
			answer.Generations = append(answer.Generations, told)
		}
	}
	wipeHeld(found.Held)
	return answer, nil
}

func (r *Repairer) generationFor(caller ed25519.PublicKey, held guardian.Held, request SurveyRequest) (Generation, bool) {
	told := Generation{Version: held.Version, Epoch: held.Epoch}
	if !held.Sound {
		return told, true
	}
	of, err := r.cfg.Node.ParseRecord(held.Share.Record())
	if err != nil || !of.Named(caller) && !followsAny(of, request.Holding) {
		return Generation{}, false
	}
	told.Sound, told.Hash = true, of.Hash[:]
	if request.Records {
		told.Record = held.Share.Record()
	}
	return told, true
}

// maxHolding bounds the records that a caller says it has shares of.
const maxHolding = maxGenerations

// followsAny tells whether a record came of one whose hash the caller knows:
// only those whom it named, and theirs, do.
func followsAny(of *record.Record, hashes [][]byte) bool {
	return slices.ContainsFunc(hashes[:min(len(hashes), maxHolding)], func(hash []byte) bool {
		return len(hash) == sha256.Size && of.Follows([sha256.Size]byte(hash))
	})
}

// holding is the sound share of this node that a record names, by its hash.
func (r *Repairer) holding(ctx context.Context, ref record.Ref) (*record.Record, []byte, error) {
	slot, err := slotNamed(ref)
	if err != nil {
		return nil, nil, err
	}
	found, err := r.cfg.Node.Examine(ctx, slot)
	if err != nil {
		return nil, nil, err
	}
	var of *record.Record
	var share []byte
	for _, held := range found.Held {
		if candidate, err := r.cfg.Node.ParseRecord(held.Share.Record()); held.Sound && err == nil && of == nil && ref.Names(candidate) {
			of, share = candidate, held.Share.Data
			continue
		}
		clear(held.Share.Data)
	}
	if of == nil {
		return nil, nil, &RefusedError{CodeNoShare, "no sound share of that record is here"}
	}
	return of, share, nil
}

func wipeHeld(held []guardian.Held) {
	for _, h := range held {
		clear(h.Share.Data)
	}
}
