// Package plainjson reads JSON (RFC 8259) as [encoding/json] writes it where nothing
// has to be escaped: no space between the tokens, and the fields in the order in which
// they are asked for. It is for texts that are read with every call, of which
// encoding/json would take a large part of the time; what is not plain is left to that.
package plainjson

import "encoding/base64"

// Reader reads a text from its beginning on. Once something else is there than was
// asked for, it has failed, and what it gives means nothing. What it has given once
// [Reader.Done] reports true is what encoding/json reads, and shares no memory with the
// text. It is not safe for concurrent use.
type Reader struct {
	rest   []byte
	failed bool
}

// NewReader returns a reader of text.
func NewReader(text []byte) *Reader { return &Reader{rest: text} }

// Skip passes what is next if it is that, and reports whether it was.
func (r *Reader) Skip(that string) bool {
	if len(r.rest) < len(that) || string(r.rest[:len(that)]) != that {
		return false
	}
	r.rest = r.rest[len(that):]
	return true
}

// Expect passes that.
func (r *Reader) Expect(that string) { r.failed = !r.Skip(that) || r.failed }

// quoted reads a string that stands for itself.
func (r *Reader) quoted() []byte {
	if r.Expect(`"`); r.failed {
		return nil
	}
	for i, c := range r.rest {
		switch {
		case c == '"':
			quoted := r.rest[:i]
			r.rest = r.rest[i+1:]
			return quoted
		case c < ' ', c == '\\', c > '~':
			r.failed = true
			return nil
		}
	}
	r.failed = true
	return nil
}

// Text reads a string of printable ASCII.
func (r *Reader) Text() string { return string(r.quoted()) }

// Bytes reads a string of base64 with padding.
func (r *Reader) Bytes() []byte {
	decoded, err := base64.StdEncoding.AppendDecode([]byte{}, r.quoted())
	r.failed = r.failed || err != nil
	return decoded
}

// Number reads a decimal number of at most limit, without leading zeros.
func (r *Reader) Number(limit uint64) (n uint64) {
	digits := 0
	for digits < len(r.rest) && '0' <= r.rest[digits] && r.rest[digits] <= '9' {
		digit := uint64(r.rest[digits] - '0')
		if n > (limit-digit)/10 {
			r.failed = true
			return 0
		}
		n, digits = 10*n+digit, digits+1
	}
	if digits == 0 || digits > 1 && r.rest[0] == '0' {
		r.failed = true
	}
	r.rest = r.rest[digits:]
	return n
}

// Done reports whether the whole text was what was asked for.
func (r *Reader) Done() bool { return !r.failed && len(r.rest) == 0 }
