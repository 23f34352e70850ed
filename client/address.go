package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// parseURL turns what a user writes for a guardian into its base URL, host in
// lower case and without a trailing slash. Errors never repeat the input: it
// may hold a password.
func parseURL(raw string) (*url.URL, error) {
	raw = strings.TrimSpace(raw)
	if !strings.Contains(raw, "://") {
		if !loopback(raw) {
			return nil, errors.New("write http:// or https:// before the host, for example https://guardian-1.example:7500")
		}
		raw = "http://" + raw
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL, expected for example https://guardian-1.example:7500")
	}
	return parsed, checkURL(parsed)
}

func checkURL(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("a URL must not hold a user name or password: use a bearer token")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("scheme %q is not http or https", u.Scheme)
	case u.Hostname() == "":
		return errors.New("the host is missing, expected for example https://guardian-1.example:7500")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("a URL must end with its path: no ? and no #")
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":"+defaultPort(u))
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return nil
}

// defaultPort is what a URL need not name, or "" where it names another.
func defaultPort(u *url.URL) string {
	if usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == usual {
		return usual
	}
	return ""
}

// loopback reports whether s is host:port of this very machine, the one case
// in which plain HTTP may be assumed.
func loopback(s string) bool {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
