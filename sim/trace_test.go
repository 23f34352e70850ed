package sim

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"regexp"
	"strings"
	"time"
)

// traceTail is how many lines a failure shows.
const traceTail = 150

// trace is what happened in a run: a hash of all, and the end of it.
type trace struct {
	hash hash.Hash64
	tail [traceTail]line
	n    int
	full func(string) // gets every line, for a replay; may be nil
}

type line struct {
	at   time.Time
	text string
	fate fate
}

func (t *trace) add(text string, f fate) {
	now := time.Now()
	_ = binary.Write(t.hash, binary.BigEndian, now.UnixNano())
	_, _ = io.WriteString(t.hash, text)
	_, _ = t.hash.Write([]byte{byte(f)})
	l := line{now, text, f}
	t.tail[t.n%traceTail] = l
	t.n++
	if t.full != nil {
		t.full(l.String())
	}
}

func newTrace() trace { return trace{hash: fnv.New64a()} }

var longHex = regexp.MustCompile(`([0-9a-f]{8})[0-9a-f]{56}`)

func (l line) String() string {
	return fmt.Sprintf("%s %c %s", l.at.Format("15:04:05.000000"), l.fate, longHex.ReplaceAllString(l.text, "$1"))
}

// String is the end of the trace.
func (t *trace) String() string {
	var b strings.Builder
	for i := max(0, t.n-traceTail); i < t.n; i++ {
		fmt.Fprintln(&b, t.tail[i%traceTail])
	}
	return b.String()
}
