package envelope

import "errors"

var (
	// ErrMnemonic reports words that are no mnemonic. What wraps it says
	// whether their number, one of them (by position) or the checksum is wrong.
	ErrMnemonic = errors.New("not a recovery phrase of 24 words")
	// ErrRealm reports a realm that is too long or not of printable ASCII.
	ErrRealm = errors.New("realm not usable")
	// ErrUser reports a user name that is empty, too long, or not a
	// UsernameCaseMapped string (RFC 8265 section 3.3).
	ErrUser = errors.New("user name not usable")
	// ErrPassphrase reports a passphrase that is empty, too long, or not an
	// OpaqueString (RFC 8265 section 4.2).
	ErrPassphrase = errors.New("passphrase not usable")
	// ErrKeySize reports a key or entropy that is not of 32 bytes.
	ErrKeySize = errors.New("must be 32 bytes")
	// ErrRoots reports no root, more than MaxSlots, or one that was wiped.
	ErrRoots = errors.New("no usable set of roots")
	// ErrPlace reports an identity that is not 64 hex digits, or a name that
	// is too long.
	ErrPlace = errors.New("no place for a secret")
	// ErrSecretSize reports a secret that is empty or does not fit.
	ErrSecretSize = errors.New("secret of impossible size")
	// ErrFormat reports bytes that are not a payload of a known format.
	ErrFormat = errors.New("not an envelope of a known format")
	// ErrOpen reports what does not authenticate: the root or the place is not
	// that of the payload, or the payload was changed. Nobody can tell which.
	ErrOpen = errors.New("the envelope does not open: another key, another place, or changed bytes")
)
