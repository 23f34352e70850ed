package repair

import (
	"bytes"

	"github.com/vault-guardian/guardian/guardian"
)

// lineKind says what a line of an inbox file is.
type lineKind int

const (
	lineEmpty lineKind = iota // blank, or a comment
	lineEntry
	lineBad
)

// inboxLine is one line of a file: `identity` or `identity name`, with an
// optional comment behind #.
type inboxLine struct {
	kind lineKind
	slot guardian.Slot
	end  int // of the line in the file
}

// maxInboxLine is more than an entry can have, and bounds what is looked at of
// one that has no end.
const maxInboxLine = 1 << 10

// parseInboxLine reads a line; a byte order mark before the first is passed over.
func parseInboxLine(text []byte, first bool, end int) inboxLine {
	if first {
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	}
	text, _, _ = bytes.Cut(text, []byte("#"))
	if text = bytes.Trim(text, " \t\r\n"); len(text) == 0 {
		return inboxLine{kind: lineEmpty, end: end}
	}
	line := inboxLine{kind: lineBad, end: end}
	if len(text) > maxInboxLine {
		return line
	}
	fields := bytes.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	slot := guardian.Slot{Identity: string(fields[0])}
	if len(fields) > 1 {
		slot.Name = string(fields[1])
	}
	if len(fields) <= 2 && slot.Valid() {
		line.kind, line.slot = lineEntry, slot
	}
	return line
}
