package auth_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/auth"
)

func challenge(t testing.TB, s *auth.Sessions, identity string) auth.Challenge {
	t.Helper()
	c, err := s.Challenge(identity)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChallengesDiffer(t *testing.T) {
	s, _ := newSessions()
	if one, two := challenge(t, s, alice), challenge(t, s, alice); one.Nonce == two.Nonce || one.Tag == two.Tag {
		t.Errorf("%+v, %+v", one, two)
	}
}

func TestChallengeNeedsIdentity(t *testing.T) {
	s, _ := newSessions()
	for _, identity := range []string{"", alice[:63], alice + "0", alice[:63] + "g", alice[:63] + ":", alice + "\n"} {
		if c, err := s.Challenge(identity); !errors.Is(err, auth.ErrSessionInvalid) || c != (auth.Challenge{}) {
			t.Errorf("%q: %+v, %v", identity, c, err)
		}
	}
}

func TestChangedChallenges(t *testing.T) {
	s, _ := newSessions()
	for name, change := range map[string]func(*auth.Challenge){
		"another identity": func(c *auth.Challenge) { c.Identity = bob },
		"no identity":      func(c *auth.Challenge) { c.Identity = "" },
		"another nonce":    func(c *auth.Challenge) { c.Nonce = strings.Repeat("0", 64) },
		"no nonce":         func(c *auth.Challenge) { c.Nonce = "" },
		"later":            func(c *auth.Challenge) { c.CreatedNS += int64(time.Second) },
		"later by a bit":   func(c *auth.Challenge) { c.CreatedNS++ },
		"far later":        func(c *auth.Challenge) { c.CreatedNS = math.MaxInt64 },
		"far earlier":      func(c *auth.Challenge) { c.CreatedNS = math.MinInt64 },
		"fields shifted":   func(c *auth.Challenge) { c.Identity, c.Nonce = c.Identity+c.Nonce[:1], c.Nonce[1:] },
		"forged tag":       func(c *auth.Challenge) { c.Tag = strings.Repeat("0", 64) },
		"truncated tag":    func(c *auth.Challenge) { c.Tag = c.Tag[:62] },
		"odd tag":          func(c *auth.Challenge) { c.Tag = c.Tag[:63] },
		"long tag":         func(c *auth.Challenge) { c.Tag += "00" },
		"no tag":           func(c *auth.Challenge) { c.Tag = "" },
		"tag not hex":      func(c *auth.Challenge) { c.Tag = strings.Repeat("g", 64) },
		"tag of a session": func(c *auth.Challenge) { c.Tag = open(t, s, alice).Tag },
	} {
		c := challenge(t, s, alice)
		change(&c)
		if session, err := s.Open(c); !errors.Is(err, auth.ErrSessionInvalid) || session != (auth.Session{}) {
			t.Errorf("%s: %+v, %v", name, session, err)
		}
	}
}

// A client in JavaScript reads every number as a double and writes the shortest
// digits that read back as the same double, without an exponent below 1e21.
func TestDoublesEcho(t *testing.T) {
	const handshakes = 10_000
	s, clock := newSessions()
	start := time.Now()
	step := time.Unix(4102444800, 0).Sub(start) / handshakes // until 2100
	for i := range handshakes {
		clock.Time = start.Add(time.Duration(i+1) * step)
		c := challenge(t, s, alice)
		c.CreatedNS = throughDouble(t, c.CreatedNS)
		session, err := s.Open(c)
		if err != nil {
			t.Fatalf("at %v: %v", clock.Time, err)
		}
		session.ExpiryNS = throughDouble(t, session.ExpiryNS)
		if _, err := s.Check(session.Token()); err != nil {
			t.Fatalf("at %v: %v", clock.Time, err)
		}
	}
}

func throughDouble(t *testing.T, ns int64) int64 {
	t.Helper()
	double, err := strconv.ParseFloat(strconv.FormatInt(ns, 10), 64)
	if err != nil {
		t.Fatal(err)
	}
	echoed, err := strconv.ParseInt(strconv.FormatFloat(double, 'f', -1, 64), 10, 64)
	if err != nil || echoed != ns || int64(double) != ns || ns%int64(time.Second) != 0 {
		t.Fatalf("%d comes back as %d, %v", ns, echoed, err)
	}
	return echoed
}
