// Package integrity keeps the keys of a node and seals what the node stores:
// HMAC-SHA256 (RFC 2104) under keys derived with HKDF-SHA256 (RFC 5869) from
// the keyring, one per label and node. A statement binds a share to its node,
// identity, name, version and attempt, so that nothing in the storage can be
// changed or moved without being noticed.
package integrity

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
	"time"
)

var (
	// ErrKeyRefused reports keys that are missing, malformed, or not those
	// that sealed what is stored.
	ErrKeyRefused = errors.New("integrity key refused")
	// ErrSourceUnavailable reports a key source that could not be read.
	ErrSourceUnavailable = errors.New("key source unavailable")
	// ErrKeyUnknown reports a key id that is not in the keyring, even after
	// fetching it again: it says nothing about the data.
	ErrKeyUnknown = errors.New("integrity key id unknown")
	// ErrMismatch reports data that is not what was sealed.
	ErrMismatch = errors.New("integrity mismatch")
)

// refetchInterval keeps a flood of unknown key ids from becoming a flood of
// fetches.
const refetchInterval = time.Second

// Sealer seals and opens for one node. It is safe for concurrent use.
type Sealer struct {
	nodeID string
	source KeySource
	log    *slog.Logger

	fetching chan struct{} // holds a token during a fetch; guards fetched
	fetched  time.Time

	mu   sync.RWMutex // guards what follows
	ring *Keyring
	keys map[derivation]*macs
}

// macs are HMACs under one key, to be used again: setting one up costs more than
// what is sealed, most often.
type macs struct{ sync.Pool }

