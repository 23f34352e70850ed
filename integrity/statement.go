package integrity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Kinds of statement.
const (
	KindShare  = "share"
	KindCanary = "canary"
	// KindMembership is what a node keeps about the others of its cluster.
	KindMembership = "membership"
)

// labelStatement is the domain of statements among all that a key seals.
const labelStatement = "statement"

// Statement says what a share is. Its JSON is stored next to the share, behind
// the HMAC over both.
type Statement struct {
	Kind     string `json:"kind"`
	KeyID    string `json:"key_id"`
	NodeID   string `json:"node_id"`
	Identity string `json:"identity,omitempty"`
	Name     string `json:"name"`
	Version  uint64 `json:"version"`
	Epoch    uint64 `json:"epoch"`
	// Attempt is the random part of the generation's name.
	Attempt   string `json:"attempt,omitempty"`
	Threshold int    `json:"threshold"`
	Split     string `json:"split"`
	// Size and SHA256 (hex) are those of the share's bytes.
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
	// Owned and Proof are about how the owner proved itself: whether a proof
	// was ever given, and the highest version of one.
	Owned    bool   `json:"owned"`
	Proof    int    `json:"proof"`
	Manifest []byte `json:"manifest,omitempty"`
	// Certificate is the commit certificate of an epoch above 0.
	Certificate []byte `json:"certificate,omitempty"`
	// CreatedNS is when this version was pushed, UpdatedNS when this
	// generation of it was written; nanoseconds since 1970.
	CreatedNS int64 `json:"created_ns"`
	UpdatedNS int64 `json:"updated_ns"`
}

// SealStatement fills in key id, node id, size and hash, and returns the bytes
// of checksum.bin: 32 bytes of HMAC-SHA256 over statement and share, then the
// statement as JSON.
func (s *Sealer) SealStatement(st Statement, share []byte) ([]byte, error) {
	sum := sha256.Sum256(share)
	st.NodeID, st.Size, st.SHA256 = s.nodeID, len(share), hex.EncodeToString(sum[:])
	st.KeyID = s.PrimaryKeyID()
	text, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("encoding statement: %w", err)
	}
	tag, err := s.tag(st.KeyID, labelStatement, [][]byte{text, share})
	if err != nil {
		return nil, err
	}
	return append(tag, text...), nil
}

// OpenStatement checks sealed (the bytes of checksum.bin) against the share
// and returns what it states. The caller must still compare the statement with
// what it asked for. Errors: ErrMismatch, ErrKeyUnknown.
func (s *Sealer) OpenStatement(ctx context.Context, sealed, share []byte) (Statement, error) {
	if len(sealed) < sha256.Size {
		return Statement{}, fmt.Errorf("%w: checksum of %d bytes", ErrMismatch, len(sealed))
	}
	tag, text := sealed[:sha256.Size], sealed[sha256.Size:]
	st, err := parseStatement(text)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: statement is not JSON", ErrMismatch)
	}
	// The claimed node is told apart before the key is: a storage of another
	// node would otherwise look like a wrong key.
	if st.NodeID != s.nodeID {
		return Statement{}, fmt.Errorf("%w: sealed for node %q, this is %q", ErrMismatch, st.NodeID, s.nodeID)
	}
	parts := func(keyID string) [][]byte {
		if keyID == st.KeyID {
			return [][]byte{text, share}
		}
		renamed := st
		renamed.KeyID = keyID
		other, _ := json.Marshal(renamed) // of what was just unmarshalled
		return [][]byte{other, share}
	}
	if err := s.open(ctx, labelStatement, st.KeyID, tag, parts); err != nil {
		return Statement{}, err
	}
	return st, nil
}
