package integrity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrNodeKeyRefused reports a node key that is missing or malformed.
	ErrNodeKeyRefused = errors.New("node key refused")
	// ErrNoNodeKey reports a keyring without a node key beside it. It is an
	// ErrNodeKeyRefused too.
	ErrNoNodeKey = fmt.Errorf("%w: there is no node_key in it", ErrNodeKeyRefused)
)

// NodeKey is the Ed25519 key (RFC 8032) by which other guardians know a node.
// Unlike the keys of a keyring it never changes, and no two nodes share one.
// It prints as its public half. It is immutable, and as a crypto.Signer safe
// for concurrent use.
type NodeKey struct {
	// Behind a pointer, as package fmt looks into an unexported field for
	// itself, and does not follow a pointer there.
	private *ed25519.PrivateKey
}

// ParseNodeKey reads a seed of 32 bytes in hex or base64, or a JSON object that
// has one as "node_key", whatever else is in it. Surrounding space is ignored.
// Errors wrap ErrNodeKeyRefused and never quote the text.
func ParseNodeKey(text []byte) (*NodeKey, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, refusedNode("it is empty")
	}
	if text[0] == '{' {
		return NodeKeyBeside(text)
	}
	return newNodeKey(string(text))
}

// NodeKeyBeside reads the "node_key" beside a keyring, from the text that
// ParseKeyring takes. A keyring that is one bare key has none. Errors wrap
// ErrNodeKeyRefused, ErrNoNodeKey when there is none, and never quote the text.
func NodeKeyBeside(keyring []byte) (*NodeKey, error) {
	keyring = bytes.TrimSpace(keyring)
	if len(keyring) == 0 || keyring[0] != '{' {
		return nil, ErrNoNodeKey
	}
	var stored struct {
		NodeKey *string           `json:"node_key"`
		Keys    map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(keyring, &stored); err != nil {
		return nil, refusedNode("it is not in a JSON object of strings")
	}
	if stored.NodeKey == nil {
		return nil, ErrNoNodeKey
	}
	key, err := newNodeKey(*stored.NodeKey)
	if err != nil {
		return nil, err
	}
	if key.isOneOf(stored.Keys) {
		return nil, refusedNode("it is one of the integrity keys; make one of its own")
	}
	return key, nil
}

func newNodeKey(encoded string) (*NodeKey, error) {
	seed, why := decode(encoded)
	if why != "" {
		return nil, refusedNode(why)
	}
	defer clear(seed)
	private := ed25519.NewKeyFromSeed(seed)
	return &NodeKey{&private}, nil
}

// isOneOf reports a seed that does double duty as an integrity key.
func (k *NodeKey) isOneOf(keys map[string]string) bool {
	found := 0
	for _, encoded := range keys {
		key, _ := decode(encoded)
		found |= subtle.ConstantTimeCompare(key, (*k.private)[:ed25519.SeedSize])
		clear(key)
	}
	return found == 1
}

// PublicKey is what other guardians know. The bytes are the caller's to keep.
func (k *NodeKey) PublicKey() ed25519.PublicKey {
	return bytes.Clone((*k.private)[ed25519.SeedSize:])
}

// Public implements crypto.Signer; it is an ed25519.PublicKey.
func (k *NodeKey) Public() crypto.PublicKey { return k.PublicKey() }

// Sign implements crypto.Signer as ed25519.PrivateKey does.
func (k *NodeKey) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.private.Sign(random, message, opts)
}

// Format prints the public key in hex, whatever the verb.
func (k NodeKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "node key "+hex.EncodeToString((*k.private)[ed25519.SeedSize:]))
}

func refusedNode(why string) error { return fmt.Errorf("%w: %s", ErrNodeKeyRefused, why) }
