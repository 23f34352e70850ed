package backend

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Under returns the part of a storage whose keys begin with prefix, which must
// be a key and a slash. Its keys are relative to that, and nothing outside can
// be reached. It is a [Backend] with the errors of the storage, but that a key
// can be so much shorter as the prefix is long (else ErrInvalidKey), and that
// Close leaves the storage open.
func Under(store Backend, prefix string) Backend { return under{store, prefix} }

type under struct {
	store  Backend
	prefix string
}

// key refuses, besides what the storage does, what is a key only behind the
// prefix.
func (u under) key(key string) (string, error) {
	if !ValidKey(key) {
		return "", fmt.Errorf("%.80q under %s: %w", key, u.prefix, ErrInvalidKey)
	}
	return u.prefix + key, nil
}

// Get implements [Backend].
func (u under) Get(ctx context.Context, key string) ([]byte, Revision, error) {
	full, err := u.key(key)
	if err != nil {
		return nil, Revision{}, err
	}
	return u.store.Get(ctx, full)
}

// Put implements [Backend].
func (u under) Put(ctx context.Context, key string, data []byte, rev Revision) (Revision, error) {
	full, err := u.key(key)
	if err != nil {
		return Revision{}, err
	}
	return u.store.Put(ctx, full, data, rev)
}

// Delete implements [Backend].
func (u under) Delete(ctx context.Context, key string, rev Revision) error {
	full, err := u.key(key)
	if err != nil {
		return err
	}
	return u.store.Delete(ctx, full, rev)
}

// List implements [Backend].
func (u under) List(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return u.relative(u.store.List(ctx, u.prefix+prefix, u.position(after)))
}

// ListSegments implements [Backend].
func (u under) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return u.relative(u.store.ListSegments(ctx, u.prefix+prefix, u.position(after)))
}

func (u under) position(after string) string {
	if after == "" {
		return ""
	}
	return u.prefix + after
}

// relative leaves out what is a key only behind the prefix.
func (u under) relative(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for entry, err := range entries {
			entry.Key = strings.TrimPrefix(entry.Key, u.prefix)
			if err == nil && !ValidKey(strings.TrimSuffix(entry.Key, "/")) {
				continue
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}

// Check implements [Backend].
func (u under) Check(ctx context.Context) error { return u.store.Check(ctx) }

// Close implements [Backend]. The storage stays open for its other users.
func (u under) Close() error { return nil }

// String implements [Backend].
func (u under) String() string { return strings.TrimSuffix(u.store.String(), "/") + "/" + u.prefix }
