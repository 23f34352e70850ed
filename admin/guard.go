package admin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// localhost is the one name that no DNS server may answer for (RFC 6761
// section 6.3).
const localhost = "localhost"

// LoopbackOnly returns nil if bind, as host:port, is an address of this machine
// alone: a loopback address or localhost. Otherwise the error says so; it is
// for the operator who chose bind. What would have to guard the plane beyond
// loopback, a token of an actor whose name starts with "admin", does not exist
// yet.
func LoopbackOnly(bind string) error {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return errors.New("not host:port")
	}
	if address, err := netip.ParseAddr(host); err == nil && address.IsLoopback() || strings.EqualFold(host, localhost) {
		return nil
	}
	return errors.New("this version serves the admin plane on loopback only: use 127.0.0.1, [::1] or localhost as its host")
}

// refuseNamedHosts refuses requests that were not addressed to an IP address or
// localhost.
//
// Loopback keeps other machines away, but not the browser on this one: a page
// of evil.example may send requests to evil.example, and the owner of that name
// may let it resolve to 127.0.0.1 once the page is loaded (DNS rebinding). To
// the browser that is still the page's own origin, and the page could read heap
// dumps. What it cannot change is the Host header, which says evil.example. A
// page that was loaded from an IP address or from localhost is no way in: there
// is no name to rebind.
func refuseNamedHosts(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !addressedLocally(c.Request().Host) {
			return &refusal{
				http.StatusForbidden, "forbidden_host",
				"the admin plane answers requests to an IP address or localhost only",
			}
		}
		return next(c)
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

// refuseCrossOrigin refuses requests that a page of another origin lets a
// browser send. Such a page cannot read the answer, but without this it could
// make the process reload. Reads are let through: they change nothing.
func refuseCrossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return &refusal{http.StatusForbidden, "forbidden_origin", err.Error()}
		}
		return next(c)
	}
}
