package backendtest

import (
	"bytes"
	"context"
	"errors"

	"github.com/vault-guardian/guardian/backend"
)

// Stepwise is a [backend.Batcher] that carries out a batch by calls of Backend, one
// after the other: for tests of what others see, and what a crash leaves, between
// them.
type Stepwise struct{ backend.Backend }

var _ backend.Batcher = Stepwise{}

// GetEach implements [backend.Batcher].
func (s Stepwise) GetEach(ctx context.Context, keys ...string) []backend.Got {
	return backend.GetEach(ctx, s.Backend, keys...)
}

// Apply implements [backend.Batcher].
func (s Stepwise) Apply(ctx context.Context, batch backend.Batch) (backend.Revision, error) {
	if err := batch.Check(); err != nil {
		return backend.Revision{}, err
	}
	for _, object := range batch.Create {
		_, err := s.Put(ctx, object.Key, object.Data, backend.Revision{})
		if errors.Is(err, backend.ErrConflict) {
			err = s.isThere(ctx, object)
		}
		if err != nil {
			return backend.Revision{}, err
		}
	}
	now, err := s.Put(ctx, batch.Put.Key, batch.Put.Data, batch.Rev)
	if err != nil {
		return backend.Revision{}, err
	}
	for _, key := range batch.Drop {
		_ = s.Delete(ctx, key, backend.AnyRevision)
	}
	return now, nil
}

func (s Stepwise) isThere(ctx context.Context, object backend.Object) error {
	data, _, err := s.Get(ctx, object.Key)
	if err == nil && !bytes.Equal(data, object.Data) {
		err = errors.New("something else is there already")
	}
	return err
}
