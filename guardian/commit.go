package guardian

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/integrity"
)

// commit is the content of a slot's `version` object, the only truth about
// the slot: a generation that it does not name was never committed or is no
// more. Its text form:
//
//	7                       the current version
//	7-9f3c0d2ab1e4          its generation, or: deleted
//	6-02ab77c1d3ee          earlier generations still retained, newest first
//	hmac k1 5e8f...         key id and HMAC over the lines above
//
// What is known of the owner follows on the second line, as in
// `7-9f3c0d2ab1e4 owned=1 proof=2 manifest=1`; nothing while nothing is known
// of a live one.
type commit struct {
	current uint64
	// live and older are the generations named; live is nil after a delete.
	live     *generation
	older    []generation
	standing standing
}

// standing is what a slot has seen of its owner, and never forgets, so as to
// go on refusing what proves less.
type standing struct {
	owned    bool // a proof of ownership
	proof    int  // the highest version of one
	manifest bool // a manifest
}

func (s standing) String() string {
	return fmt.Sprintf("owned=%d proof=%d manifest=%d", bit(s.owned), s.proof, bit(s.manifest))
}

const (
	labelCommit = "commit"
	// maxCommitSize bounds the text of a commit, in bytes.
	maxCommitSize = 8 << 10
)

var errCommitSyntax = fmt.Errorf("%w: the version object is malformed", integrity.ErrMismatch)

// named lists the generations that the commit names, newest first.
func (c *commit) named() []generation {
	if c == nil || c.live == nil {
		return nil
	}
	return append([]generation{*c.live}, c.older...)
}

func (c *commit) names(g generation) bool { return slices.Contains(c.named(), g) }

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
		next.live = &ours
		return &next
	}
	next.older = slices.Clone(c.older)
	i := slices.IndexFunc(next.older, func(g generation) bool { return g.version == ours.version })
	next.older[i] = ours
	return &next
}

func (c *commit) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", c.current)
	switch {
	case c.live == nil:
		fmt.Fprintln(&b, "deleted", c.standing)
	case c.standing != standing{}:
		fmt.Fprintln(&b, c.live, c.standing)
	default:
		fmt.Fprintln(&b, c.live)
	}
	for _, g := range c.older {
		fmt.Fprintln(&b, g)
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
	return fmt.Appendf(nil, "%shmac %s %x\n", lines, keyID, tag), nil
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
	var known string
	lines[1], known, _ = strings.Cut(lines[1], " ")
	if known != "" {
		c.standing, err = parseStanding(known)
	}
	if lines[1] != "deleted" {
		err = errors.Join(err, c.parseGenerations(lines[1:]))
	}
	// Only what this code would have written is taken.
	if err != nil || c.lines() != text {
		return nil, errCommitSyntax
	}
	return c, nil
}

func (c *commit) parseGenerations(lines []string) error {
	var named []generation
	for _, line := range lines {
		g, err := parseGeneration(line)
		if err != nil {
			return err
		}
		named = append(named, g)
	}
	descending := slices.IsSortedFunc(named, func(a, b generation) int { return compareGenerations(b, a) })
	if named[0].version != c.current || !descending {
		return errors.New("generations out of order")
	}
	c.live, c.older = &named[0], named[1:]
	return nil
}

func parseStanding(text string) (standing, error) {
	var owned, manifest, proof int
	_, err := fmt.Sscanf(text, "owned=%d proof=%d manifest=%d", &owned, &proof, &manifest)
	if proof < 0 {
		return standing{}, errCommitSyntax
	}
	return standing{owned: owned == 1, proof: proof, manifest: manifest == 1}, err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
