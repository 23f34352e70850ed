package audit

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	labelChain = "audit-chain"
	// segmentLines and maxSegmentSize, in bytes, bound one segment.
	segmentLines   = 1000
	maxSegmentSize = 1 << 20
	// chainTime is how the name of a chain begins: names sort by it.
	chainTime = "20060102T150405Z"
)

// chain is the state of a chain as its writer goes on with it. The name is part
// of what every tag covers, so that no line can be moved to another chain.
type chain struct {
	sealer Sealer
	name   string // start time and id
	number uint64 // of the last segment
	seq    uint64 // of the last line
	prev   [tagSize]byte
}

// segment is a part of a chain that is to be stored under its name just as it
// is.
type segment struct {
	name  string
	data  []byte
	lines int
	// counted is the size of its lines as lineSize has it.
	counted int
}

// newChain returns a chain and the entry of its first line.
func newChain(sealer Sealer, nodeID, program string) (chain, Entry) {
	now := time.Now().UTC()
	id := make([]byte, 8)
	rand.Read(id)
	c := chain{sealer: sealer, name: fmt.Sprintf("%s-%x", now.Format(chainTime), id)}
	return c, Entry{Time: now, Kind: Start, Chain: c.name, Node: nodeID, Program: program}
}

// seal makes the next segment, of as many of the encoded entries as it holds.
// An error is one of Seal and leaves the chain as it was.
func (c *chain) seal(bodies [][]byte) (segment, error) {
	next := *c
	next.number++
	s := segment{name: segmentName(c.name, next.number)}
	for _, body := range bodies {
		size := lineSize(body)
		if s.lines == segmentLines || s.lines > 0 && s.counted+size > maxSegmentSize {
			break
		}
		if err := next.append(&s, body); err != nil {
			return segment{}, err
		}
		s.lines++
		s.counted += size
	}
	*c = next
	return s, nil
}

func (c *chain) append(s *segment, body []byte) error {
	c.seq++
	start := len(s.data)
	s.data = appendUnsigned(s.data, c.seq, c.prev, body)
	keyID, tag, err := c.sealer.Seal(labelChain, []byte(c.name), s.data[start:])
	if err != nil {
		return fmt.Errorf("sealing line: %w", err)
	}
	copy(c.prev[:], tag)
	s.data = appendTag(s.data, keyID, c.prev)
	return nil
}

// lineSize is what an encoded entry counts for, at least the size of its line.
func lineSize(body []byte) int { return len(body) + lineOverhead }

// segmentName has as many digits as the busiest writer does not use up: one
// that stores a thousand segments a second has 8 behind it after a day.
func segmentName(chain string, number uint64) string { return fmt.Sprintf("%s/%012d", chain, number) }

var segmentNames = regexp.MustCompile(`^([0-9]{8}T[0-9]{6}Z-[0-9a-f]{16})/([0-9]{12})$`)

// parseName reads the chain and the number from the name of a segment.
func parseName(name string) (chain string, number uint64, ok bool) {
	match := segmentNames.FindStringSubmatch(name)
	if match == nil {
		return "", 0, false
	}
	number, err := strconv.ParseUint(match[2], 10, 64)
	return match[1], number, err == nil && number > 0
}
