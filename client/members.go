package client

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// Member is one guardian of a cluster, as a roster or a list has it.
type Member struct {
	// NodeID is 1 to 63 of [a-z0-9-], Index the share index for life, 1 to 255.
	NodeID string
	Index  int
	// URL is that of [Guardian.URL], "" where it is not known.
	URL string
	// Key is the public key of the node key.
	Key ed25519.PublicKey
}

// ErrInvalidList reports a list of guardians that no honest guardian gives.
// Errors that wrap it quote nothing of it that could drive a terminal.
var ErrInvalidList = errors.New("invalid list of guardians")

// maxURL bounds the URL of a member, in bytes.
const maxURL = 512

// MembersOf returns the members that a guardian lists, in order of index. Nobody
// vouches for them: a list is to be used only when its user has confirmed it,
// and another one only when confirmed anew. A member that has not registered has
// no URL. Error: ErrInvalidList, where anything of a member is out of bounds or
// another's too, or there are more than 255 or none.
func MembersOf(list []api.GuardianInfo) ([]Member, error) {
	members, err := membersOf(list)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		switch {
		case m.Index == 0:
			return nil, invalidList("%s has no share index: it has not joined a cluster", m.NodeID)
		case m.Key == nil:
			return nil, invalidList("%s has no node key", m.NodeID)
		}
	}
	return members, nil
}

// Locate returns the members of a roster, which the caller has verified, with the
// URLs that a guardian's list has for just their node ids. For everything else
// the roster counts. A URL is a hint: that somebody answers there proves nothing.
// What does not fit is left out and told, a line each: members without a URL and
// guardians that are not in the roster. Error: ErrInvalidList, as with MembersOf.
func Locate(roster []Member, list []api.GuardianInfo) (located []Member, told []string, err error) {
	hints, err := membersOf(list)
	if err != nil {
		return nil, nil, err
	}
	byNode := map[string]Member{}
	for _, hint := range hints {
		byNode[hint.NodeID] = hint
	}
	for _, m := range roster {
		hint := byNode[m.NodeID]
		delete(byNode, m.NodeID)
		m.URL = hint.URL
		switch {
		case hint.Key != nil && !hint.Key.Equal(m.Key):
			m.URL = ""
			told = append(told, m.NodeID+" has another key there than in the roster")
		case hint.URL == "":
			told = append(told, m.NodeID+" has no URL there")
		}
		located = append(located, m)
	}
	for _, hint := range hints {
		if _, left := byNode[hint.NodeID]; left {
			told = append(told, hint.NodeID+" is not in the roster")
		}
	}
	return located, told, nil
}

// membersOf reads a list in which an index may be 0 and a key missing.
func membersOf(list []api.GuardianInfo) ([]Member, error) {
	if len(list) == 0 || len(list) > api.MaxThreshold {
		return nil, invalidList("it has %d guardians, 1 to %d are possible", len(list), api.MaxThreshold)
	}
	var members []Member
	for i, info := range list {
		m, err := memberOf(info)
		if err != nil {
			return nil, invalidList("guardian %d: %w", i+1, err)
		}
		members = append(members, m)
	}
	if what := repeated(members); what != "" {
		return nil, invalidList("two guardians have the same %s", what)
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.NodeID, b.NodeID))
	})
	return members, nil
}

// memberOf reads one entry. A key that it does not give is nil.
func memberOf(info api.GuardianInfo) (Member, error) {
	m := Member{NodeID: info.NodeID, Index: info.Index, Key: nodeKeyOf(info.NodeKey)}
	switch {
	case !manifest.ValidNode(info.NodeID):
		return m, errors.New("its node id is not 1 to 63 of a-z, 0-9 and -")
	case info.Index < 0 || info.Index > api.MaxThreshold:
		return m, fmt.Errorf("its share index is not 1 to %d", api.MaxThreshold)
	case m.Key == nil && info.NodeKey != "":
		return m, fmt.Errorf("its node key is not %d hex digits", hex.EncodedLen(ed25519.PublicKeySize))
	case info.URL == "":
		return m, nil
	case len(info.URL) > maxURL || strings.ContainsFunc(info.URL, func(r rune) bool { return r <= ' ' || r > '~' }):
		return m, fmt.Errorf("its URL is not at most %d of printable ASCII", maxURL)
	}
	base, err := memberURL(info.URL)
	if err != nil {
		return m, err
	}
	m.URL = base.String()
	return m, nil
}

var hostNames = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)

// memberURL reads a URL that comes from others: it wants all that [New] wants,
// the scheme too, and a host and port that there can be.
func memberURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		return nil, errors.New("its URL does not begin with http:// or https://")
	}
	base, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(base.Hostname())
	if !hostNames.MatchString(base.Hostname()) && (err != nil || address.Zone() != "") {
		return nil, errors.New("the host of its URL is neither a name nor an address")
	}
	if port, err := strconv.ParseUint(base.Port(), 10, 16); base.Port() != "" && (err != nil || port == 0) {
		return nil, errors.New("the port of its URL is not 1 to 65535")
	}
	return base, nil
}

// checkMembers wants a whole member for each of the guardians of a vault, in
// their order, and indices that are theirs, or nil.
func checkMembers(members []Member, guardians []*Guardian, indices []int) error {
	if len(members) != len(guardians) {
		return fmt.Errorf("%d members for %d guardians: give one each", len(members), len(guardians))
	}
	if indices != nil && !slices.Equal(indices, indicesOf(members)) {
		return errors.New("the share indices given are not those of the members")
	}
	for i, m := range members {
		switch {
		case !manifest.ValidNode(m.NodeID):
			return fmt.Errorf("member %d: its node id is not 1 to 63 of a-z, 0-9 and -", i+1)
		case len(m.Key) != ed25519.PublicKeySize:
			return fmt.Errorf("member %s has no node key", m.NodeID)
		case m.URL != "" && !sameURL(m.URL, guardians[i]):
			return fmt.Errorf("member %s is not at %s: give members and URLs in the same order", m.NodeID, guardians[i].URL())
		}
	}
	if what := repeated(members); what != "" {
		return fmt.Errorf("two members have the same %s", what)
	}
	return nil
}

func sameURL(raw string, guardian *Guardian) bool {
	base, err := parseURL(raw)
	return err == nil && base.String() == guardian.URL()
}

func indicesOf(members []Member) (indices []int) {
	for _, m := range members {
		indices = append(indices, m.Index)
	}
	return indices
}

// repeated names what two members have in common, "" for nothing.
func repeated(members []Member) string {
	taken := map[string]bool{}
	for _, m := range members {
		for what, value := range map[string]string{
			"node id": m.NodeID, "share index": indexText(m.Index), "URL": m.URL, "node key": string(m.Key),
		} {
			if value != "" && taken[what+value] {
				return what
			}
			taken[what+value] = true
		}
	}
	return ""
}

// indexText is "" for no index.
func indexText(index int) string {
	if index == 0 {
		return ""
	}
	return strconv.Itoa(index)
}

func invalidList(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidList, fmt.Errorf(format, args...))
}
