package auth

import (
	"crypto/sha256"
	"fmt"
	"regexp"
)

// message is the ASCII text that is signed. Two claims that differ in what is
// signed of them never share one: the text before the first colon tells verb
// and proof version (in V1 also whether there is a name), all fields but the
// audience are free of colons, and each text has at most one audience.
func (c Claim) message(version int) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	switch version {
	case V1:
		return []byte(c.messageV1()), nil
	case V2:
		if folded, err := ParseAudience(c.Audience); err != nil || folded != c.Audience {
			return nil, fmt.Errorf("%w: its audience is not host:port in lower case", ErrClaim)
		}
		return []byte(c.messageV2()), nil
	}
	return nil, fmt.Errorf("%w: proof version %d is unknown", ErrClaim, version)
}

var (
	identityText = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
	nameText     = regexp.MustCompile(`^[A-Za-z0-9_-]{0,128}$`)
)

func (c Claim) check() error {
	switch c.Verb {
	case Push, Pull, Delete, List:
	default:
		return fmt.Errorf("%w: its verb is unknown", ErrClaim)
	}
	if !identityText.MatchString(c.Identity) {
		return fmt.Errorf("%w: its identity is not 64 hex digits", ErrClaim)
	}
	if !nameText.MatchString(c.Name) || c.Verb == List && c.Name != "" {
		return fmt.Errorf("%w: its name is malformed", ErrClaim)
	}
	return nil
}

func (c Claim) messageV1() string {
	switch {
	case c.Verb == List:
		return fmt.Sprintf("vault-secret-list-v1:%s:%d", c.Identity, c.Time)
	case c.Verb == Push && c.Name != "":
		return fmt.Sprintf("vault-secret-put-v1:%s:%s:%d", c.Identity, c.Name, c.Version)
	case c.Verb == Pull && c.Name != "":
		return fmt.Sprintf("vault-secret-get-v1:%s:%s:%d", c.Identity, c.Name, c.Time)
	case c.Verb == Delete && c.Name != "":
		return fmt.Sprintf("vault-secret-delete-v1:%s:%s:%d", c.Identity, c.Name, c.Time)
	case c.Verb == Push:
		return fmt.Sprintf("vault-push-v1:%s:%d", c.Identity, c.Version)
	case c.Verb == Delete:
		return fmt.Sprintf("vault-delete-v1:%s:%d:%d", c.Identity, c.Version, c.Time)
	default:
		return fmt.Sprintf("vault-pull-v1:%s:%d", c.Identity, c.Time)
	}
}

func (c Claim) messageV2() string {
	if c.Verb == Push {
		return fmt.Sprintf("vault-push-v2:%s:%s:%d:%s:%x:%x", c.Identity, c.Name, c.Version, c.Audience,
			sha256.Sum256(c.Share), sha256.Sum256(c.Manifest))
	}
	return fmt.Sprintf("vault-%s-v2:%s:%s:%s:%d", c.Verb, c.Identity, c.Name, c.Audience, c.Time)
}
