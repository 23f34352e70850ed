package limit

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
)

const (
	// maxHops bounds how many elements of X-Forwarded-For are looked at. No
	// client can use them up: what it sends is to the left of its own address,
	// at which the walk ends.
	maxHops = 64
	// maxHop is longer than any address with brackets, zone and port.
	maxHop = 128
)

// ClientAddr returns the address of the client, IPv4 never as IPv6 and without
// a zone, or an invalid one when remoteAddr ([net/http.Request.RemoteAddr]) has
// none.
//
// It is the peer's, unless the peer is a trusted proxy. Then the lines of
// X-Forwarded-For count as one list, which is read from the right, where each
// proxy adds the address of its own peer: the first that is not that of a
// trusted proxy is the client's. So nothing a client sends can change what is
// found, as long as each trusted proxy adds to the header or replaces it, and
// no client has a trusted address. At an element that is not an address, and
// at the end of the list, the last trusted proxy found stands for the client.
// Elements may have ports and brackets, and empty ones are skipped (RFC 9110,
// 5.6.1.2).
func ClientAddr(remoteAddr string, xForwardedFor []string, trusted []netip.Prefix) netip.Addr {
	client, _ := parseHop(remoteAddr)
	for hop := range hops(xForwardedFor) {
		if !contains(trusted, client) {
			break
		}
		before, ok := parseHop(hop)
		if !ok {
			break
		}
		client = before
	}
	return client
}

// hops yields the elements of a list that are not empty, from the last.
func hops(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		left := maxHops
		for _, line := range slices.Backward(lines) {
			for line != "" {
				comma := strings.LastIndexByte(line, ',')
				hop := strings.Trim(line[comma+1:], " \t")
				line = line[:max(comma, 0)]
				if left--; left < 0 || hop != "" && !yield(hop) {
					return
				}
			}
		}
	}
}

// parseHop reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and
// [2001:db8::1]:80.
func parseHop(text string) (netip.Addr, bool) {
	if len(text) > maxHop {
		return netip.Addr{}, false
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return canonical(addr), true
	}
	if strings.HasSuffix(text, "]") {
		text += ":0"
	}
	withPort, err := netip.ParseAddrPort(text)
	return canonical(withPort.Addr()), err == nil
}
