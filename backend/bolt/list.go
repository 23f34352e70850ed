package bolt

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/vault-guardian/guardian/backend"
)

// pageSize bounds what one transaction of a listing reads.
const pageSize = 256

// List implements [backend.Backend].
func (b *Bolt) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(ctx, listing{prefix: prefix, after: after})
}

// ListSegments implements [backend.Backend].
func (b *Bolt) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return b.list(ctx, listing{prefix: prefix, after: after, segments: true})
}

// list reads page by page, each in a transaction that ends before the consumer
// sees any of it: one that was open for as long as a consumer likes would let
// the file grow, and writers wait.
func (b *Bolt) list(ctx context.Context, l listing) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		for l := l; ; {
			page, err := view(ctx, b, l.page)
			for i := 0; err == nil && i < len(page); i++ {
				if err = ctx.Err(); err == nil && !yield(page[i], nil) {
					return
				}
			}
			if err != nil {
				yield(backend.Entry{}, fmt.Errorf("listing %.80q: %w", l.prefix, err))
				return
			}
			if len(page) < pageSize {
				return
			}
			l.after = page[len(page)-1].Key
		}
	}
}

// listing says which keys are wanted.
type listing struct {
	prefix, after string
	segments      bool
}

// page returns the next entries, fewer than pageSize only at the end.
func (l listing) page(objects *bbolt.Bucket) ([]backend.Entry, error) {
	var page []backend.Entry
	cursor := objects.Cursor()
	key, value := cursor.Seek([]byte(max(l.prefix, l.after)))
	for len(page) < pageSize && key != nil && bytes.HasPrefix(key, []byte(l.prefix)) {
		entry, err := l.entry(key, value)
		if err != nil {
			return nil, err
		}
		if entry.Key > l.after {
			page = append(page, entry)
		}
		if strings.HasSuffix(entry.Key, "/") {
			key, value = cursor.Seek(behind(entry.Key))
		} else {
			key, value = cursor.Next()
		}
	}
	return page, nil
}

func (l listing) entry(key, value []byte) (backend.Entry, error) {
	if l.segments {
		if i := bytes.IndexByte(key[len(l.prefix):], '/'); i >= 0 {
			return backend.Entry{Key: string(key[:len(l.prefix)+i+1])}, nil
		}
	}
	found, err := objectOf(value)
	if err != nil {
		return backend.Entry{}, fmt.Errorf("%s: %w", key, err)
	}
	return backend.Entry{Key: string(key), Size: int64(len(found.data)), ModTime: found.modified}, nil
}

// behind is the least key behind those of a group.
func behind(group string) []byte {
	key := []byte(group)
	key[len(key)-1]++
	return key
}
