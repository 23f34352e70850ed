// Package auth decides who is calling and whose share a call is about. Bearer
// tokens (RFC 6750) say who may use this guardian. Ownership proofs (Ed25519,
// RFC 8032), and the sessions that a challenge leads to, say whose share it is.
//
// Of a token it keeps a digest only. Secrets, that is tokens and tags, are
// compared in constant time; identities, public keys and audiences are not
// secret. No error quotes a token, a tag, a key or a signature.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrBlank reports an actor or a token without a visible character.
	ErrBlank = errors.New("blank actor or token")
	// ErrDuplicate reports an actor or a token that was given twice.
	ErrDuplicate = errors.New("duplicate actor or token")
	// ErrInvisible reports an actor or a token with a character that cannot be
	// seen (a control character, a zero-width space) or is not UTF-8.
	ErrInvisible = errors.New("invisible character in actor or token")
)

// Tokens knows the actors by the SHA-256 digests of their tokens. It is
// immutable, so safe for concurrent use; a nil *Tokens knows nobody.
type Tokens struct{ entries []entry }

type entry struct {
	digest [sha256.Size]byte
	actor  string
}

// NewTokens takes the token of each actor. Surrounding space is dropped. A
// blank, a duplicate or an invisible actor or token is refused (ErrBlank,
// ErrDuplicate, ErrInvisible); the error never quotes a token.
func NewTokens(tokenOf map[string]string) (*Tokens, error) {
	t := &Tokens{}
	for _, actor := range slices.Sorted(maps.Keys(tokenOf)) {
		if err := t.add(actor, tokenOf[actor]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Merge returns a set that knows the actors of both; either may be nil. An
// actor or a token that both have is refused (ErrDuplicate).
func (t *Tokens) Merge(other *Tokens) (*Tokens, error) {
	merged := &Tokens{}
	for _, from := range []*Tokens{t, other} {
		if from.Empty() {
			continue
		}
		for _, e := range from.entries {
			if err := merged.insert(e); err != nil {
				return nil, err
			}
		}
	}
	return merged, nil
}

func (t *Tokens) add(actor, token string) error {
	actor, token = strings.TrimSpace(actor), strings.TrimSpace(token)
	switch {
	case actor == "" || token == "":
		return fmt.Errorf("%w (%s)", ErrBlank, called(actor, len(t.entries)))
	case !visible(actor) || !visible(token):
		return fmt.Errorf("%w (%s)", ErrInvisible, called(actor, len(t.entries)))
	}
	return t.insert(entry{sha256.Sum256([]byte(token)), actor})
}

func (t *Tokens) insert(e entry) error {
	for i, other := range t.entries {
		if other.actor == e.actor || subtle.ConstantTimeCompare(other.digest[:], e.digest[:]) == 1 {
			return fmt.Errorf("%w (%s and %s)", ErrDuplicate, called(other.actor, i), called(e.actor, len(t.entries)))
		}
	}
	t.entries = append(t.entries, e)
	return nil
}

func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) })
}

// plainActor is shorter than a token should be.
var plainActor = regexp.MustCompile(`^[A-Za-z0-9._-]{1,15}$`)

// called names an actor in an error. One that is long or has unusual characters
// may be a token that was written in the actor's place: then its place in the
// set has to do.
func called(actor string, index int) string {
	if plainActor.MatchString(actor) {
		return fmt.Sprintf("actor %q", actor)
	}
	return fmt.Sprintf("actor %d", index+1)
}

// Empty reports whether no actor is known.
func (t *Tokens) Empty() bool { return t == nil || len(t.entries) == 0 }

// Actor returns whose token it is. It compares digests, with all entries and
// without an early exit, so its time tells nothing about what nearly matched.
func (t *Tokens) Actor(token string) (actor string, ok bool) {
	if t.Empty() {
		return "", false
	}
	digest := sha256.Sum256([]byte(token))
	found := -1
	for i := range t.entries {
		same := subtle.ConstantTimeCompare(digest[:], t.entries[i].digest[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return "", false
	}
	return t.entries[found].actor, true
}
