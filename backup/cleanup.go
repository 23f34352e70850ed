package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// unfinishedFor is how long what has no manifest may still be in the making.
const unfinishedFor = 7 * 24 * time.Hour

// Cleaned is what a cleanup has removed, and what it has kept although it is old.
type Cleaned struct {
	Removed []string `json:"removed"`
	// Needed are older than asked, and something newer was made upon them, or
	// there is nothing newer.
	Needed []string `json:"needed"`
	// Kept are the rest.
	Kept []string `json:"kept"`
	// Unfinished is how many backups and drills were removed that had been
	// stopped more than a week ago.
	Unfinished int `json:"unfinished"`
}

// Cleanup removes the backups that were begun before a time, but for the newest
// that can be read, and all that any which stays was made upon. Of one that cannot
// be read that cannot be told, so all below one that stays do. What was made upon
// others goes before them, and each manifest first, so that whatever stops it
// leaves whole backups. A dry run removes nothing. Errors are those of List; and
// ErrDamaged or integrity.ErrKeyUnknown where nothing can be read, as with another
// guardian's key: then nothing is removed.
func (p *Place) Cleanup(ctx context.Context, before time.Time, dryRun bool) (Cleaned, error) {
	all, err := p.List(ctx)
	if err != nil {
		return Cleaned{}, err
	}
	result, err := judge(all, before)
	if err != nil {
		return Cleaned{}, err
	}
	unfinished, err := p.unfinished(ctx, all)
	if err != nil {
		return Cleaned{}, err
	}
	result.Unfinished = len(unfinished)
	if dryRun {
		return result, nil
	}
	for _, id := range result.Removed { // newest first
		if err := p.store.Delete(ctx, id+nameManifest, backend.AnyRevision); err != nil {
			return Cleaned{}, fmt.Errorf("removing manifest of %s: %w", id, err)
		}
	}
	for _, place := range append(slices.Clone(result.Removed), unfinished...) {
		if err := p.remove(ctx, place+"/"); err != nil {
			return Cleaned{}, err
		}
	}
	return result, nil
}

// judge divides backups, newest first, into those that go and those that stay.
func judge(all []Listed, before time.Time) (result Cleaned, err error) {
	whole, lost := chains(all)
	needed, found, blind := map[string]bool{}, false, false
	for _, listed := range all {
		switch {
		case !begunAt(listed.ID).Before(before):
			result.Kept = append(result.Kept, listed.ID)
		case needed[listed.ID], blind, !found && !lost[listed.ID]:
			result.Needed = append(result.Needed, listed.ID)
		default:
			result.Removed = append(result.Removed, listed.ID)
			continue
		}
		needed[listed.Manifest.Parent] = true
		found, blind = found || whole[listed.ID], blind || listed.Err != nil
		err = cmp.Or(err, listed.Err)
	}
	if !found && err != nil {
		return Cleaned{}, fmt.Errorf("none of the backups can be read, and none is removed: %w", err)
	}
	return result, nil
}

// chains are the backups of which no manifest is missing or cannot be read, and
// those of which one is missing for certain.
func chains(all []Listed) (whole, lost map[string]bool) {
	there := map[string]bool{"": true}
	whole, lost = map[string]bool{"": true}, map[string]bool{}
	for _, listed := range slices.Backward(all) { // a parent is older
		id, parent := listed.ID, listed.Manifest.Parent
		there[id] = true
		whole[id] = listed.Err == nil && whole[parent]
		lost[id] = listed.Err == nil && (!there[parent] || lost[parent])
	}
	return whole, lost
}

// unfinished are the places of backups without a manifest and of drills, stopped
// long ago.
func (p *Place) unfinished(ctx context.Context, finished []Listed) (places []string, err error) {
	ids, err := p.ids(ctx, "")
	if err != nil {
		return nil, err
	}
	drills, err := p.ids(ctx, prefixDrills)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		return slices.ContainsFunc(finished, func(listed Listed) bool { return listed.ID == id })
	})
	for _, id := range drills {
		ids = append(ids, prefixDrills+id)
	}
	return slices.DeleteFunc(ids, func(place string) bool {
		return time.Since(begunAt(strings.TrimPrefix(place, prefixDrills))) < unfinishedFor
	}), nil
}

// remove removes all objects under a prefix.
func (p *Place) remove(ctx context.Context, prefix string) error {
	for entry, err := range p.store.List(ctx, prefix, "") {
		if err == nil {
			err = p.store.Delete(ctx, entry.Key, backend.AnyRevision)
		}
		if err != nil {
			return fmt.Errorf("removing %s: %w", prefix, err)
		}
	}
	return nil
}

// stillThere makes sure that no cleanup has removed what a backup was made upon.
func (p *Place) stillThere(ctx context.Context, m Manifest) error {
	_, err := p.Chain(ctx, m)
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("what it was made upon was removed meanwhile: %w", err)
	}
	return err
}
