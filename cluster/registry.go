package cluster

import (
	"context"
	"errors"

	"github.com/vault-guardian/guardian/backend"
)

var (
	// ErrImpostor reports a node id that is registered with another public key.
	ErrImpostor = errors.New("node id is registered with another key")
	// ErrFull reports that every share index has been given.
	ErrFull = errors.New("no share index is left")
	// ErrNoRecord reports that there is no record under a key.
	ErrNoRecord = errors.New("no such record")
	// ErrLost reports a lost compare-and-swap: another writer won, and nothing
	// was changed by this call.
	ErrLost = errors.New("another writer won")
	// ErrInvalidKey reports a key of a record outside its grammar.
	ErrInvalidKey = errors.New("invalid key of a record")
	// ErrTooLarge reports a record above MaxRecordSize.
	ErrTooLarge = errors.New("record too large")
)

// MaxRecordSize bounds one record, in bytes.
const MaxRecordSize = 256 << 10

// ValidRecordKey reports whether key can be that of a record: as
// [backend.ValidKey] has it, and at most 256 bytes.
func ValidRecordKey(key string) bool { return len(key) <= 256 && backend.ValidKey(key) }

// RosterKey is the key of the record that holds the roster.
const RosterKey = "roster"

// Revision identifies one stored state of one record. It is opaque, and
// comparable with ==. The zero Revision stands for "there is no such record".
type Revision struct{ token string }

// Registry is a small database that all guardians of a cluster share. It is
// safe for concurrent use by goroutines and by other processes, and
// linearizable per record. Every sentence of this contract has a case in
// clustertest.
//
// Errors are those of this package, those of ctx, or the storage's own,
// wrapped. None holds a credential. Every method returns soon after ctx ends.
type Registry interface {
	// Register records m, whose Index and RegisteredNS it ignores, and returns
	// the record.
	//
	// A node id that is new gets the lowest index that was never given to any
	// node, and RegisteredNS from the clock. An index is given once: neither
	// two nodes that register at one moment nor a node that is registered after
	// the record of another was removed share one, and one may be lost to an
	// interrupted call. A node id that is known keeps index and RegisteredNS;
	// URLs and failure domain become those of m. So Register may be repeated
	// after any error, and has no effect beyond the first time.
	//
	// ErrInvalidMember: m is out of bounds. ErrImpostor: the node id has
	// another public key. ErrFull: the node id is new and all indices are
	// given. With these nothing was changed; any other error leaves unknown
	// whether it was.
	Register(ctx context.Context, m Member) (Member, error)

	// List returns all members in ascending order of index. Records that are
	// malformed or out of bounds (see [Member.Check]) are left out and
	// reported through the registry's logger.
	List(ctx context.Context) ([]Member, error)

	// Load returns the record under key and the revision it is at, or
	// ErrNoRecord. The bytes are the caller's to keep. ErrInvalidKey,
	// ErrTooLarge.
	Load(ctx context.Context, key string) ([]byte, Revision, error)

	// Swap stores data under key if the record is still at rev, and returns the
	// new revision. The zero revision means that there must be no record.
	//
	// A nil error: stored, and every later Load sees it or something newer.
	// ErrLost, ErrInvalidKey, ErrTooLarge: nothing was changed. Any other
	// error: the outcome is unknown, and may even change after the call has
	// returned; the caller must read back.
	//
	// Keys are those of ValidRecordKey. None may be a path prefix of another
	// (`a` and `a/b`): callers see to that.
	Swap(ctx context.Context, key string, data []byte, rev Revision) (Revision, error)

	// Close releases what opening took. No call may follow it.
	Close() error
}
