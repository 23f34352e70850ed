package limit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ParsePrefixes reads ranges of addresses in CIDR form and single addresses,
// separated by commas, with or without spaces: "10.0.0.0/8, ::1". Of a blank
// list it makes none. It refuses what would hold other addresses than its
// author thought of: an address inside a range in place of its first
// (10.0.0.1/8), IPv4 written as IPv6, a zone, an empty element. The error
// quotes the element and says what to write.
func ParsePrefixes(list string) ([]netip.Prefix, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var prefixes []netip.Prefix
	for element := range strings.SplitSeq(list, ",") {
		prefix, err := parsePrefix(strings.TrimSpace(element))
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if single, notSingle := netip.ParseAddr(text); notSingle == nil && single.Zone() == "" {
		prefix, err = single.Prefix(single.BitLen())
	}
	switch {
	case text == "":
		return netip.Prefix{}, fmt.Errorf("an element of the list is empty")
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a range such as 10.0.0.0/8 or 2001:db8::/32", text)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 written as IPv6: write it as IPv4", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is an address inside a range: write %s for the range or %s for the address", text, prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

// contains is false for an invalid address.
func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// canonical is the form in which prefixes are compared with an address.
func canonical(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