func newMACs(key []byte) *macs {
	return &macs{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sum computes HMAC-SHA256 over the parts, each behind its length as 64-bit
// big-endian, so that no two lists of parts give the same input.
func (m *macs) sum(parts [][]byte) []byte {
	mac := m.Get().(hash.Hash) //nolint:forcetypeassert // New makes nothing else
	defer m.Put(mac)
	mac.Reset()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return mac.Sum(nil)
}

type derivation struct{ keyID, label string }

// NewSealer fetches the keyring and returns a Sealer for the node. Errors are
// those of the KeySource.
func NewSealer(ctx context.Context, nodeID string, source KeySource, log *slog.Logger) (*Sealer, error) {
	s := &Sealer{nodeID: nodeID, source: source, log: log, fetching: make(chan struct{}, 1)}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// NodeID is the node that this Sealer seals for.
func (s *Sealer) NodeID() string { return s.nodeID }

// PrimaryKeyID is the id of the key that seals now.
func (s *Sealer) PrimaryKeyID() string { return s.keyring().primary }

// KeyIDs are the ids of all keys at hand, sorted, and that of the one that seals.
func (s *Sealer) KeyIDs() (primary string, all []string) {
	ring := s.keyring()
	return ring.primary, ring.IDs()
}

func (s *Sealer) keyring() *Keyring {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ring
}

// Reload fetches the keyring again. On an error the last good one stays: one of
// the KeySource, or ErrKeyRefused for a keyring that is no rotation of it (it
// lacks the primary key in use, or has other bytes under a known id).
func (s *Sealer) Reload(ctx context.Context) error {
	if err := s.beginFetch(ctx); err != nil {
		return err
	}
	defer s.endFetch()
	return s.fetch(ctx)
}

// beginFetch waits for a fetch that goes on, as long as ctx allows.
func (s *Sealer) beginFetch(ctx context.Context) error {
	select {
	case s.fetching <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: another fetch goes on: %w", ErrSourceUnavailable, ctx.Err())
	}
}

func (s *Sealer) endFetch() { <-s.fetching }

func (s *Sealer) fetch(ctx context.Context) error {
	ring, err := s.source.Keyring(ctx)
	s.fetched = time.Now()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring != nil {
		if err := ring.mayFollow(s.ring); err != nil {
			return err
		}
	}
	s.ring, s.keys = ring, map[derivation]*macs{}
	return nil
}

// Seal returns the primary key's id and the HMAC of parts under it. The label
// says what is sealed; what is sealed under one label opens under no other.
func (s *Sealer) Seal(label string, parts ...[]byte) (keyID string, tag []byte, err error) {
	keyID = s.PrimaryKeyID()
	tag, err = s.tag(keyID, label, parts)
	return keyID, tag, err
}

// Open checks a tag made by Seal, in constant time. A key id that is not known
// makes it fetch the keyring again; if it is still unknown, ErrKeyUnknown,
// unless a known key opens the tag: then it is the key id that was damaged.
// Errors: ErrMismatch, ErrKeyUnknown.
func (s *Sealer) Open(ctx context.Context, label, keyID string, tag []byte, parts ...[]byte) error {
	return s.open(ctx, label, keyID, tag, func(string) [][]byte { return parts })
}

// open is Open for parts that themselves contain the key id.
func (s *Sealer) open(ctx context.Context, label, keyID string, tag []byte, parts func(keyID string) [][]byte) error {
	if !validKeyID(keyID) {
		return fmt.Errorf("%w: malformed key id", ErrMismatch)
	}
	err := s.check(keyID, label, tag, parts(keyID))
	if !errors.Is(err, ErrKeyUnknown) {
		return err
	}
	s.refetch(ctx)
	if err = s.check(keyID, label, tag, parts(keyID)); !errors.Is(err, ErrKeyUnknown) {
		return err
	}
	for _, known := range s.keyring().IDs() {
		if s.check(known, label, tag, parts(known)) == nil {
			return fmt.Errorf("%w: the key id was changed", ErrMismatch)
		}
	}
	return err
}

func (s *Sealer) check(keyID, label string, tag []byte, parts [][]byte) error {
	want, err := s.tag(keyID, label, parts)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, tag) {
		return ErrMismatch
	}
	return nil
}

// Tag returns the HMAC of parts under the primary key, for what is not stored
// but handed out. Like a seal it is worth nothing under another label or to
// another node.
func (s *Sealer) Tag(label string, parts ...[]byte) ([]byte, error) {
	return s.tag(s.PrimaryKeyID(), label, parts)
}

// CheckTag reports whether any key of the ring made the tag, so that tags
// outlive a rotation. A tag that none made has the keyring fetched again, as
// another replica may have seen a rotation first; while that goes on already,
// it does not wait. Its time tells nothing about which key or how near.
func (s *Sealer) CheckTag(label string, tag []byte, parts ...[]byte) bool {
	if s.anyKeyMade(label, tag, parts) {
		return true
	}
	select {
	case s.fetching <- struct{}{}:
	default:
		return false
	}
	defer s.endFetch()
	if time.Since(s.fetched) < tagFetchInterval {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), tagFetchTime)
	defer cancel()
	s.refetchNow(ctx)
	return s.anyKeyMade(label, tag, parts)
}

// Anybody can send a tag that none made, so these cause few fetches; the check
// of one waits no longer than tagFetchTime.
const (
	tagFetchInterval = 10 * time.Second
	tagFetchTime     = 2 * time.Second
)

func (s *Sealer) anyKeyMade(label string, tag []byte, parts [][]byte) bool {
	matched := 0
	for _, keyID := range s.keyring().IDs() {
		want, err := s.tag(keyID, label, parts)
		if err == nil {
			matched |= subtle.ConstantTimeCompare(want, tag)
		}
	}
	return matched == 1
}

func (s *Sealer) refetch(ctx context.Context) {
	if s.beginFetch(ctx) != nil {
		return
	}
	defer s.endFetch()
	s.refetchNow(ctx)
}

// refetchNow is called between beginFetch and endFetch.
func (s *Sealer) refetchNow(ctx context.Context) {
	if time.Since(s.fetched) < refetchInterval {
		return
	}
	if err := s.fetch(ctx); err != nil {
		s.log.Warn("fetching the keyring failed, keeping the last good one", "error", err)
	}
}

// tag is the HMAC over the parts under the key of a label.
func (s *Sealer) tag(keyID, label string, parts [][]byte) ([]byte, error) {
	key, err := s.derive(keyID, label)
	if err != nil {
		return nil, err
	}
	return key.sum(parts), nil
}

func (s *Sealer) derive(keyID, label string) (*macs, error) {
	id := derivation{keyID, label}
	s.mu.RLock()
	key, ring := s.keys[id], s.ring
	s.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	master := ring.keys[keyID]
	if master == nil {
		return nil, fmt.Errorf("%w: %q", ErrKeyUnknown, keyID)
	}
	derived, err := hkdf.Key(sha256.New, master, nil, "guardian/v1/"+label+"\x00"+s.nodeID, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving key: %w", err)
	}
	key = newMACs(derived)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring == ring {
		s.keys[id] = key
	}
	return key, nil
}
