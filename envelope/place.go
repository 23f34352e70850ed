package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// maxName is in bytes.
const maxName = 255

// Place is where a secret is kept. It is bound into every key, so what was
// sealed for one place opens at no other.
type Place struct {
	// Identity is 64 hex digits of either case: those of the Root whose owner
	// keeps the secret, also where other roots open it.
	Identity string
	// Name is that of a named secret, at most 255 bytes, compared byte by byte;
	// empty for the one under the identity alone.
	Name string
	// Version is that of the secret.
	Version uint64
}

// encode is the identity, the name behind its length, and the version: no two
// places give the same bytes. Error: ErrPlace.
func (p Place) encode() (string, error) {
	identity, err := hex.DecodeString(p.Identity)
	if err != nil || len(identity) != sha256.Size {
		return "", fmt.Errorf("%w: the identity is not %d hex digits", ErrPlace, 2*sha256.Size)
	}
	if len(p.Name) > maxName {
		return "", fmt.Errorf("%w: the name is longer than %d bytes", ErrPlace, maxName)
	}
	encoded := binary.BigEndian.AppendUint16(identity, uint16(len(p.Name)))
	encoded = append(encoded, p.Name...)
	return string(binary.BigEndian.AppendUint64(encoded, p.Version)), nil
}
