// Package plainjson reads JSON (RFC 8259) as [encoding/json] writes it where nothing
// has to be escaped: no space between the tokens, and the fields in the order in which
// they are asked for. It is for texts that are read with every call, of which
// encoding/json would take a large part of the time; what is not plain is left to that.
package plainjson

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

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
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 || !plain(r.rest[:end]) {
		r.failed = true
		return nil
	}
	quoted := r.rest[:end]
	r.rest = r.rest[end+1:]
	return quoted
}

// plain reports whether text is printable ASCII without a backslash, eight bytes at a time.
func plain(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if !plainWord(binary.LittleEndian.Uint64(text)) {
			return false
		}
	}
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// plainWord is plain for eight bytes. In a sum, the top bit of each byte tells whether it
// has come to 0x80. Only bytes above ASCII carry to the next, and these are refused by
// beyond, or by printable if that has carried.
func plainWord(word uint64) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	printable := word + (0x80-' ')*each
	beyond := word + (0x80-0x7f)*each
	noBackslash := (word ^ '\\'*each) + 0x7f*each
	return printable&^beyond&noBackslash&top == top
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
