package auth

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	// ErrProofInvalid reports a proof of ownership that proves nothing: of
	// another key, over another message, malformed, or not of this time.
	ErrProofInvalid = errors.New("invalid ownership proof")
	// ErrAudience reports a V2 proof that was made for another guardian.
	ErrAudience = fmt.Errorf("%w: it names another guardian", ErrProofInvalid)
)

// ProofAge is how far the time in a proof may be from the verifier's clock, in
// both directions.
const ProofAge = 120 * time.Second

// Proof is what a caller shows beside the claim, as it was sent.
type Proof struct {
	Version              int    // V1 or V2
	PublicKey, Signature string // in hex of either case
}

// Verifier checks proofs of ownership for one guardian. It is immutable, so
// safe for concurrent use.
type Verifier struct {
	audiences []string
	now       func() time.Time
}

// NewVerifier takes what this guardian is dialled by, each as host:port of
// either case, and its clock. Error: ErrAudienceMalformed.
func NewVerifier(audiences []string, now func() time.Time) (*Verifier, error) {
	v := &Verifier{now: now}
	for _, text := range audiences {
		audience, err := ParseAudience(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		v.audiences = append(v.audiences, audience)
	}
	return v, nil
}

// Verify returns nil if the proof shows that the owner of the claim's identity
// allows the claim, here and now. The owner may have signed the identity as it
// was sent or in lower case. A V2 claim must name an audience of the verifier,
// in lower case. Errors: ErrProofInvalid, ErrAudience.
//
// Signatures are checked as crypto/ed25519 does (RFC 8032 section 5.1.7): S
// must be below the group order and R in its one encoding, so nobody can make a
// second signature of one they saw. It takes public keys that RFC 8032 does not
// (of small order, or in a second encoding). Under a key of small order anyone
// can sign; but as an identity is the digest of the key's bytes, such a key
// owns one identity of its own and nothing of anyone else's.
func (v *Verifier) Verify(p Proof, c Claim) error {
	key, err := decodeHex(p.PublicKey, ed25519.PublicKeySize)
	if err != nil {
		return fmt.Errorf("%w: the public key is %w", ErrProofInvalid, err)
	}
	signature, err := decodeHex(p.Signature, ed25519.SignatureSize)
	if err != nil {
		return fmt.Errorf("%w: the signature is %w", ErrProofInvalid, err)
	}
	folded := c
	folded.Identity = strings.ToLower(c.Identity)
	if IdentityOf(key) != folded.Identity {
		return fmt.Errorf("%w: the key is not the identity's", ErrProofInvalid)
	}
	if err := v.hereAndNow(p.Version, c); err != nil {
		return err
	}
	err = c.signedBy(key, signature, p.Version)
	if err != nil && c.Identity != folded.Identity {
		err = folded.signedBy(key, signature, p.Version)
	}
	return err
}

func (v *Verifier) hereAndNow(version int, c Claim) error {
	if c.Verb != Push && !v.recent(c.Time) {
		return fmt.Errorf("%w: its time is more than %s from this guardian's clock", ErrProofInvalid, ProofAge)
	}
	if version == V2 && !slices.Contains(v.audiences, c.Audience) {
		return ErrAudience
	}
	return nil
}

// recent compares and never subtracts, as the time may be any number.
func (v *Verifier) recent(seconds int64) bool {
	now := v.now()
	earliest := now.Add(-ProofAge + time.Second - 1).Unix() // rounded up
	latest := now.Add(ProofAge).Unix()
	return earliest <= seconds && seconds <= latest
}

func (c Claim) signedBy(key ed25519.PublicKey, signature []byte, version int) error {
	message, err := c.message(version)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProofInvalid, err)
	}
	if !ed25519.Verify(key, message, signature) {
		return fmt.Errorf("%w: the signature is not over this call", ErrProofInvalid)
	}
	return nil
}

// decodeHex reads size bytes. Its error does not quote the text.
func decodeHex(text string, size int) ([]byte, error) {
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != size {
		return nil, fmt.Errorf("not %d bytes in hex", size)
	}
	return decoded, nil
}
