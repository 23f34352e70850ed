package guardian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/integrity"
)

// commit is the content of a slot's `version` object, the only truth about
// the slot: a generation that it does not name was never committed or is no
// more. Its text form:
//
//	7                       the current version
//	7-9f3c0d2ab1e4          its generation, or: deleted, or: moved-e3-<record>
//	6-02ab77c1d3ee          earlier generations still retained, newest first
//	hmac k1 5e8f...         key id and HMAC over the lines above
//
// What is known of the owner follows on the second line, as in
// `7-9f3c0d2ab1e4 owned=1 proof=2 manifest=1`; nothing while nothing is known
// of a live one.
type commit struct {
	current uint64
	// live and older are the generations named; live is nil after a delete, and
	// where the current version has moved away. Nothing is named after a delete.
	live     *generation
	moved    *departure
	older    []generation
	standing standing
}

// departure is how a version has left a node: by the record of that epoch,
// which gives its points to others.
type departure struct {
	epoch  uint64
	record [sha256.Size]byte
}

const departed = "moved-"

func (d departure) String() string {
	return fmt.Sprintf("%s%s%d-%x", departed, epochMark, d.epoch, d.record)
}

func parseDeparture(text string) (d departure, err error) {
	epoch, hash, _ := strings.Cut(strings.TrimPrefix(text, departed), "-")
	if d.epoch, err = parseEpoch(epoch); err != nil {
		return departure{}, err
	}
	record, err := hex.DecodeString(hash)
	if err != nil || len(record) != len(d.record) {
		return departure{}, errors.New("not a record")
	}
	d.record = [sha256.Size]byte(record)
	return d, nil
}

// standing is what a slot has seen of its owner, and never forgets, so as to
// go on refusing what proves less.
type standing struct {
	owned    bool // a proof of ownership
	proof    int  // the highest version of one
	manifest bool // a manifest
	// from is the lowest version that can be here: one more than the last that
	// was deleted.
	from uint64
}

func (s standing) String() string {
	text := "owned=" + strconv.Itoa(bit(s.owned)) + " proof=" + strconv.Itoa(s.proof) + " manifest=" + strconv.Itoa(bit(s.manifest))
	if s.from > 0 {
		text += fromMark + strconv.FormatUint(s.from, 10)
	}
	return text
}

const fromMark = " from="

const (
	labelCommit = "commit"
	// maxCommitSize bounds the text of a commit, in bytes.
	maxCommitSize = 8 << 10
)

var errCommitSyntax = fmt.Errorf("%w: the version object is malformed", integrity.ErrMismatch)

// named lists the generations that the commit names, newest first.
func (c *commit) named() []generation {
	switch {
	case c == nil:
		return nil
	case c.live == nil:
		return slices.Clip(c.older)
	}
	return append([]generation{*c.live}, c.older...)
}

// deleted reports a tombstone.
func (c *commit) deleted() bool { return c != nil && c.live == nil && c.moved == nil }

// departedAt returns how a version has moved away, nil where it has not.
func (c *commit) departedAt(version uint64) *departure {
	if c == nil || c.current != version {
		return nil
	}
	return c.moved
}

func (c *commit) names(g generation) bool {
	return c != nil && (c.live != nil && *c.live == g || slices.Contains(c.older, g))
}

// find returns the named generation of a version.
func (c *commit) find(version uint64) (generation, bool) {
	named := c.named()
	i := slices.IndexFunc(named, func(g generation) bool { return g.version == version })
	if i < 0 {
		return generation{}, false
	}
	return named[i], true
}

// with is the commit with another generation in the place of the one of its
// version.
func (c *commit) with(ours generation) *commit {
	next := *c
	if ours.version == c.current {
		next.live, next.moved = &ours, nil
		return &next
	}
	next.older = slices.Clone(c.older)
	i := slices.IndexFunc(next.older, func(g generation) bool { return g.version == ours.version })
	next.older[i] = ours
	return &next
}

