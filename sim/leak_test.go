package sim

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// window is how many bytes of a share in a row nobody but its owner may see.
const window = 16

// anchor is what is looked for first: every window of a share has a whole block
// of that size in it which begins at a multiple of it.
const anchor = 8

// leaks finds parts of shares in messages.
type leaks struct {
	anchors map[uint64][]fragment
	filter  [1 << 10]uint64 // a bit for each anchor, by its low bits
}

// fragment is where an anchor lies.
type fragment struct {
	host  int
	share []byte // the payload's part, without the point
	at    int
}

func (l *leaks) learn(v *version) {
	if l.anchors == nil {
		l.anchors = map[uint64][]fragment{}
	}
	for host, share := range v.shares {
		l.learnShare(host, share)
	}
}

func (l *leaks) learnShare(host int, share []byte) {
	for at := 0; at+anchor <= len(share); at += anchor {
		block := binary.LittleEndian.Uint64(share[at:])
		l.anchors[block] = append(l.anchors[block], fragment{host, share, at})
		l.filter[block>>6&(1<<10-1)] |= 1 << (block & 63)
	}
}

// find returns whose share's window is in data, of anybody's but owner's; -1 of
// nobody's.
func (l *leaks) find(data []byte, owner int) int {
	for i := 0; i+anchor <= len(data); i++ {
		block := binary.LittleEndian.Uint64(data[i:])
		if l.filter[block>>6&(1<<10-1)]&(1<<(block&63)) == 0 {
			continue
		}
		for _, f := range l.anchors[block] {
			if f.host != owner && common(data, i, f.share, f.at) >= window {
				return f.host
			}
		}
	}
	return -1
}

// common is how many bytes around the two places are the same.
func common(a []byte, i int, b []byte, j int) int {
	length := 0
	for k := 0; i+k < len(a) && j+k < len(b) && a[i+k] == b[j+k]; k++ {
		length++
	}
	for k := 1; i-k >= 0 && j-k >= 0 && a[i-k] == b[j-k]; k++ {
		length++
	}
	return length
}

// spy reads a message as somebody on the way would, before its encryption: no
// window of a share goes to anybody but its owner.
func (w *world) spy(from, to int, body []byte) {
	if len(body) == 0 || from == outside || to == outside {
		return
	}
	w.count.Messages++
	w.look(from, to, body, 0)
}

// look searches bytes, and what is encoded in their strings.
func (w *world) look(from, to int, data []byte, depth int) {
	if whose := w.leaks.find(data, to); whose >= 0 {
		w.broken("a message from %s to %s contains a part of the share of %s", w.hosts[from].id, w.hosts[to].id, w.hosts[whose].id)
	}
	const nested = 3
	for depth < nested {
		_, after, ok := bytes.Cut(data, []byte{'"'})
		if !ok {
			return
		}
		text, rest, ok := bytes.Cut(after, []byte{'"'})
		if !ok {
			return
		}
		if len(text) >= window {
			if decoded, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
				w.look(from, to, decoded, depth+1)
			}
		}
		data = rest
	}
}
