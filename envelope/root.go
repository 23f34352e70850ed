package envelope

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// kind is which way in a slot is for, as written into it.
type kind byte

const (
	kindMnemonic   kind = 1
	kindPassphrase kind = 2
	kindKeyFile    kind = 3
)

const (
	saltMnemonic   = "guardian/v1/mnemonic"
	saltPassphrase = "guardian/v1/passphrase"
	saltKeyFile    = "guardian/v1/keyfile"

	labelOwner = "guardian/v1/owner-ed25519"
	labelWrap  = "guardian/v1/wrap"

	keySize = 32
)

// Root is what one way in leads to: the key that signs as the owner, and the
// key that wraps. It is immutable until Wipe, so safe for concurrent use until
// then. Printing it in any way shows neither key.
type Root struct {
	kind     kind
	owner    ed25519.PrivateKey
	identity string
	wrap     []byte
}

// FromMnemonic reads 24 words as EntropyOf does. Error: ErrMnemonic.
func FromMnemonic(words string) (*Root, error) {
	entropy, err := EntropyOf(words)
	if err != nil {
		return nil, err
	}
	defer wipe(entropy)
	mnemonic, err := MnemonicOf(entropy) // as BIP-39 writes it, not as it was typed
	if err != nil {
		return nil, err
	}
	seed, err := seedOf(mnemonic)
	if err != nil {
		return nil, err
	}
	defer wipe(seed)
	return newRoot(kindMnemonic, saltMnemonic, seed)
}

// FromPassphrase stretches the passphrase with Argon2id (RFC 9106), which takes
// 512 MiB of memory and a second or more. The realm keeps deployments apart
// that have users of the same name; it is compared byte by byte and may be
// empty. User names that differ in case, in width or in normalization are one;
// passphrases are one that differ in the kind of their spaces or in
// normalization. Seven words of EFF's large list are taken in either case and
// with spaces or hyphens between them, as NewPassphrase would have written
// them. Errors: ErrRealm, ErrUser, ErrPassphrase.
func FromPassphrase(realm, user, passphrase string) (*Root, error) {
	if err := checkRealm(realm); err != nil {
		return nil, err
	}
	user, err := mapUser(user)
	if err != nil {
		return nil, err
	}
	passphrase, err = mapPassphrase(passphrase)
	if err != nil {
		return nil, err
	}
	stretched := stretch(passphrase, stretchSalt(realm, user))
	defer wipe(stretched)
	return newRoot(kindPassphrase, saltPassphrase, stretched)
}

// FromKeyFile takes a key of 32 random bytes, which it neither keeps nor
// changes. Error: ErrKeySize.
func FromKeyFile(key []byte) (*Root, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("key of %d bytes: %w", len(key), ErrKeySize)
	}
	return newRoot(kindKeyFile, saltKeyFile, key)
}

// newRoot derives what follows from the input keying material of a way in
// (HKDF, RFC 5869).
func newRoot(k kind, salt string, ikm []byte) (*Root, error) {
	prk, err := hkdf.Extract(sha256.New, ikm, []byte(salt))
	if err != nil {
		return nil, fmt.Errorf("deriving a root: %w", err)
	}
	defer wipe(prk)
	seed, err := expand(prk, labelOwner)
	if err != nil {
		return nil, err
	}
	defer wipe(seed)
	wrap, err := expand(prk, labelWrap)
	if err != nil {
		return nil, err
	}
	owner := ed25519.NewKeyFromSeed(seed)
	digest := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	return &Root{kind: k, owner: owner, identity: hex.EncodeToString(digest[:]), wrap: wrap}, nil
}

func expand(prk []byte, label string) ([]byte, error) {
	key, err := hkdf.Expand(sha256.New, prk, label, keySize)
	if err != nil {
		return nil, fmt.Errorf("expanding %s: %w", label, err)
	}
	return key, nil
}

// Owner is the key that signs as the owner. It is the Root's own memory, so
// Wipe overwrites it; afterwards Owner is nil.
func (r *Root) Owner() ed25519.PrivateKey { return r.owner }

// Identity is the SHA-256 of the owner's public key in 64 lower-case hex
// digits. It outlives Wipe. Whoever sees that of a passphrase can test guesses
// of the passphrase against it, so shorten it in logs.
func (r *Root) Identity() string { return r.identity }

// Wipe overwrites the keys. Nothing can be sealed or opened with the Root from
// then on. It must not run beside any other call.
func (r *Root) Wipe() {
	wipe(r.owner)
	wipe(r.wrap)
	r.owner, r.wrap = nil, nil
}

// Format keeps every verb of package fmt, and so every logger, from printing
// the keys.
func (Root) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "envelope.Root")
}

func (r *Root) usable() bool { return r != nil && len(r.wrap) == keySize }
