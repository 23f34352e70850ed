package auth

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// ErrAudienceMalformed reports an audience that is not host:port.
var ErrAudienceMalformed = errors.New("audience is not host:port with a port from 1 to 65535, an IPv6 address in brackets and without a zone")

// AudienceOf is the audience of a guardian that is dialled by an http or https
// URL: host:port in lower case, the scheme's port when it names none. Client
// and guardian both get it here, so that they agree. Error:
// ErrAudienceMalformed.
func AudienceOf(dialled *url.URL) (string, error) {
	port := dialled.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[dialled.Scheme]
	}
	return ParseAudience(net.JoinHostPort(dialled.Hostname(), port))
}

// ParseAudience folds host:port to lower case. The host is not resolved, and an
// address is not rewritten: audiences are compared as they are written. Error:
// ErrAudienceMalformed.
func ParseAudience(text string) (string, error) {
	host, port, err := net.SplitHostPort(strings.ToLower(text))
	if err != nil || !validHost(host) {
		return "", ErrAudienceMalformed
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", ErrAudienceMalformed
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), nil
}

var hostName = regexp.MustCompile(`^[a-z0-9._-]+$`)

func validHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Zone() == ""
	}
	return hostName.MatchString(host)
}
