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
	prefixShares     = "shares/"
	prefixQuarantine = "quarantine/"
)

// Slot names what a share is kept for: an identity of 64 lower-case hex
// digits. It is comparable.
type Slot struct {
	Identity string
}

// Short is the slot in log lines and error messages: the first 8 digits.
// Whoever reads a whole identity that was made from a passphrase could test
// passphrases against it.
func (s Slot) Short() string { return s.Identity[:min(8, len(s.Identity))] }

func (s Slot) prefix() string        { return prefixShares + s.Identity + "/" }
func (s Slot) commitKey() string     { return s.prefix() + "version" }
func (s Slot) quarantineKey() string { return prefixQuarantine + prefixShares + s.Identity }

func (s Slot) shareKey(g generation) string    { return s.prefix() + g.String() + "/share.bin" }
func (s Slot) checksumKey(g generation) string { return s.prefix() + g.String() + "/checksum.bin" }

// slotOfGroup reads a slot from `shares/<identity>/`.
func slotOfGroup(key string) (Slot, bool) {
	identity, isGroup := strings.CutSuffix(strings.TrimPrefix(key, prefixShares), "/")
	return Slot{identity}, isGroup && isHex(identity, 64)
}

// generation names the stored objects of one attempt to write a version:
// `<version>-<attempt>`.
type generation struct {
	version uint64
	attempt string // 12 hex digits, drawn anew for each attempt
}

const attemptDigits = 12

func (g generation) String() string {
	return strconv.FormatUint(g.version, 10) + "-" + g.attempt
}

func parseGeneration(s string) (generation, error) {
	digits, attempt, _ := strings.Cut(s, "-")
	version, err := parseVersion(digits)
	if err != nil || !isHex(attempt, attemptDigits) {
		return generation{}, fmt.Errorf("%q is not a generation", s)
	}
	return generation{version, attempt}, nil
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
	return cmp.Or(cmp.Compare(a.version, b.version), strings.Compare(a.attempt, b.attempt))
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}
