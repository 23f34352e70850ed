package guardian

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Keys of a node that belong to no slot.
const (
	keyCanary        = "integrity-canary"
	keyMembership    = "cluster/membership"
	prefixShares     = "shares/"
	prefixVaults     = "vaults/"
	prefixQuarantine = "quarantine/"
	prefixAudit      = "audit/"
	prefixQueue      = "queue/"
)

// Slot names what a share is kept for: an identity of 64 lower-case hex
// digits, and the name of a secret of that identity, or "" for the one share
// that is kept under the identity alone. A name is 1 to 128 of [A-Za-z0-9_-].
// Slots are comparable.
type Slot struct {
	Identity string
	Name     string
}

// Valid reports whether something can be kept for the slot.
func (s Slot) Valid() bool {
	return isHex(s.Identity, 64) && (s.Name == "" || ValidName(s.Name))
}

// Short is the slot in log lines and error messages: the first 8 digits.
// Whoever reads a whole identity that was made from a passphrase could test
// passphrases against it.
func (s Slot) Short() string { return s.Identity[:min(8, len(s.Identity))] }

// place is the slot as a key without a slash at its end.
func (s Slot) place() string { return strings.TrimSuffix(s.prefix(), "/") }

// vaultOf is where the named secrets of an identity lie.
func vaultOf(identity string) string { return prefixVaults + identity + "/" }

func (s Slot) prefix() string {
	if s.Name == "" {
		return prefixShares + s.Identity + "/"
	}
	return vaultOf(s.Identity) + s.Name + "/"
}

func (s Slot) commitKey() string     { return s.prefix() + "version" }
func (s Slot) quarantineKey() string { return prefixQuarantine + s.place() }

func (s Slot) shareKey(g generation) string    { return s.prefix() + g.String() + "/share.bin" }
func (s Slot) checksumKey(g generation) string { return s.prefix() + g.String() + "/checksum.bin" }

// parseSlot reads a slot from its place.
func parseSlot(place string) (Slot, bool) {
	if identity, ok := strings.CutPrefix(place, prefixShares); ok {
		return Slot{Identity: identity}, isHex(identity, 64)
	}
	rest, ok := strings.CutPrefix(place, prefixVaults)
	identity, name, _ := strings.Cut(rest, "/")
	return Slot{identity, name}, ok && isHex(identity, 64) && ValidName(name)
}

// MaxNameLength bounds the name of a secret, in bytes.
const MaxNameLength = 128

// ValidName reports whether a secret can have the name.
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxNameLength && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// generation names the stored objects of one attempt to write a version:
// `<version>-<attempt>`, and `<version>-e<epoch>-<attempt>` of what a
// redistribution has made.
type generation struct {
	version, epoch uint64
	// attempt is 12 hex digits, drawn anew for each attempt, behind an `m` when
	// it was made by Mend: cleaning must tell those, see obsolete.
	attempt string
}

const (
	attemptDigits = 12
	mendMark      = "m"
	epochMark     = "e"
)

func (g generation) mended() bool { return strings.HasPrefix(g.attempt, mendMark) }

// isPrepared tells what a redistribution has made before it was certified.
func (g generation) isPrepared() bool { return g.epoch > 0 && !g.mended() }

func (g generation) String() string {
	if g.epoch > 0 {
		return fmt.Sprintf("%d-%s%d-%s", g.version, epochMark, g.epoch, g.attempt)
	}
	text := append(strconv.AppendUint(make([]byte, 0, 64), g.version, 10), '-')
	return string(append(text, g.attempt...))
}

func parseGeneration(s string) (g generation, err error) {
	digits, rest, _ := strings.Cut(s, "-")
	g.version, err = parseVersion(digits)
	epoch, attempt, redistributed := strings.Cut(rest, "-")
	if g.attempt = attempt; !redistributed {
		g.attempt = rest
	} else if err == nil {
		g.epoch, err = parseEpoch(epoch)
	}
	if err != nil || !isHex(strings.TrimPrefix(g.attempt, mendMark), attemptDigits) {
		return generation{}, fmt.Errorf("%q is not a generation", s)
	}
	return g, nil
}

// parseEpoch reads the epoch of a redistribution behind its mark.
func parseEpoch(s string) (uint64, error) {
	digits, marked := strings.CutPrefix(s, epochMark)
	epoch, err := parseVersion(digits)
	if err != nil || !marked || epoch == 0 {
		return 0, fmt.Errorf("%q is not an epoch", s)
	}
	return epoch, nil
}

// parseVersion reads a version in its one canonical form.
func parseVersion(s string) (uint64, error) {
	version, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(version, 10) != s {
		return 0, fmt.Errorf("%q is not a version", s)
	}
	return version, nil
}

func compareGenerations(a, b generation) int {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.epoch, b.epoch), strings.Compare(a.attempt, b.attempt))
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}