func (c *commit) lines() string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(c.current, 10) + "\n")
	switch {
	case c.moved != nil:
		b.WriteString(c.moved.String() + " " + c.standing.String())
	case c.live == nil:
		b.WriteString("deleted " + c.standing.String())
	case c.standing != standing{}:
		b.WriteString(c.live.String() + " " + c.standing.String())
	default:
		b.WriteString(c.live.String())
	}
	b.WriteByte('\n')
	for _, g := range c.older {
		b.WriteString(g.String() + "\n")
	}
	return b.String()
}

// sealCommit renders the commit for its slot.
func sealCommit(sealer *integrity.Sealer, slot Slot, c *commit) ([]byte, error) {
	lines := c.lines()
	keyID, tag, err := sealer.Seal(labelCommit, commitParts(sealer, slot, lines)...)
	if err != nil {
		return nil, err
	}
	return []byte(lines + "hmac " + keyID + " " + hex.EncodeToString(tag) + "\n"), nil
}

// openCommit checks and parses a `version` object. Errors:
// integrity.ErrMismatch, integrity.ErrKeyUnknown.
func openCommit(ctx context.Context, sealer *integrity.Sealer, slot Slot, data []byte) (*commit, error) {
	text := string(data)
	at := strings.LastIndex(text, "hmac ")
	if len(text) > maxCommitSize || at < 1 {
		return nil, errCommitSyntax
	}
	keyID, tagHex, found := strings.Cut(strings.TrimPrefix(text[at:], "hmac "), " ")
	tag, err := hex.DecodeString(strings.TrimSuffix(tagHex, "\n"))
	// Hex has two spellings of a digit and text two of an end: one is ours.
	if !found || err != nil || fmt.Sprintf("%x\n", tag) != tagHex {
		return nil, errCommitSyntax
	}
	if err := sealer.Open(ctx, labelCommit, keyID, tag, commitParts(sealer, slot, text[:at])...); err != nil {
		return nil, fmt.Errorf("opening version object: %w", err)
	}
	return parseCommit(text[:at])
}

// commitParts is what the HMAC covers.
func commitParts(sealer *integrity.Sealer, slot Slot, lines string) [][]byte {
	return [][]byte{[]byte(sealer.NodeID()), []byte(slot.Identity), []byte(slot.Name), []byte(lines)}
}

// parseCommit reads the lines above the HMAC.
func parseCommit(text string) (*commit, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 {
		return nil, errCommitSyntax
	}
	current, err := parseVersion(lines[0])
	if err != nil {
		return nil, errCommitSyntax
	}
	c := &commit{current: current}
	state, known, _ := strings.Cut(lines[1], " ")
	if known != "" {
		c.standing, err = parseStanding(known)
	}
	err = errors.Join(err, c.parseState(state, lines[2:]))
	// Only what this code would have written is taken.
	if err != nil || c.lines() != text {
		return nil, errCommitSyntax
	}
	return c, nil
}

// parseState reads what has become of the current version, and what is retained
// behind it.
func (c *commit) parseState(state string, older []string) (err error) {
	switch {
	case state == "deleted":
		return nil
	case strings.HasPrefix(state, departed):
		moved, errMoved := parseDeparture(state)
		c.moved, err = &moved, errMoved
	default:
		live, errLive := parseGeneration(state)
		if c.live, err = &live, errLive; live.version != c.current {
			return errors.New("the first generation is of another version")
		}
	}
	below := c.current
	for _, line := range older {
		g, errOlder := parseGeneration(line)
		if errOlder != nil || g.version >= below {
			return errors.New("generations out of order")
		}
		c.older, below = append(c.older, g), g.version
	}
	return err
}

// parseStanding is lenient: who asks compares with what String makes of it.
func parseStanding(text string) (known standing, err error) {
	text, from, marked := strings.Cut(text, fromMark)
	if marked {
		known.from, err = parseVersion(from)
	}
	for field := range strings.SplitSeq(text, " ") {
		name, value, _ := strings.Cut(field, "=")
		number, errNumber := strconv.Atoi(value)
		if errNumber != nil || number < 0 {
			return standing{}, errCommitSyntax
		}
		switch name {
		case "owned":
			known.owned = number == 1
		case "proof":
			known.proof = number
		case "manifest":
			known.manifest = number == 1
		}
	}
	return known, err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
