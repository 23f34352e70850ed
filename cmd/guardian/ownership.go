package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

var errFullyOpen = errors.New("this would be a fully open server: configure a bearer token or ownership, or pass --unauthenticated")

var ownerships = map[string]guardian.Ownership{
	"required": guardian.OwnershipRequired,
	"sticky":   guardian.OwnershipSticky,
	"off":      guardian.OwnershipOff,
}

// ownershipMode is Ownership, or what there must be at least: where nobody is
// asked for a token, everybody must prove what is theirs.
func (c *Config) ownershipMode() string {
	switch {
	case c.Ownership != "":
		return c.Ownership
	case c.hasTokens() || bool(c.Unauthenticated):
		return "sticky"
	}
	return "required"
}

func (c *Config) ownership() guardian.Ownership { return ownerships[c.ownershipMode()] }

func (c *Config) checkOwnership(bad *problems) {
	mode, known := ownerships[c.ownershipMode()]
	bad.require("GUARDIAN_OWNERSHIP", known, "use required, sticky or off")
	if known && mode != guardian.OwnershipRequired && !c.hasTokens() && !bool(c.Unauthenticated) {
		*bad = append(*bad, errFullyOpen)
	}
	bad.require("GUARDIAN_PROOF", c.OldestProof == auth.V1 || c.OldestProof == auth.V2, "use 1 or 2")
	var err error
	c.audiences, err = parseAudiences(c.Audiences)
	bad.check("GUARDIAN_AUDIENCES", err)
}

func parseAudiences(list string) (audiences []string, err error) {
	elements, err := parseList(list)
	for _, element := range elements {
		audience, err := auth.ParseAudience(element)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", element, err)
		}
		audiences = append(audiences, audience)
	}
	return audiences, err
}

// parseList splits a list at its commas. A blank list has no elements.
func parseList(list string) (elements []string, err error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	for element := range strings.SplitSeq(list, ",") {
		elements = append(elements, strings.TrimSpace(element))
	}
	if slices.Contains(elements, "") {
		return nil, errors.New("an element of the list is empty")
	}
	return elements, nil
}

// allAudiences are the names that a caller may have dialled this guardian by,
// which listens on address.
func (c *Config) allAudiences(address string) []string {
	audiences := audiencesOf(address)
	if c.AdvertiseURL != "" {
		audiences = advertisedAudience(c.AdvertiseURL)
	}
	return append(audiences, c.audiences...)
}

func advertisedAudience(advertised string) []string {
	dialled, err := url.Parse(advertised)
	if err != nil {
		return nil // validated
	}
	audience, err := auth.AudienceOf(dialled)
	if err != nil {
		return nil // validated
	}
	return []string{audience}
}

// audiencesOf are the names of an address that is listened on: itself, where it
// is of loopback the other names of loopback too, and where it is every address
// those and the name of the host. What cannot be an audience is left out, an
// address with a zone for instance.
func audiencesOf(address string) (audiences []string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	hosts := []string{host}
	ip, _ := netip.ParseAddr(host) // a name is no address
	if ip.IsUnspecified() || ip.IsLoopback() || host == localhost {
		hosts = append(hosts, "127.0.0.1", "::1", localhost)
	}
	if ip.IsUnspecified() {
		hosts = append(hosts, hostName(host))
	}
	for _, host := range hosts {
		audience, err := auth.ParseAudience(net.JoinHostPort(host, port))
		if err == nil && !slices.Contains(audiences, audience) {
			audiences = append(audiences, audience)
		}
	}
	return audiences
}

const localhost = "localhost"

// hostName is the name of this machine, or what stands in for it.
func hostName(otherwise string) string {
	name, err := os.Hostname()
	if err != nil {
		return otherwise
	}
	return name
}
