// Package backend is the storage contract of a guardian: a flat map from key
// to bytes with a revision per key and compare-and-swap. Implementations live
// in the sub-packages (fs); every one of them passes backendtest.Run, which
// has a case for each sentence below.
package backend

import (
	"context"
	"errors"
	"iter"
	"time"
)

var (
	// ErrNotFound reports that a key is absent.
	ErrNotFound = errors.New("key not found")
	// ErrConflict reports a lost compare-and-swap: the key is not at the
	// revision named, another writer won, and nothing was changed by this call.
	ErrConflict = errors.New("revision conflict")
	// ErrInvalidKey reports a key outside the grammar of [ValidKey]. Nothing
	// was read or written.
	ErrInvalidKey = errors.New("invalid key")
	// ErrTooLarge reports an object above [MaxObjectSize].
	ErrTooLarge = errors.New("object too large")
)

// MaxObjectSize bounds one object, in bytes. It protects a reader's memory
// from an object that no guardian wrote.
const MaxObjectSize = 4 << 20

// Revision identifies one stored state of one key. It is opaque: only the
// backend that made it can tell what is in it. The zero Revision stands for
// "the key is absent". Putting equal bytes twice may give equal revisions, so
// a caller that must tell two writes apart puts something unique into them.
// Revisions are comparable with ==.
type Revision struct {
	token string
	any   bool
}

// AnyRevision makes a Put or Delete unconditional.
var AnyRevision = Revision{any: true}

// NewRevision is for backends: it wraps the storage's own token, which must
// not be empty.
func NewRevision(token string) Revision { return Revision{token: token} }

// Token is for backends: the token that NewRevision was given, "" for the
// zero Revision and for AnyRevision.
func (r Revision) Token() string { return r.token }

// IsZero reports whether r stands for "absent".
func (r Revision) IsZero() bool { return r == Revision{} }

// IsAny reports whether r is AnyRevision.
func (r Revision) IsAny() bool { return r.any }

// Entry is one line of a listing.
type Entry struct {
	// Key is the full key; for a group of ListSegments, the shared prefix
	// with its trailing slash.
	Key string
	// Size is the object's length in bytes; 0 for a group.
	Size int64
	// ModTime is when the object was last written, by the storage's clock;
	// zero for a group.
	ModTime time.Time
}

// Backend stores objects. It is safe for concurrent use by goroutines and by
// other processes on the same storage, and linearizable per key.
//
// No key may be a path prefix of another (`a` and `a/b`): storages differ in
// what they do then, so callers never do it.
//
// Every method returns soon after ctx ends, and fails with ctx's error when
// ctx had ended before it began (a listing: as its one element). The error of
// a call that could not be carried out is one of this package's, the
// context's, or the storage's own, wrapped.
type Backend interface {
	// Get returns the bytes of key and the revision they are at, or
	// ErrNotFound. The bytes are the caller's to keep.
	Get(ctx context.Context, key string) ([]byte, Revision, error)

	// Put stores data under key if key is still at rev, and returns the new
	// revision. The zero revision means that key must not exist; AnyRevision
	// means unconditional.
	//
	// A nil error: stored and durable, and every later Get sees it or
	// something newer. ErrConflict, ErrInvalidKey, ErrTooLarge: nothing was
	// changed. Any other error: the outcome is unknown, and may even change
	// after the call has returned (a request can land late); the caller must
	// read back. A reader never sees part of a write.
	Put(ctx context.Context, key string, data []byte, rev Revision) (Revision, error)

	// Delete removes key if it is still at rev, in the way of Put. Deleting
	// what is absent is no error, whatever rev says. Between an unconditional
	// Delete and a conditional Put of the same key not every storage decides:
	// both may succeed, and the key may then hold what was put.
	Delete(ctx context.Context, key string, rev Revision) error

	// List yields the objects whose key starts with prefix and is greater
	// than after, in lexical (byte) order of the key. It streams: memory does
	// not grow with the number of keys. An error ends the sequence, as its
	// last element. Objects written or removed meanwhile may or may not be
	// seen; all others are seen exactly once.
	List(ctx context.Context, prefix, after string) iter.Seq2[Entry, error]

	// ListSegments is List that stops at the first slash behind prefix: keys
	// with a further segment come once, as a group whose Key ends in "/". An
	// entry comes if its Key is greater than after: to go on behind a group,
	// pass its Key.
	ListSegments(ctx context.Context, prefix, after string) iter.Seq2[Entry, error]

	// Check returns nil when reads and writes can be expected to succeed,
	// and otherwise why not. It is cheap enough to be called every few
	// seconds, and changes nothing.
	Check(ctx context.Context) error

	// Close releases what Open took. No call may follow it; what was stored
	// is there on the next Open.
	Close() error

	// String is the storage's location for people, without credentials.
	String() string
}

// ValidKey reports whether key is within the grammar that every backend
// takes: 1 to 512 bytes, segments of 1 to 200 of [A-Za-z0-9._-] separated by
// single slashes, none of which begins with a dot. A first segment that ends
// in ".key" is refused as well: that is where a node on a directory keeps its
// key files, which are no objects.
func ValidKey(key string) bool {
	if key == "" || len(key) > 512 {
		return false
	}
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			if !keyBytes[key[i]] {
				return false
			}
			continue
		}
		if !validSegment(key[start:i], start == 0) {
			return false
		}
		start = i + 1
	}
	return true
}

func validSegment(segment string, first bool) bool {
	if segment == "" || len(segment) > 200 || segment[0] == '.' {
		return false
	}
	const reserved = ".key"
	return !first || len(segment) < len(reserved) || segment[len(segment)-len(reserved):] != reserved
}

// keyBytes are those that keys are made of, but for the slash.
var keyBytes = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") {
		in[c] = true
	}
	return in
}()
