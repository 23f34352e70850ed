package client_test

import (
	"bytes"

	"github.com/vault-guardian/guardian/envelope"
)

// rootOf is the root of a key file that is the same byte throughout.
func rootOf(b byte) *envelope.Root {
	root, err := envelope.FromKeyFile(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		panic(err)
	}
	return root
}
