package guardian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/vault-guardian/guardian/backend"
)

// AuditSegment is one stored segment of the audit log, as PutSegment took it.
type AuditSegment struct {
	Name string
	Data []byte
}

// PutSegment creates a segment of the audit log; one that exists is never
// changed. Putting the same bytes under the same name again is a success.
// Errors wrap api.ErrStorageUnavailable; other bytes under the name are another
// error.
func (n *Node) PutSegment(ctx context.Context, name string, data []byte) error {
	key := prefixAudit + name
	_, err := n.store.Put(ctx, key, data, backend.Revision{})
	if err == nil {
		return nil
	}
	there, _, errGet := n.store.Get(ctx, key)
	switch {
	case errGet == nil && bytes.Equal(there, data):
		return nil
	case errGet == nil:
		return fmt.Errorf("audit segment %s is taken by other bytes", name)
	case errors.Is(err, backend.ErrInvalidKey):
		return fmt.Errorf("writing audit segment: %w", err)
	}
	return unavailable("writing audit segment", err)
}

// AuditSegments walks the audit log, in order of name. Errors wrap
// api.ErrStorageUnavailable.
func (n *Node) AuditSegments(ctx context.Context) iter.Seq2[AuditSegment, error] {
	return func(yield func(AuditSegment, error) bool) {
		for entry, err := range n.store.List(ctx, prefixAudit, "") {
			if err != nil {
				yield(AuditSegment{}, unavailable("listing audit log", err))
				return
			}
			data, _, err := n.store.Get(ctx, entry.Key)
			if errors.Is(err, backend.ErrNotFound) {
				continue
			}
			if err != nil {
				err = unavailable("reading audit log", err)
			}
			if !yield(AuditSegment{strings.TrimPrefix(entry.Key, prefixAudit), data}, err) || err != nil {
				return
			}
		}
	}
}
