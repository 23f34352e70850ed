// Package guardian holds the rules of one node: push, pull, delete, which
// versions are retained, what is cleaned, what is quarantined, how a recovered
// share is put back. It is the only home of anti-rollback and of the layout of
// objects.
//
// Nothing is kept in the process that the storage does not hold, so any number
// of nodes in any number of processes may work on one storage. What a nil
// error acknowledged survives a crash of the process at any later moment, and
// of the machine if the backend is durable; a crash at any earlier moment
// leaves the old state or the new one.
package guardian

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
)

// Share is one share as its owner pushed it.
type Share struct {
	Data    []byte
	Version uint64
	// Threshold is K of the split, 0 when unknown.
	Threshold int
	// Split is 32 hex digits that name the split, or "".
	Split string
	// Manifest is what the owner signed about this version and this node, in
	// the form of package manifest; empty when there is none. Threshold and
	// Split are what it says, whether or not they were pushed.
	Manifest []byte
	// Epoch counts redistributions; 0 as pushed. Push ignores it and what
	// follows.
	Epoch uint64
	// Chain is the record of an Epoch above 0 in the form of package record,
	// votes included; of a share that is only prepared its draft. Threshold and
	// Split are what it says.
	Chain []byte
	// CreatedNS is when this version was pushed, UpdatedNS when what is stored
	// of it was written; nanoseconds since 1970.
	CreatedNS, UpdatedNS int64
}

// Config is what a Node needs to know beside its storage and keys.
type Config struct {
	// Retain is the number of committed generations kept, the current one
	// included; 1 to MaxRetain.
	Retain int
	// Ownership says who must prove to own a slot.
	Ownership Ownership
	// MaxBytes bounds what is kept for one identity, retained versions and
	// named secrets included, in bytes; 0 for no bound.
	MaxBytes int64
	// RequestTimeout bounds the time from a push's first object to its commit.
	RequestTimeout time.Duration
	// Damaged is told of every slot that is found damaged, each time. It must
	// not block; nil tells nobody.
	Damaged func(Slot)
	Logger  *slog.Logger
}

// Node is one guardian over its storage. It is safe for concurrent use.
type Node struct {
	store backend.Backend
	// batcher is the storage if it is one.
	batcher backend.Batcher
	sealer  *integrity.Sealer
	cfg     Config
	log     *slog.Logger

	rules      rules
	newAttempt func() string
	background *background
	ages       *ages
	// guesses holds commits seen lately, without the bytes, and without the revision
	// where that was not told. They are never believed: they let a pull fetch the
	// objects while it reads `version`, and a push try its compare-and-swap first.
	guesses *lru.Cache[Slot, stored]
	// manifests are those whose signature was checked lately.
	manifests *manifest.Cache
	// records are those whose votes were checked lately, and drafts those that
	// nobody has voted for.
	records, drafts *recordCache

	census  census
	count   count
	marked  marked
	highest highest
}

// MaxRetain bounds Config.Retain, so that a `version` object stays small.
const MaxRetain = 100

const (
	guessedSlots = 8192
	// knownManifests take 32 MiB when all of them name 255 holders.
	knownManifests = 512
	// knownRecords are those before and after a few rounds; like as many manifests
	// they take 64 MiB when all of them name 255 holders. So do drafts.
	knownRecords = 1024
	// maxDecisions bounds how often one request decides anew because others
	// were faster.
	maxDecisions = 4
)

// Open checks that the keys are those that sealed what the storage holds
// (writing the canary over an empty one) and returns the node. Errors wrap
// integrity.ErrKeyRefused or api.ErrStorageUnavailable.
func Open(ctx context.Context, store backend.Backend, sealer *integrity.Sealer, cfg Config) (*Node, error) {
	if err := checkCanary(ctx, store, sealer, cfg.Logger); err != nil {
		return nil, err
	}
	return newNode(store, sealer, cfg)
}

func newNode(store backend.Backend, sealer *integrity.Sealer, cfg Config) (*Node, error) {
	if cfg.Retain < 1 || cfg.Retain > MaxRetain {
		return nil, fmt.Errorf("1 to %d versions can be retained", MaxRetain)
	}
	guesses, err := lru.New[Slot, stored](guessedSlots)
	if err != nil {
		return nil, fmt.Errorf("making cache: %w", err)
	}
	manifests, err := manifest.NewCache(knownManifests)
	if err != nil {
		return nil, err
	}
	records, err := newRecordCache(knownRecords)
	if err != nil {
		return nil, err
	}
	drafts, err := newRecordCache(knownRecords)
	if err != nil {
		return nil, err
	}
	batcher, _ := store.(backend.Batcher)
	return &Node{
		store: store, batcher: batcher, sealer: sealer, cfg: cfg, log: cfg.Logger,
		rules: pageRules, newAttempt: randomAttempt,
		background: newBackground(cfg.RequestTimeout, cfg.Logger),
		ages:       newAges(),
		guesses:    guesses,
		manifests:  manifests,
		records:    records,
		drafts:     drafts,
	}, nil
}

