package auth

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ChallengeLife is how long a challenge can be answered.
const ChallengeLife = 60 * time.Second

const (
	labelChallenge = "session-challenge"
	nonceSize      = 32
)

// Challenge asks an identity to come back with it within ChallengeLife.
type Challenge struct {
	Identity  string // 64 hex digits, as the caller wrote them
	Nonce     string // 64 hex digits
	CreatedNS int64  // nanoseconds since 1970, of a whole second
	Tag       string // 64 hex digits
}

// Challenge makes a challenge for an identity. Errors: ErrSessionInvalid for
// one that is not 64 hex digits, or those of the Tagger.
func (s *Sessions) Challenge(identity string) (Challenge, error) {
	if !identityText.MatchString(identity) {
		return Challenge{}, invalid("the identity is not 64 hex digits")
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails: it aborts the process instead
	c := Challenge{Identity: identity, Nonce: hex.EncodeToString(nonce), CreatedNS: s.wholeSecond().UnixNano()}
	tag, err := s.tagger.Tag(labelChallenge, c.parts()...)
	if err != nil {
		return Challenge{}, fmt.Errorf("tagging challenge: %w", err)
	}
	c.Tag = hex.EncodeToString(tag)
	return c, nil
}

// Open makes a session of a challenge that came back as it was made; only the
// case of the identity may differ. Errors: ErrSessionInvalid, or those of the
// Tagger.
func (s *Sessions) Open(c Challenge) (Session, error) {
	tag, err := decodeHex(c.Tag, tagSize)
	if err != nil || !s.tagger.CheckTag(labelChallenge, tag, c.parts()...) {
		return Session{}, invalid("this guardian has not made the challenge")
	}
	if age := s.now().Sub(time.Unix(0, c.CreatedNS)); age < -ClockSkew || age >= ChallengeLife {
		return Session{}, invalid("the challenge has expired, or is of the future")
	}
	return s.begin(c.Identity)
}

// parts are what the tag covers.
func (c Challenge) parts() [][]byte {
	return [][]byte{[]byte(strings.ToLower(c.Identity)), []byte(c.Nonce), strconv.AppendInt(nil, c.CreatedNS, 10)}
}
