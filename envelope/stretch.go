package envelope

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/argon2"
)

// The cost of Argon2id is fixed: no header can be read before the identity is
// known, and the identity follows from the result.
const (
	argonPasses  = 4
	argonMemory  = 512 << 10 // KiB
	argonLanes   = 4
	argonSize    = 64
	labelStretch = "guardian/v1/argon2id"
)

// stretchSalt keeps users of the same passphrase apart. Lengths stand before
// realm and user, so no two pairs give the same input.
func stretchSalt(realm, user string) []byte {
	input := []byte(labelStretch)
	for _, text := range []string{realm, user} {
		input = binary.BigEndian.AppendUint16(input, uint16(len(text)))
		input = append(input, text...)
	}
	salt := sha256.Sum256(input)
	return salt[:]
}

func stretch(passphrase string, salt []byte) []byte {
	password := []byte(passphrase)
	defer wipe(password)
	return argon2.IDKey(password, salt, argonPasses, argonMemory, argonLanes, argonSize)
}
