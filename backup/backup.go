// Package backup copies what one guardian stores to another place, and back.
// A backup is full, or incremental: then it holds what has changed since its
// parent. What is committed for an identity is copied by the rules by which
// guardians copy it (guardian.Node.CopyTo), so each copy is whole and verified
// at its source, whoever writes meanwhile.
//
// A manifest, sealed with the guardian's keyring, names the hash of every part,
// and is written last: a backup without one does not exist. Nothing that was
// written is ever changed. The bytes are described in docs/FORMATS.md.
package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

var (
	// ErrNotFound reports a backup that is not there, or was never finished.
	ErrNotFound = errors.New("no such backup")
	// ErrDamaged reports a backup that is not what was written, or lacks
	// something of it.
	ErrDamaged = errors.New("the backup is damaged")
)

// Latest stands for the id of the newest backup.
const Latest = "latest"

const (
	prefixBackups = "backups/"
	nameManifest  = "/manifest"
	timeOfID      = "20060102T150405.000Z"
)

// Place is where the backups of one guardian are kept, which may be together
// with those of others.
type Place struct {
	store  backend.Backend
	sealer *integrity.Sealer
}

// At returns the place of the sealer's guardian in a storage.
func At(store backend.Backend, sealer *integrity.Sealer) *Place {
	return &Place{backend.Under(store, prefixBackups+sealer.NodeID()+"/"), sealer}
}

// Listed is a backup as List finds it.
type Listed struct {
	ID       string
	Manifest Manifest
	// Err is why nothing is known of the manifest but that it is there.
	Err error
}

// List returns the backups that were finished, newest first, those included that
// cannot be read. Errors are those of the storage.
func (p *Place) List(ctx context.Context) (all []Listed, err error) {
	ids, err := p.ids(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		m, err := p.manifest(ctx, id)
		switch {
		case err == nil || isUnreadable(err):
			all = append(all, Listed{id, m, err})
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return all, nil
}

// isUnreadable tells what is wrong with one backup from a place that fails. Older
// backups may be under a key that was taken out of the keyring since.
func isUnreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, integrity.ErrKeyUnknown)
}

// ids are all there are under a prefix, newest first, those never finished
// included.
func (p *Place) ids(ctx context.Context, prefix string) (ids []string, err error) {
	for entry, err := range p.store.ListSegments(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("listing backups: %w", err)
		}
		if id, isGroup := strings.CutSuffix(strings.TrimPrefix(entry.Key, prefix), "/"); isGroup && !begunAt(id).IsZero() {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids)
	return ids, nil
}

// begunAt is the time in an id, zero of what is none.
func begunAt(id string) time.Time {
	text, _, _ := strings.Cut(id, "-")
	at, err := time.Parse(timeOfID, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Find returns the manifest of a backup, or of the newest one for Latest. Errors:
// ErrNotFound, ErrDamaged, integrity.ErrKeyUnknown, and those of the storage.
func (p *Place) Find(ctx context.Context, id string) (Manifest, error) {
	if id != Latest {
		return p.manifest(ctx, id)
	}
	all, err := p.List(ctx)
	if err != nil {
		return Manifest{}, err
	}
	if len(all) == 0 {
		return Manifest{}, ErrNotFound
	}
	return all[0].Manifest, all[0].Err
}

// Chain returns what a backup is made of: the full one first, itself last. A
// parent that is missing is ErrDamaged; other errors are those of Find.
func (p *Place) Chain(ctx context.Context, m Manifest) (chain []Manifest, err error) {
	chain = []Manifest{m}
	for m.Parent != "" {
		parent, err := p.manifest(ctx, m.Parent)
		if errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("%w: %s was made upon %s, which is missing", ErrDamaged, m.ID, m.Parent)
		}
		if err != nil {
			return nil, err
		}
		if parent.Depth != m.Depth-1 {
			return nil, fmt.Errorf("%w: %s was not made upon %s", ErrDamaged, m.ID, m.Parent)
		}
		chain, m = append(chain, parent), parent
	}
	slices.Reverse(chain)
	return chain, nil
}
