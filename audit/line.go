package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"
)

// Kind says what a line is.
type Kind string

const (
	// Start begins a chain.
	Start Kind = "start"
	// Decision is the line of an event.
	Decision Kind = "decision"
	// Lost tells how many lines were dropped at this place.
	Lost Kind = "lost"
	// End closes a chain.
	End Kind = "end"
)

// Entry is what a line tells.
type Entry struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`

	// The next three are those of a Start.
	Chain   string `json:"chain,omitempty"`
	Node    string `json:"node,omitempty"`
	Program string `json:"program,omitempty"`

	// Lost is the number of a Lost.
	Lost uint64 `json:"lost,omitempty"`

	// What follows is that of a Decision, as in Event. Identity and Name are
	// digests under the key DigestKey, 16 hex digits each.
	RequestID string  `json:"request_id,omitempty"`
	Actor     string  `json:"actor,omitempty"`
	Action    Action  `json:"action,omitempty"`
	Identity  string  `json:"identity,omitempty"`
	Name      string  `json:"name,omitempty"`
	DigestKey string  `json:"digest_key,omitempty"`
	Version   *uint64 `json:"version,omitempty"`
	Status    int     `json:"status,omitempty"`
	Code      string  `json:"code,omitempty"`
	Remote    string  `json:"remote,omitempty"`
}

// Line is one line of a chain.
type Line struct {
	// Seq counts the lines of a chain from 1.
	Seq uint64 `json:"seq"`
	// Prev is the tag of the line before, zeros in the first.
	Prev string `json:"prev"`
	Entry
	// Key is the id of the key that made Tag.
	Key string `json:"key"`
	// Tag is the HMAC, in hex, over the name of the chain and over the bytes
	// of the line that stand before `,"key"`.
	Tag string `json:"tag"`
}

const (
	tagSize   = 32
	tagDigits = 2 * tagSize
	// lineOverhead is at least what sealing adds to an encoded entry: a
	// sequence number, two tags, a key id, and the JSON around them.
	lineOverhead = 256

	keyField = `,"key":"`
	tagField = `","tag":"`
	lineEnd  = `"}`
)

// encode is the JSON of an entry.
func encode(entry Entry) []byte {
	body, _ := json.Marshal(entry) // strings and numbers cannot fail
	return body
}

// appendUnsigned appends the part of a line that the tag covers.
func appendUnsigned(dst []byte, seq uint64, prev [tagSize]byte, body []byte) []byte {
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"prev":"`...)
	dst = hex.AppendEncode(dst, prev[:])
	dst = append(dst, `",`...)
	return append(dst, body[1:len(body)-1]...)
}

// appendTag appends the rest.
func appendTag(dst []byte, keyID string, tag [tagSize]byte) []byte {
	dst = append(dst, keyField...)
	dst = append(dst, keyID...)
	dst = append(dst, tagField...)
	dst = hex.AppendEncode(dst, tag[:])
	return append(dst, lineEnd+"\n"...)
}

var errSyntax = errors.New("not a line of an audit log")

// parseLine reads a line without its newline, and splits it into the part that
// the tag covers and the tag. A line has one such reading.
func parseLine(raw []byte) (line Line, covered, tag []byte, err error) {
	rest, ended := bytes.CutSuffix(raw, []byte(lineEnd))
	split := len(rest) - tagDigits
	if !ended || split < 0 {
		return Line{}, nil, nil, errSyntax
	}
	rest, tagText := rest[:split], rest[split:]
	rest, hasTag := bytes.CutSuffix(rest, []byte(tagField))
	at := bytes.LastIndex(rest, []byte(keyField))
	if !hasTag || at < 0 {
		return Line{}, nil, nil, errSyntax
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return Line{}, nil, nil, fmt.Errorf("%w: %w", errSyntax, err)
	}
	tag, err = hex.DecodeString(line.Tag)
	// Text has more than one spelling in JSON, and so has hex: one is ours.
	if err != nil || hex.EncodeToString(tag) != string(tagText) || line.Key != string(rest[at+len(keyField):]) {
		return Line{}, nil, nil, errSyntax
	}
	return line, rest[:at], tag, nil
}

// Lines yields the lines of a segment as they stand there, verified or not. In
// place of each that is none it yields an error, and goes on.
func Lines(data []byte) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for raw := range bytes.Lines(data) {
			line, _, _, err := parseLine(bytes.TrimSuffix(raw, []byte("\n")))
			if !yield(line, err) {
				return
			}
		}
	}
}
