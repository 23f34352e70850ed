package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxTokensSize bounds the text of a token set, in bytes.
const MaxTokensSize = 64 << 10

// ErrMalformed reports a text that is no token set.
var ErrMalformed = errors.New(`not a JSON object {"actor":"token"}`)

// ParseTokens reads `{"actor":"token"}`. Refused are a text that is longer than
// MaxTokensSize, anything but one object of strings, an object without an actor
// (ErrMalformed), and what NewTokens refuses, an actor that stands twice in the
// object included (ErrBlank, ErrDuplicate, ErrInvisible). Errors never quote a
// token, nor what may be a token in an actor's place. Nothing of text is kept:
// the caller may clear it.
func ParseTokens(text []byte) (*Tokens, error) {
	switch {
	case len(text) > MaxTokensSize:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrMalformed, MaxTokensSize)
	case !utf8.Valid(text):
		// The decoder would put the same U+FFFD in place of any such byte.
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrMalformed)
	case !json.Valid(text):
		// What a syntax error quotes may be of a token.
		return nil, fmt.Errorf("%w: it is not JSON", ErrMalformed)
	}
	t, err := parsePairs(json.NewDecoder(bytes.NewReader(text)))
	if err == nil && t.Empty() {
		return nil, fmt.Errorf("%w: it names no actor", ErrMalformed)
	}
	return t, err
}

// parsePairs reads token by token, because a map would hide that a key stands
// twice. The text is known to be valid JSON, so that only types can be wrong.
func parsePairs(decoder *json.Decoder) (*Tokens, error) {
	if start, _ := decoder.Token(); start != json.Delim('{') {
		return nil, fmt.Errorf("%w: it is not an object", ErrMalformed)
	}
	t := &Tokens{}
	for decoder.More() {
		key, _ := decoder.Token()
		value, _ := decoder.Token()
		actor, _ := key.(string)
		token, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("%w: the token of %s is not a string", ErrMalformed, called(actor, len(t.entries)))
		}
		if err := t.add(actor, token); err != nil {
			return nil, err
		}
	}
	return t, nil
}
