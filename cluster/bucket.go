package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/vault-guardian/guardian/backend"
)

// Bucket is a [Registry] on any [backend.Backend] that all guardians share: an
// S3 prefix or a directory of its own. It keeps
//
//	indices/007           the id of the node that the index was given to
//	guardians/<node id>   the record of a node, JSON
//	records/<key>         a small record behind its history
//
// An index is claimed by creating its object, which the storage lets one node
// do, and is never taken back: no object under indices/ is ever removed or
// changed. A guardian that is gone for good is forgotten by removing its record;
// its index stays its own.
type Bucket struct {
	store  backend.Backend
	sieve  *sieve
	owners owners
}

var _ Registry = (*Bucket)(nil)

// NewBucket returns the registry in store, which may be empty, and which Close
// closes. What is wrong with records is logged, without a repetition for every
// List; a nil log discards it.
func NewBucket(store backend.Backend, log *slog.Logger) *Bucket {
	return &Bucket{store: store, sieve: newSieve(log)}
}

// Register implements [Registry].
func (b *Bucket) Register(ctx context.Context, m Member) (Member, error) {
	return register(ctx, b, m)
}

// List implements [Registry].
func (b *Bucket) List(ctx context.Context) ([]Member, error) {
	names, err := b.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the registry: %w", err)
	}
	owners, nobodys, err := b.readOwners(ctx, names.indices)
	if err != nil {
		return nil, fmt.Errorf("reading the indices that were given: %w", err)
	}
	candidates, err := b.readMembers(ctx, names.guardians, owners)
	if err != nil {
		return nil, fmt.Errorf("reading the records of guardians: %w", err)
	}
	return b.sieve.sift(slices.Concat(candidates, nobodys, names.strange), owners), nil
}

// Close closes the storage.
func (b *Bucket) Close() error { return b.store.Close() }

// maxPuts is how often a write is sent whose outcome stays unknown.
const maxPuts = 3

// put is Put of data that no other call puts, or that mean the same whoever puts
// them. So it can be repeated when its outcome is unknown: at most one of the
// repetitions takes effect. It fails with errMoved when key is not at rev, be
// it by an earlier repetition.
func (b *Bucket) put(ctx context.Context, key string, data []byte, rev backend.Revision) (backend.Revision, error) {
	for sent := 1; ; sent++ {
		now, err := b.store.Put(ctx, key, data, rev)
		switch {
		case errors.Is(err, backend.ErrConflict) && sent > 1:
			return backend.Revision{}, errMovedRepeated
		case errors.Is(err, backend.ErrConflict):
			return backend.Revision{}, errMoved
		case err == nil, sent == maxPuts, ctx.Err() != nil:
			return now, err
		}
	}
}

// revisionOf turns a revision of the storage that was kept as text back into
// one; "" stands for "absent".
func revisionOf(token string) backend.Revision {
	if token == "" {
		return backend.Revision{}
	}
	return backend.NewRevision(token)
}
