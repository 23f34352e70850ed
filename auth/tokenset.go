package auth

import (
	"errors"
	"sync/atomic"
)

// ErrNobody reports a set of tokens that knows nobody, where one is needed.
var ErrNobody = errors.New("no token at all")

// TokenSet holds the Tokens that count now. They can be replaced while it is in
// use; reading takes no lock. It is safe for concurrent use; a nil *TokenSet
// knows nobody.
type TokenSet struct{ current atomic.Pointer[Tokens] }

// NewTokenSet starts with tokens, which may be nil.
func NewTokenSet(tokens *Tokens) *TokenSet {
	s := &TokenSet{}
	s.current.Store(tokens)
	return s
}

// Replace makes tokens count from now on, all of them at once. One that is
// empty is refused (ErrNobody) and the last stay: without any token a guardian
// asks for none, so a secret emptied by mistake would open it. Once a TokenSet
// knows somebody, it is therefore never empty again.
func (s *TokenSet) Replace(tokens *Tokens) error {
	if tokens.Empty() {
		return ErrNobody
	}
	s.current.Store(tokens)
	return nil
}

// Empty reports whether no actor is known.
func (s *TokenSet) Empty() bool { return s.tokens().Empty() }

// Actor returns whose token it is, as Tokens.Actor does.
func (s *TokenSet) Actor(token string) (actor string, ok bool) { return s.tokens().Actor(token) }

func (s *TokenSet) tokens() *Tokens {
	if s == nil {
		return nil
	}
	return s.current.Load()
}
