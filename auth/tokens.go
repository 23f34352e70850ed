// Package auth decides who is calling: bearer tokens, each of which belongs to
// an actor. It keeps no token, only digests, and compares in constant time.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBlank reports an actor or a token without a visible character.
	ErrBlank = errors.New("blank actor or token")
	// ErrDuplicate reports an actor or a token that was given twice.
	ErrDuplicate = errors.New("duplicate actor or token")
)

// Tokens knows the actors by the SHA-256 digests of their tokens. It is
// immutable, so safe for concurrent use; a nil *Tokens knows nobody.
type Tokens struct{ entries []entry }

type entry struct {
	digest [sha256.Size]byte
	actor  string
}

// NewTokens takes the token of each actor. Surrounding space is dropped. A
// blank or a duplicate actor or token is refused (ErrBlank, ErrDuplicate); the
// error never quotes a token.
func NewTokens(tokenOf map[string]string) (*Tokens, error) {
	t := &Tokens{}
	for actor, token := range tokenOf {
		if err := t.add(strings.TrimSpace(actor), strings.TrimSpace(token)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Tokens) add(actor, token string) error {
	if actor == "" || token == "" {
		return fmt.Errorf("%w (actor %q)", ErrBlank, actor)
	}
	e := entry{sha256.Sum256([]byte(token)), actor}
	for _, other := range t.entries {
		if other.actor == e.actor || other.digest == e.digest {
			return fmt.Errorf("%w (actors %q and %q)", ErrDuplicate, other.actor, e.actor)
		}
	}
	t.entries = append(t.entries, e)
	return nil
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
