package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// localhost is the one name that no DNS server may answer for (RFC 6761
// section 6.3).
const localhost = "localhost"

// Loopback reports whether bind, as host:port, is an address of this machine
// alone: a loopback address or localhost. Any other needs tokens and TLS.
func Loopback(bind string) bool {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, localhost)
}

// checkHost refuses requests that were not addressed to an IP address or
// localhost.
//
// Loopback keeps other machines away, but not the browser on this one: a page
// of evil.example may send requests to evil.example, and the owner of that name
// may let it resolve to 127.0.0.1 once the page is loaded (DNS rebinding). To
// the browser that is still the page's own origin, and the page could read heap
// dumps. What it cannot change is the Host header, which says evil.example. A
// page that was loaded from an IP address or from localhost is no way in: there
// is no name to rebind.
func checkHost(host string) error {
	if addressedLocally(host) {
		return nil
	}
	return &refusal{
		http.StatusForbidden, "forbidden_host",
		"without tokens the admin plane answers requests to an IP address or localhost only",
	}
}

// addressedLocally judges a Host header: a host, and maybe a port.
func addressedLocally(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, localhost)
}

// checkOrigin refuses what a page of another origin lets a browser send. Such a
// page cannot read the answer, but without this it could make the process
// reload, with the token that a browser remembers. Reads are let through: they
// change nothing.
func (s *server) checkOrigin(request *http.Request) error {
	if err := s.origins.Check(request); err != nil {
		return &refusal{http.StatusForbidden, "forbidden_origin", err.Error()}
	}
	return nil
}
