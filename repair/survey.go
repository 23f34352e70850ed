package repair

import (
	"context"
	"crypto/ed25519"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair/record"
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
		if told, ok := r.generationFor(caller, held, request.Records); ok {
			answer.Generations = append(answer.Generations, told)
		}
	}
	wipeHeld(found.Held)
	return answer, nil
}

func (r *Repairer) generationFor(caller ed25519.PublicKey, held guardian.Held, withRecord bool) (Generation, bool) {
	told := Generation{Version: held.Version, Epoch: held.Epoch}
	if !held.Sound {
		return told, true
	}
	of, err := readRecord(r.cfg.Node, held.Share.Manifest)
	if err != nil {
		return Generation{}, false
	}
	if _, named := of.Of(caller); !named {
		return Generation{}, false
	}
	told.Sound, told.Hash = true, of.Hash[:]
	if withRecord {
		told.Record = held.Share.Manifest
	}
	return told, true
}

// holding is the sound share of this node that a record names, by its hash.
func (r *Repairer) holding(ctx context.Context, name RecordName) (*record.Record, []byte, error) {
	slot, err := name.slot()
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
		if candidate, err := readRecord(r.cfg.Node, held.Share.Manifest); held.Sound && err == nil && of == nil && name.names(candidate) {
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

func (n RecordName) names(of *record.Record) bool {
	return string(of.Hash[:]) == string(n.Hash) && of.Version == n.Version && of.Epoch == n.Epoch
}

func wipeHeld(held []guardian.Held) {
	for _, h := range held {
		clear(h.Share.Data)
	}
}
