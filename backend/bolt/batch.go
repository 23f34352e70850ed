package bolt

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

// GetEach implements [backend.Batcher]. All is of one moment.
func (b *Bolt) GetEach(ctx context.Context, keys ...string) []backend.Got {
	found, err := view(ctx, b, func(objects *bbolt.Bucket) ([]backend.Got, error) {
		all := make([]backend.Got, len(keys))
		for i, key := range keys {
			all[i] = gotFrom(objects, key)
		}
		return all, nil
	})
	if err != nil {
		return backend.NothingGot(err, keys)
	}
	return found
}

func gotFrom(objects *bbolt.Bucket, key string) backend.Got {
	if !backend.ValidKey(key) {
		return backend.Got{Err: invalid("getting", key)}
	}
	found, err := get(objects, key)
	if err != nil {
		return backend.Got{Err: fmt.Errorf("getting %s: %w", key, err)}
	}
	return backend.Got{Data: found.data, Rev: found.rev}
}

// Apply implements [backend.Batcher], in one transaction: all of it is done or
// none.
func (b *Bolt) Apply(ctx context.Context, batch backend.Batch) (backend.Revision, error) {
	if err := batch.Check(); err != nil {
		return backend.Revision{}, err
	}
	w := &write{ctx: ctx, change: change{batch.Put.Key, valueOf(batch.Put.Data)}, rev: batch.Rev}
	for _, object := range batch.Create {
		w.with = append(w.with, change{object.Key, valueOf(object.Data)})
	}
	for _, key := range batch.Drop {
		w.with = append(w.with, change{key: key})
	}
	now, err := b.submit(w)
	if err != nil {
		return backend.Revision{}, fmt.Errorf("putting %s: %w", batch.Put.Key, err)
	}
	return now, nil
}
