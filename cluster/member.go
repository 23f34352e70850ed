package cluster

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/manifest"
)

// Bounds of a member.
const (
	// MaxIndex is the highest share index. 0 is the secret itself, and 256 is 0
	// in the byte that holds the point of a share.
	MaxIndex = 255
	// MaxURL bounds a URL, in bytes.
	MaxURL = 512
	// MaxFailureDomain bounds the label of a failure domain, in bytes.
	MaxFailureDomain = 64
)

// Member is one guardian as the registry has it.
type Member struct {
	// NodeID is 1 to 63 of [a-z0-9-].
	NodeID string
	// Index is the member's share index for life, 1 to MaxIndex.
	Index int
	// ClientURL is http or https with a host, an optional port and nothing
	// else; PeerURL is https with a host and a port.
	ClientURL string
	PeerURL   string
	// PublicKey is that of the node key.
	PublicKey ed25519.PublicKey
	// FailureDomain is a label such as a region or an account, as
	// ValidFailureDomain has it, or empty.
	FailureDomain string
	// RegisteredNS is when the index was given, by the clock of the member;
	// nanoseconds since 1970.
	RegisteredNS int64
}

// ErrInvalidMember reports a member with a field out of bounds. Errors that
// wrap it name the field and quote nothing: a URL may hold a password.
var ErrInvalidMember = errors.New("invalid member")

// Check returns nil when every field is within its bounds, else an error that
// wraps ErrInvalidMember. Whoever reads a record calls it before anything else.
func (m Member) Check() error {
	if m.Index < 1 || m.Index > MaxIndex {
		return fmt.Errorf("%w: its index is not 1 to %d", ErrInvalidMember, MaxIndex)
	}
	return m.checkUnindexed()
}

// checkUnindexed is Check for a member that has no index yet.
func (m Member) checkUnindexed() error {
	switch {
	case !manifest.ValidNode(m.NodeID):
		return fmt.Errorf("%w: its node id is not 1 to 63 of a-z, 0-9 and -", ErrInvalidMember)
	case len(m.PublicKey) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: its public key has not %d bytes", ErrInvalidMember, ed25519.PublicKeySize)
	case !ValidFailureDomain(m.FailureDomain):
		return fmt.Errorf("%w: its failure domain is not at most %d of printable ASCII", ErrInvalidMember, MaxFailureDomain)
	case m.RegisteredNS < 0:
		return fmt.Errorf("%w: it was registered before 1970", ErrInvalidMember)
	}
	return m.checkURLs()
}

func (m Member) checkURLs() error {
	if err := CheckClientURL(m.ClientURL); err != nil {
		return fmt.Errorf("%w: its client URL is %w", ErrInvalidMember, err)
	}
	if err := CheckPeerURL(m.PeerURL); err != nil {
		return fmt.Errorf("%w: its peer URL is %w", ErrInvalidMember, err)
	}
	return nil
}

// CheckClientURL returns nil for what can be a Member's ClientURL, else an error
// that says "not" what, and quotes nothing.
func CheckClientURL(raw string) error {
	if u := bareURL(raw); u == nil || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("not http:// or https:// with a host, an optional port and nothing else")
	}
	return nil
}

// CheckPeerURL is CheckClientURL for a Member's PeerURL.
func CheckPeerURL(raw string) error {
	if u := bareURL(raw); u == nil || u.Scheme != "https" || u.Port() == "" {
		return errors.New("not https:// with a host, a port and nothing else")
	}
	return nil
}

var hostNames = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)

// bareURL parses a URL of scheme, host and port alone; nil if it is none.
func bareURL(raw string) *url.URL {
	if len(raw) > MaxURL {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Opaque != "" || u.Path != "" && u.Path != "/" ||
		strings.ContainsAny(raw, "?#") || !validHost(u.Hostname()) {
		return nil
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return nil
	}
	return u
}

func validHost(host string) bool {
	if hostNames.MatchString(host) {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == ""
}

// ValidFailureDomain reports whether a label can be that of a failure domain: 0
// to MaxFailureDomain bytes of printable ASCII.
func ValidFailureDomain(label string) bool {
	return len(label) <= MaxFailureDomain && !strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r > '~' })
}
