package auth_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/auth"
)

func TestStrictTokens(t *testing.T) {
	s, _ := newSessions()
	session := open(t, s, alice)
	expiry := strconv.FormatInt(session.ExpiryNS, 10)
	for _, token := range []string{
		session.Token(),
		strings.ToUpper(alice) + ":" + expiry + ":" + session.Tag,
		alice + ":" + expiry + ":" + strings.ToUpper(session.Tag),
	} {
		if got, err := s.Check(token); err != nil || got != alice {
			t.Errorf("%s speaks for %q, %v", token, got, err)
		}
	}
	for name, token := range map[string]string{
		"nothing":           "",
		"colons":            "::",
		"identity alone":    alice,
		"no tag":            alice + ":" + expiry,
		"empty tag":         alice + ":" + expiry + ":",
		"a fourth field":    session.Token() + ":",
		"another identity":  bob + ":" + expiry + ":" + session.Tag,
		"short identity":    alice[:62] + ":" + expiry + ":" + session.Tag,
		"no identity":       ":" + expiry + ":" + session.Tag,
		"plus":              alice + ":+" + expiry + ":" + session.Tag,
		"minus":             alice + ":-" + expiry + ":" + session.Tag,
		"leading zero":      alice + ":0" + expiry + ":" + session.Tag,
		"underscore":        alice + ":1_" + expiry[1:] + ":" + session.Tag,
		"fraction":          alice + ":" + expiry + ".0:" + session.Tag,
		"exponent":          alice + ":1763718e12:" + session.Tag,
		"hex expiry":        alice + ":0x187a0a1f2b3c4d5e:" + session.Tag,
		"other digits":      alice + ":" + strings.Replace(expiry, "1", "\u0661", 1) + ":" + session.Tag,
		"no expiry":         alice + "::" + session.Tag,
		"zero":              alice + ":0:" + session.Tag,
		"later":             alice + ":1763718001000000000:" + session.Tag,
		"last":              alice + ":9223372036854775807:" + session.Tag,
		"overflow":          alice + ":9223372036854775808:" + session.Tag,
		"far overflow":      alice + ":99999999999999999999:" + session.Tag,
		"space before":      " " + session.Token(),
		"space after":       session.Token() + " ",
		"line after":        session.Token() + "\n",
		"line before":       "\n" + session.Token(),
		"space within":      alice + ": " + expiry + ":" + session.Tag,
		"truncated tag":     alice + ":" + expiry + ":" + session.Tag[:62],
		"long tag":          session.Token() + "00",
		"forged tag":        alice + ":" + expiry + ":" + strings.Repeat("0", 64),
		"tag not hex":       alice + ":" + expiry + ":" + strings.Repeat("g", 64),
		"tag of challenge":  alice + ":" + expiry + ":" + challenge(t, s, alice).Tag,
		"tag of bob":        alice + ":" + expiry + ":" + open(t, s, bob).Tag,
		"semicolons":        strings.ReplaceAll(session.Token(), ":", ";"),
		"twice":             session.Token() + session.Token(),
		"two, with a comma": session.Token() + ", " + session.Token(),
	} {
		got, err := s.Check(token)
		if !errors.Is(err, auth.ErrSessionInvalid) || got != "" {
			t.Errorf("%s: it speaks for %q, %v", name, got, err)
		} else if strings.Contains(err.Error(), session.Tag[:16]) || strings.Contains(err.Error(), alice[:8]) {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
}

// Of all texts only the token itself is taken, in whatever case its hex is.
func FuzzSessionToken(f *testing.F) {
	s, _ := newSessions()
	session := open(f, s, alice)
	for _, token := range []string{
		session.Token(), strings.ToUpper(session.Token()), session.Token() + " ", alice + ":+1763718000000000000:" + session.Tag,
		alice + ":01763718000000000000:" + session.Tag, alice + ":9223372036854775808:" + session.Tag, bob + ":1763718000000000000:" + session.Tag,
		alice + ":1763718000000000000:" + session.Tag[:62], "::", "",
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := s.Check(token)
		if genuine := strings.ToLower(token) == session.Token(); genuine != (err == nil) {
			t.Fatalf("%q: %v", token, err)
		}
		if err != nil && (identity != "" || !errors.Is(err, auth.ErrSessionInvalid)) || err == nil && identity != alice {
			t.Fatalf("%q speaks for %q, %v", token, identity, err)
		}
	})
}
