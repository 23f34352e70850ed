package round

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
)

const (
	labelGroup   = "guardian-group-v1"
	prefixGroups = "rounds/"
)

// Group names those whose shares one round may move: all records with the same
// K and the same holders' keys.
type Group [sha256.Size]byte

// GroupOf returns the group of K and the keys of a record's holders, in any
// order: SHA-256("guardian-group-v1", K (4 bytes, big endian), keys in ascending
// order). What is no Ed25519 key, as that of a holder that was not known, is
// left out.
func GroupOf(threshold int, keys []ed25519.PublicKey) Group {
	known := slices.DeleteFunc(slices.Clone(keys), func(key ed25519.PublicKey) bool { return len(key) != ed25519.PublicKeySize })
	slices.SortFunc(known, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	data := binary.BigEndian.AppendUint32([]byte(labelGroup), uint32(threshold))
	for _, key := range known {
		data = append(data, key...)
	}
	return sha256.Sum256(data)
}

// ParseGroup reads what String returns.
func ParseGroup(text string) (Group, error) {
	var g Group
	return g, g.UnmarshalText([]byte(text))
}

// String returns 64 lower-case hex digits.
func (g Group) String() string { return hex.EncodeToString(g[:]) }

// Key returns the key of the group's record in the registry.
func (g Group) Key() string { return prefixGroups + g.String() }

// MarshalText implements [encoding.TextMarshaler].
func (g Group) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (g *Group) UnmarshalText(text []byte) error { return unhex(g[:], text) }

// Session is the digest of one session of package check.
type Session [sha256.Size]byte

// String returns 64 lower-case hex digits.
func (s Session) String() string { return hex.EncodeToString(s[:]) }

// Short returns the first eight digits.
func (s Session) Short() string { return s.String()[:8] }

// MarshalText implements [encoding.TextMarshaler].
func (s Session) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Session) UnmarshalText(text []byte) error { return unhex(s[:], text) }

var errHex = errors.New("not 64 lower-case hex digits")

func unhex(to, text []byte) error {
	if len(text) != hex.EncodedLen(len(to)) || bytes.ContainsAny(text, "ABCDEF") {
		return errHex
	}
	if _, err := hex.Decode(to, text); err != nil {
		return errHex
	}
	return nil
}