func randomAttempt() string {
	var b [attemptDigits / 2]byte
	rand.Read(b[:]) // never fails: it aborts the process instead
	return hex.EncodeToString(b[:])
}

// ShareCount returns the number of live shares as far as this process knows,
// and whether that is approximate: before the first Counted, and after
// one during which this process wrote. What others have done to the
// storage since is not in it.
func (n *Node) ShareCount() (count int64, approximate bool) {
	return n.census.count.Load(), !n.census.exact.Load()
}

// Quarantined returns the number of slots known to this process as damaged.
func (n *Node) Quarantined() int64 { return n.marked.len() }

// NodeID names the node.
func (n *Node) NodeID() string { return n.sealer.NodeID() }

// Sealer is what the node seals with.
func (n *Node) Sealer() *integrity.Sealer { return n.sealer }

// PrimaryKeyID names the key that seals what is written now.
func (n *Node) PrimaryKeyID() string { return n.sealer.PrimaryKeyID() }

// Location is the storage's location, without credentials.
func (n *Node) Location() string { return n.store.String() }

// Check returns nil when the storage answers.
func (n *Node) Check(ctx context.Context) error {
	if err := n.store.Check(ctx); err != nil {
		return unavailable("checking storage", err)
	}
	return nil
}

// Close waits for the cleaning that pushes left behind, at most until ctx
// ends. What is not done by then a Walk does. No call may follow.
func (n *Node) Close(ctx context.Context) error { return n.background.close(ctx) }

// stored is the state of a slot's `version` object.
type stored struct {
	commit *commit // nil when absent
	rev    backend.Revision
	raw    []byte
}

func (s stored) standing() standing {
	if s.commit == nil {
		return standing{}
	}
	known := s.commit.standing
	if s.commit.deleted() && s.commit.current < math.MaxUint64 {
		known.from = s.commit.current + 1
	}
	return known
}

// readCommit reads what `version` says. Errors are those of the protocol; a
// version object that does not verify is quarantined.
func (n *Node) readCommit(ctx context.Context, slot Slot) (stored, error) {
	from, err := n.fetchCommit(ctx, slot)
	return n.judgeFetched(ctx, slot, from, err)
}

// judgeFetched turns what fetchCommit returns into what readCommit does.
func (n *Node) judgeFetched(ctx context.Context, slot Slot, from stored, err error) (stored, error) {
	switch {
	case err == nil:
		return from, nil
	case errors.Is(err, integrity.ErrKeyUnknown):
		return stored{}, fmt.Errorf("%w: %w", api.ErrKeyUnavailable, err)
	case isDamage(err):
		return stored{}, n.damaged(ctx, slot, "version", err)
	}
	return stored{}, unavailable("reading commit", err)
}

// fetchCommit is readCommit with the errors of the backend and of integrity,
// unjudged. With those of integrity comes what does not open.
func (n *Node) fetchCommit(ctx context.Context, slot Slot) (stored, error) {
	data, rev, err := n.store.Get(ctx, slot.commitKey())
	return n.openFetched(ctx, slot, backend.Got{Data: data, Rev: rev, Err: err})
}

func (n *Node) openFetched(ctx context.Context, slot Slot, got backend.Got) (stored, error) {
	if errors.Is(got.Err, backend.ErrNotFound) {
		n.guesses.Remove(slot)
		return stored{}, nil
	}
	if got.Err != nil {
		return stored{}, got.Err
	}
	c, err := openCommit(ctx, n.sealer, slot, got.Data)
	if err == nil {
		n.guesses.Add(slot, stored{commit: c, rev: got.Rev})
	}
	return stored{commit: c, rev: got.Rev, raw: got.Data}, err
}

// isDamage tells what says that the data is not what was sealed from what says
// nothing about it.
func isDamage(err error) bool {
	return errors.Is(err, integrity.ErrMismatch) || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrTooLarge)
}

func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, api.ErrStorageUnavailable, err)
}

// census is the running count of live shares.
type census struct {
	count   atomic.Int64
	exact   atomic.Bool
	changes atomic.Int64 // how often add was called
}

func (c *census) add(delta int64) {
	c.count.Add(delta)
	c.changes.Add(1)
}
