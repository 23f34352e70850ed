package cluster

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/vault-guardian/guardian/manifest"
)

// MaxRosterSize bounds the encoding of a roster, in bytes. 255 entries with the
// longest fields take less than two thirds of it.
const MaxRosterSize = 64 << 10

// Errors of rosters.
var (
	// ErrInvalidRoster reports bytes that encode no roster, a field out of
	// bounds, or a key of another length.
	ErrInvalidRoster = errors.New("invalid roster")
	// ErrRosterSignature reports a roster that the admission key has not signed.
	ErrRosterSignature = errors.New("roster not signed by the admission key")
)

// Roster says who the members of a cluster are. The admission key signs it,
// offline, and guardians believe in the one with the highest serial. All its
// methods are pure, and leave the roster and their arguments as they were.
type Roster struct {
	// Serial is higher than that of the roster before, and at least 1.
	Serial uint64
	// Entries are in strictly ascending order of index, at most MaxIndex of
	// them. No two have the same node id or key.
	Entries []Entry
}

// Entry is one member.
type Entry struct {
	// NodeID is 1 to 63 of [a-z0-9-].
	NodeID string
	// Index is the share index for life, 1 to MaxIndex. It is never given to
	// another node, even when this one is no longer in the roster: whoever
	// makes rosters sees to that.
	Index int
	// Key is the public key of the node key.
	Key ed25519.PublicKey
	// FailureDomain is a label as ValidFailureDomain has it.
	FailureDomain string
}

// Sign returns the roster, encoded and signed: at most MaxRosterSize bytes, the
// same for the same fields and key. Error: ErrInvalidRoster.
func (r *Roster) Sign(admission ed25519.PrivateKey) ([]byte, error) {
	if len(admission) != ed25519.PrivateKeySize {
		return nil, invalidRoster("the admission key has %d bytes", len(admission))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	body := r.encode()
	return append(body, ed25519.Sign(admission, body)...), nil
}

// ParseRoster returns the roster if it is well-formed, within bounds and signed
// by the admission key. Whether its serial is high enough is for the caller to
// tell. Errors: ErrInvalidRoster, ErrRosterSignature.
func ParseRoster(data []byte, admission ed25519.PublicKey) (*Roster, error) {
	if len(admission) != ed25519.PublicKeySize {
		return nil, invalidRoster("the admission key has %d bytes", len(admission))
	}
	r, err := UnverifiedRoster(data)
	if err != nil {
		return nil, err
	}
	if body, signature := cutRoster(data); !ed25519.Verify(admission, body, signature) {
		return nil, ErrRosterSignature
	}
	return r, nil
}

// UnverifiedRoster returns a roster that is well-formed and within bounds,
// whoever signed it: to show it to people, and for nothing else. Error:
// ErrInvalidRoster.
func UnverifiedRoster(data []byte) (*Roster, error) {
	switch {
	case len(data) > MaxRosterSize:
		return nil, invalidRoster("it is larger than %d bytes", MaxRosterSize)
	case len(data) < ed25519.SignatureSize:
		return nil, invalidRoster("it is cut off")
	}
	body, _ := cutRoster(data)
	r, err := decodeRoster(body)
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

func cutRoster(data []byte) (body, signature []byte) {
	end := len(data) - ed25519.SignatureSize
	return data[:end], data[end:]
}

// check wants every field within bounds, and nothing twice.
func (r *Roster) check() error {
	if r.Serial == 0 {
		return invalidRoster("its serial is 0")
	}
	nodes, keys := map[string]bool{}, map[string]bool{}
	before := 0
	for _, e := range r.Entries {
		if e.Index <= before || e.Index > MaxIndex {
			return invalidRoster("its indices are not from 1 to %d in ascending order, at %d", MaxIndex, e.Index)
		}
		if err := e.check(); err != nil {
			return err
		}
		if nodes[e.NodeID] || keys[string(e.Key)] {
			return invalidRoster("the node id or the key at index %d has another index too", e.Index)
		}
		nodes[e.NodeID], keys[string(e.Key)], before = true, true, e.Index
	}
	return nil
}

func (e *Entry) check() error {
	switch {
	case !manifest.ValidNode(e.NodeID):
		return invalidRoster("the node id at index %d is not 1 to 63 of a-z, 0-9 and -", e.Index)
	case len(e.Key) != ed25519.PublicKeySize:
		return invalidRoster("the key at index %d has %d bytes", e.Index, len(e.Key))
	case !ValidFailureDomain(e.FailureDomain):
		return invalidRoster("the failure domain at index %d is not at most %d of printable ASCII", e.Index, MaxFailureDomain)
	}
	return nil
}

// rosterPrefix begins every roster, and with it what is signed. Nothing else
// that the admission key signs begins so.
const rosterPrefix = "guardian-roster-v1\n"

// encode is all but the signature, of fields that were checked.
func (r *Roster) encode() []byte {
	b := cryptobyte.NewBuilder([]byte(rosterPrefix))
	b.AddUint64(r.Serial)
	b.AddUint8(uint8(len(r.Entries)))
	for _, e := range r.Entries {
		b.AddUint8(uint8(e.Index))
		addShort(b, e.NodeID)
		b.AddBytes(e.Key)
		addShort(b, e.FailureDomain)
	}
	return b.BytesOrPanic() // no field is too long for its length
}

func addShort(b *cryptobyte.Builder, text string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

// decodeRoster reads what encode wrote, to the last byte. Of what it returns
// the form is right; bounds are for the caller to check.
func decodeRoster(body []byte) (*Roster, error) {
	rest, begins := bytes.CutPrefix(body, []byte(rosterPrefix))
	if !begins {
		return nil, invalidRoster("it does not begin with %q", rosterPrefix)
	}
	s := cryptobyte.String(rest)
	r := &Roster{}
	if !r.read(&s) || !s.Empty() {
		return nil, invalidRoster("it is cut off, goes on, or has a field of the wrong form")
	}
	return r, nil
}

func (r *Roster) read(s *cryptobyte.String) bool {
	var count uint8
	if !s.ReadUint64(&r.Serial) || !s.ReadUint8(&count) {
		return false
	}
	r.Entries = make([]Entry, count)
	for i := range r.Entries {
		if !r.Entries[i].read(s) {
			return false
		}
	}
	return true
}

func (e *Entry) read(s *cryptobyte.String) bool {
	var index uint8
	var node, domain cryptobyte.String
	e.Key = make([]byte, ed25519.PublicKeySize)
	read := s.ReadUint8(&index) && s.ReadUint8LengthPrefixed(&node) &&
		s.CopyBytes(e.Key) && s.ReadUint8LengthPrefixed(&domain)
	e.Index, e.NodeID, e.FailureDomain = int(index), string(node), string(domain)
	return read
}

func invalidRoster(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRoster, fmt.Sprintf(format, args...))
}
