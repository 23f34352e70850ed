package repair

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

const (
	// maxCursor bounds a cursor's object, in bytes.
	maxCursor = 64 << 10
	// maxBadLines bounds the numbers of bad lines that are kept; all are counted.
	maxBadLines = 10
)

// cursor is how far a file of the inbox has been queued, and is kept in
// taken/<name>.
type cursor struct {
	// Offset is in bytes, and the counts are of what is before it.
	Offset  int `json:"offset"`
	Lines   int `json:"lines"`
	Entries int `json:"entries"`
	Bad     int `json:"bad"`
	// BadLines are the numbers of the first of them, from 1.
	BadLines []int `json:"bad_lines,omitempty"`
	// Before is SHA-256 of the bytes before Offset: a file in which they are
	// others is another file.
	Before []byte `json:"before"`
	// Whole is SHA-256 of the file as it was seen first at SeenNS.
	Whole  []byte `json:"whole"`
	SeenNS int64  `json:"seen_ns"`
	Nonce  string `json:"nonce"`

	name string
	rev  backend.Revision
}

// readCursor returns the cursor of a file that holds data now: at its start if
// there is none, or one that does not belong to such a file.
func (b *inbox) readCursor(ctx context.Context, name string, data []byte) (cursor, error) {
	stored, rev, err := b.store.Get(ctx, prefixTaken+name)
	if absent(err) {
		return cursor{name: name}, nil
	}
	if err != nil && !errors.Is(err, backend.ErrTooLarge) {
		return cursor{}, err
	}
	var c cursor
	switch {
	case err != nil:
		rev = backend.AnyRevision
	case len(stored) > maxCursor, json.Unmarshal(stored, &c) != nil:
		err = errors.New("broken cursor")
	case !c.fits(data):
		err = errors.New("the file was changed before what was taken in of it")
	}
	if err != nil {
		b.log.Warn("a file in the inbox of the repair queue is taken in from its start", "file", name, "error", err)
		c = cursor{}
	}
	c.name, c.rev = name, rev
	return c, nil
}

func (b *inbox) writeCursor(ctx context.Context, c *cursor) error {
	c.Nonce = rand.Text()
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	c.rev, err = b.store.Put(ctx, prefixTaken+c.name, data, c.rev)
	return err
}

// fits reports whether the cursor was made for a file that begins like data.
func (c *cursor) fits(data []byte) bool {
	if c.Offset < 0 || c.Offset > len(data) || c.Lines < 0 || c.Entries < 0 || c.Bad < 0 ||
		c.Lines > c.Offset || c.Entries+c.Bad > c.Lines || len(c.BadLines) > min(c.Bad, maxBadLines) || c.Bad > 0 && len(c.BadLines) == 0 {
		return false
	}
	sum := sha256.Sum256(data[:c.Offset])
	return c.Offset == 0 || bytes.Equal(c.Before, sum[:])
}

// see notes the file as it is, and reports whether it was another before.
func (c *cursor) see(data []byte, now time.Time) bool {
	if c.sees(data) && c.SeenNS <= now.UnixNano() {
		return false
	}
	sum := sha256.Sum256(data)
	c.Whole, c.SeenNS = sum[:], now.UnixNano()
	return true
}

// sees reports whether data is what was noted last.
func (c *cursor) sees(data []byte) bool {
	sum := sha256.Sum256(data)
	return bytes.Equal(c.Whole, sum[:])
}

// settled reports whether the file has been as it is for a poll: whoever writes
// it has most likely ended.
func (c *cursor) settled(data []byte, now time.Time, poll time.Duration) bool {
	return c.sees(data) && now.Sub(time.Unix(0, c.SeenNS)) >= poll
}

// over reports whether nothing more is to be taken in of the file as it is.
func (c *cursor) over(data []byte, now time.Time, poll time.Duration) bool {
	return c.Offset == len(data) && c.settled(data, now, poll)
}

// next returns the next batch of lines behind the cursor; the last of the file only
// if it ends, or last is set.
func (c *cursor) next(data []byte, last bool) []inboxLine {
	var lines []inboxLine
	for at := c.Offset; at < len(data) && len(lines) < inboxBatch; {
		length := bytes.IndexByte(data[at:], '\n') + 1
		if length == 0 && !last {
			break
		}
		end := at + length
		if length == 0 {
			end = len(data)
		}
		lines = append(lines, parseInboxLine(data[at:end], at == 0, end))
		at = end
	}
	return lines
}

// pass moves the cursor behind lines; before is the hash of all up to there.
func (c *cursor) pass(lines []inboxLine, before []byte) {
	c.BadLines = slices.Clone(c.BadLines)
	for _, line := range lines {
		c.Lines++
		c.Offset = line.end
		switch line.kind {
		case lineEntry:
			c.Entries++
		case lineBad:
			c.Bad++
			if len(c.BadLines) < maxBadLines {
				c.BadLines = append(c.BadLines, c.Lines)
			}
		case lineEmpty:
		}
	}
	c.Before = before
}
