package integrity

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// KeySize is the length of every key, in bytes.
const KeySize = 32

// bareKeyID names a key that was given without a keyring around it.
const bareKeyID = "default"

// Keyring is a set of named keys, one of which is primary: it seals what is
// written now, while the others still open what they sealed. It is immutable.
type Keyring struct {
	primary string
	keys    map[string][]byte
}

// keyringJSON is the stored form. Unknown fields are left alone: the same
// secret may hold other things of the node, such as its node key.
type keyringJSON struct {
	Primary string            `json:"primary"`
	Keys    map[string]string `json:"keys"`
}

// ParseKeyring reads `{"primary":"k2","keys":{"k1":"<base64>","k2":"..."}}`,
// or one bare key of 32 bytes in hex or base64, whose id is then "default".
// Surrounding space is ignored. Errors wrap ErrKeyRefused and never quote the
// text.
func ParseKeyring(text []byte) (*Keyring, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, refused("it is empty")
	}
	if text[0] != '{' {
		key, err := decodeKey(string(text))
		if err != nil {
			return nil, err
		}
		return newKeyring(bareKeyID, map[string][]byte{bareKeyID: key})
	}
	var stored keyringJSON
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, refused("it is not a JSON keyring")
	}
	keys := make(map[string][]byte, len(stored.Keys))
	for id, encoded := range stored.Keys {
		// A key written in the id's place must not get into the error.
		if !validKeyID(id) {
			return nil, errKeyID
		}
		key, err := decodeKey(encoded)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
		keys[id] = key
	}
	return newKeyring(stored.Primary, keys)
}

func newKeyring(primary string, keys map[string][]byte) (*Keyring, error) {
	if keys[primary] == nil {
		return nil, refused("its primary names no key of it")
	}
	return &Keyring{primary: primary, keys: keys}, nil
}

// mayFollow refuses a ring that cannot be a rotation of the one in use: the key
// that seals now must still be there, and no id may mean another key. What such
// a ring sealed, nothing would open once the mistake is mended.
func (k *Keyring) mayFollow(before *Keyring) error {
	if k.keys[before.primary] == nil {
		return refused(fmt.Sprintf("key %q, under which this process has sealed, is not in it", before.primary))
	}
	for id, key := range k.keys {
		if known := before.keys[id]; known != nil && subtle.ConstantTimeCompare(known, key) != 1 {
			return refused(fmt.Sprintf("key %q is another one than before", id))
		}
	}
	return nil
}

// Primary is the id of the key that seals.
func (k *Keyring) Primary() string { return k.primary }

// IDs lists the key ids, sorted.
func (k *Keyring) IDs() []string { return slices.Sorted(maps.Keys(k.keys)) }

func (k *Keyring) marshal() ([]byte, error) {
	stored := keyringJSON{Primary: k.primary, Keys: map[string]string{}}
	for id, key := range k.keys {
		stored.Keys[id] = base64.StdEncoding.EncodeToString(key)
	}
	return json.Marshal(stored)
}

func decodeKey(encoded string) ([]byte, error) {
	key, why := decode(encoded)
	if why != "" {
		return nil, refused(why)
	}
	return key, nil
}

// decode reads the text form of any key of 32 bytes, or says why it is none.
func decode(encoded string) (key []byte, why string) {
	encoded = strings.TrimSpace(encoded)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if len(encoded) == hex.EncodedLen(KeySize) {
		key, err = hex.DecodeString(encoded)
	}
	if err != nil || len(key) != KeySize {
		return nil, "a key is 32 bytes in hex or base64"
	}
	if bytes.Equal(key, make([]byte, KeySize)) {
		return nil, "a key of zeros protects nothing"
	}
	return key, ""
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= 32 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

var errKeyID = refused("key ids are 1 to 32 of [A-Za-z0-9_-]")

func refused(why string) error { return fmt.Errorf("%w: %s", ErrKeyRefused, why) }
