package auth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrSessionInvalid reports a challenge or a session token that no replica of
// this guardian has made, or that has expired.
var ErrSessionInvalid = errors.New("invalid session")

const (
	// SessionLife is how long a session lasts.
	SessionLife = time.Hour
	// ClockSkew is how far the clock of the replica that made a challenge or a
	// session may be ahead of the clock of the one that checks it.
	ClockSkew = 10 * time.Second
)

const (
	labelSession = "session"
	tagSize      = 32
)

// Tagger makes and checks message authentication codes of 32 bytes under the
// keys of one node, which all its replicas have. What is tagged under one
// label, or for one list of parts, checks under no other. It is safe for
// concurrent use.
type Tagger interface {
	Tag(label string, parts ...[]byte) ([]byte, error)
	// CheckTag reports, in constant time, whether any key of the node made
	// the tag.
	CheckTag(label string, tag []byte, parts ...[]byte) bool
}

// Sessions hands out challenges and sessions. Nothing is stored: what is handed
// out is good on every replica of the node, across restarts and rotations of
// keys, and as often as it is shown until it expires. It is safe for concurrent
// use.
type Sessions struct {
	tagger Tagger
	now    func() time.Time
}

// NewSessions takes the keys of the node and its clock.
func NewSessions(tagger Tagger, now func() time.Time) *Sessions {
	return &Sessions{tagger: tagger, now: now}
}

// Session speaks for an identity until it expires. Its Tag is a secret between
// the guardian and the one it was handed to.
type Session struct {
	Identity string // 64 hex digits, as the caller wrote them
	ExpiryNS int64  // nanoseconds since 1970, of a whole second
	Tag      string // 64 hex digits
}

func (s *Sessions) begin(identity string) (Session, error) {
	session := Session{Identity: identity, ExpiryNS: s.wholeSecond().Add(SessionLife).UnixNano()}
	tag, err := s.tagger.Tag(labelSession, session.parts()...)
	if err != nil {
		return Session{}, fmt.Errorf("tagging session: %w", err)
	}
	session.Tag = hex.EncodeToString(tag)
	return session, nil
}

// Token is what the client sends: <identity>:<expiry_ns>:<tag>.
func (s Session) Token() string { return fmt.Sprintf("%s:%d:%s", s.Identity, s.ExpiryNS, s.Tag) }

// tokenText allows one way only to write the expiry.
var tokenText = regexp.MustCompile(`^([0-9A-Fa-f]{64}):([1-9][0-9]{0,18}):([0-9A-Fa-f]{64})$`)

// Check returns the identity that a session token speaks for, in lower case; as
// the caller wrote it, it is the first 64 characters of the token. Error:
// ErrSessionInvalid.
func (s *Sessions) Check(token string) (identity string, err error) {
	fields := tokenText.FindStringSubmatch(token)
	if fields == nil {
		return "", invalid("the token is not identity:expiry:tag")
	}
	expiry, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return "", invalid("the expiry is no 64-bit integer")
	}
	session := Session{Identity: fields[1], ExpiryNS: expiry}
	tag, err := decodeHex(fields[3], tagSize)
	if err != nil || !s.tagger.CheckTag(labelSession, tag, session.parts()...) {
		return "", invalid("this guardian has not made the token")
	}
	if left := time.Unix(0, expiry).Sub(s.now()); left <= 0 || left > SessionLife+ClockSkew {
		return "", invalid("the token has expired, or is of the future")
	}
	return strings.ToLower(session.Identity), nil
}

// parts are what the tag covers.
func (s Session) parts() [][]byte {
	return [][]byte{[]byte(strings.ToLower(s.Identity)), strconv.AppendInt(nil, s.ExpiryNS, 10)}
}

// wholeSecond is the time now, rounded down. A client whose JSON numbers are
// doubles can echo it in nanoseconds: that is a multiple of 2^9, and what is
// left of it fits the 53 bits that a double has until the year 2116.
func (s *Sessions) wholeSecond() time.Time { return s.now().Truncate(time.Second) }

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrSessionInvalid, why) }
