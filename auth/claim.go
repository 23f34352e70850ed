package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrClaim reports a claim that has no message, so that it can neither be
// signed nor proved: its verb or proof version is unknown, its identity, name
// or audience malformed, or the key that is to sign is not the identity's.
var ErrClaim = errors.New("invalid ownership claim")

// The versions of ownership proofs. What V1 signs names neither the guardian
// nor what is pushed, so whoever receives it can show it to another guardian,
// or push other bytes with it; V2 names both.
const (
	V1 = 1
	V2 = 2
)

// Verb is what an owner allows.
type Verb string

// The verbs. Reading the history of a share is a Pull of it.
const (
	Push   Verb = "push"
	Pull   Verb = "pull"
	Delete Verb = "delete"
	List   Verb = "list"
)

// Claim is one call, as the owner of the identity signs it. Verb, Identity and
// Name are always signed.
type Claim struct {
	Verb Verb
	// Identity is 64 hex digits as the caller wrote them.
	Identity string
	// Name is that of a named secret: 1 to 128 of [A-Za-z0-9_-]. It is "" for
	// the one share kept under the identity alone, and for a List.
	Name string
	// Version is signed of a Push, and in V1 of a Delete without a name. V2
	// does not sign which version a Delete or Pull is about.
	Version uint64
	// Time is in seconds since 1970; signed of all but a Push.
	Time int64
	// Audience is signed in V2: where the caller dialled the guardian, as
	// AudienceOf gives it.
	Audience string
	// Share and Manifest are what a Push carries, the manifest nil when there
	// is none; in V2 their SHA-256 is signed.
	Share, Manifest []byte
}

// IdentityOf is the identity that a key owns: hex(SHA-256(public key)), in
// lower case.
func IdentityOf(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// Sign proves the claim with Ed25519 (RFC 8032): it returns the signature of
// its message, V1 or V2, in hex. Error: ErrClaim.
func (c Claim) Sign(version int, key ed25519.PrivateKey) (string, error) {
	if IdentityOf(key.Public().(ed25519.PublicKey)) != strings.ToLower(c.Identity) {
		return "", fmt.Errorf("%w: the key is not the identity's", ErrClaim)
	}
	message, err := c.message(version)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(ed25519.Sign(key, message)), nil
}
