package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/auth"
)

var (
	alice = strings.Repeat("a1", 32)
	bob   = strings.Repeat("b0", 32)
	noon  = time.Unix(1763714400, 0)
)

// keys tags under the first key of a node and checks under all.
type keys struct {
	node string
	ring []string
	err  error
}

func (k *keys) Tag(label string, parts ...[]byte) ([]byte, error) {
	return k.tag(k.ring[0], label, parts), k.err
}

func (k *keys) CheckTag(label string, tag []byte, parts ...[]byte) bool {
	for _, key := range k.ring {
		if hmac.Equal(tag, k.tag(key, label, parts)) {
			return true
		}
	}
	return false
}

func (k *keys) tag(key, label string, parts [][]byte) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = fmt.Fprintf(mac, "%q %q %q", k.node, label, parts)
	return mac.Sum(nil)
}

// clock is set by hand.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newSessions() (*auth.Sessions, *clock) {
	c := &clock{noon}
	return auth.NewSessions(&keys{node: "g1", ring: []string{"k1"}}, c.now), c
}

func open(t testing.TB, s *auth.Sessions, identity string) auth.Session {
	t.Helper()
	session, err := s.Open(challenge(t, s, identity))
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestSession(t *testing.T) {
	s, clock := newSessions()
	clock.Time = noon.Add(999 * time.Millisecond)
	for _, identity := range []string{alice, strings.ToUpper(alice), alice[:32] + strings.ToUpper(alice[32:])} {
		c := challenge(t, s, identity)
		if c.Identity != identity || len(c.Nonce) != 64 || len(c.Tag) != 64 || c.CreatedNS != noon.UnixNano() {
			t.Errorf("challenge %+v", c)
		}
		folded := c
		folded.Identity = alice
		if _, err := s.Open(folded); err != nil {
			t.Errorf("asked for %s, answered in lower case: %v", identity, err)
		}
		session, err := s.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if session.Identity != identity || session.ExpiryNS != noon.Add(time.Hour).UnixNano() || len(session.Tag) != 64 {
			t.Errorf("session %+v", session)
		}
		want := identity + ":1763718000000000000:" + session.Tag
		if got := session.Token(); got != want {
			t.Errorf("token %s, want %s", got, want)
		}
		if got, err := s.Check(session.Token()); err != nil || got != alice {
			t.Errorf("the token speaks for %s, %v", got, err)
		}
	}
}

// labels tags nothing but the label.
type labels struct{ keys }

func (l *labels) Tag(label string, _ ...[]byte) ([]byte, error) { return l.keys.Tag(label) }

func (l *labels) CheckTag(label string, tag []byte, _ ...[]byte) bool {
	return l.keys.CheckTag(label, tag)
}

// Labels alone keep challenges and sessions apart.
func TestLabels(t *testing.T) {
	s := auth.NewSessions(&labels{keys{node: "g1", ring: []string{"k1"}}}, (&clock{noon}).now)
	asked, session := challenge(t, s, alice), open(t, s, alice)
	if asked.Tag, session.Tag = session.Tag, asked.Tag; asked.Tag == session.Tag {
		t.Error("both have the same tag")
	}
	if _, err := s.Open(asked); !errors.Is(err, auth.ErrSessionInvalid) {
		t.Errorf("the tag of a session answers a challenge: %v", err)
	}
	if _, err := s.Check(session.Token()); !errors.Is(err, auth.ErrSessionInvalid) {
		t.Errorf("the tag of a challenge makes a session: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		later              time.Duration
		challenge, session bool
	}{
		"at once":            {0, true, true},
		"last of challenge":  {60*time.Second - 1, true, true},
		"after challenge":    {60 * time.Second, false, true},
		"last of session":    {time.Hour - 1, false, true},
		"after session":      {time.Hour, false, false},
		"a year later":       {365 * 24 * time.Hour, false, false},
		"clock behind":       {-10 * time.Second, true, true},
		"clock far behind":   {-10*time.Second - 1, false, false},
		"clock a day behind": {-24 * time.Hour, false, false},
	} {
		s, clock := newSessions()
		asked, session := challenge(t, s, alice), open(t, s, alice)
		clock.Time = noon.Add(c.later)
		if _, err := s.Open(asked); c.challenge != (err == nil) || err != nil && !errors.Is(err, auth.ErrSessionInvalid) {
			t.Errorf("%s: challenge: %v", name, err)
		}
		if _, err := s.Check(session.Token()); c.session != (err == nil) || err != nil && !errors.Is(err, auth.ErrSessionInvalid) {
			t.Errorf("%s: session: %v", name, err)
		}
	}
}

// What one replica hands out is good on the others, after a rotation too, and
// on no other node; not even with the same keys.
func TestReplicas(t *testing.T) {
	made, _ := newSessions()
	asked, token := challenge(t, made, alice), open(t, made, alice).Token()
	for name, c := range map[string]struct {
		keys keys
		want bool
	}{
		"replica":         {keys{node: "g1", ring: []string{"k1"}}, true},
		"rotated":         {keys{node: "g1", ring: []string{"k2", "k1"}}, true},
		"old key dropped": {keys{node: "g1", ring: []string{"k2"}}, false},
		"another node":    {keys{node: "g2", ring: []string{"k1"}}, false},
	} {
		s := auth.NewSessions(&c.keys, (&clock{noon}).now)
		_, openErr := s.Open(asked)
		_, checkErr := s.Check(token)
		if c.want != (openErr == nil) || c.want != (checkErr == nil) {
			t.Errorf("%s: %v, %v", name, openErr, checkErr)
		}
	}
}

func TestFailingTagger(t *testing.T) {
	broken := &keys{node: "g1", ring: []string{"k1"}, err: errors.New("no keys")}
	s := auth.NewSessions(broken, (&clock{noon}).now)
	if c, err := s.Challenge(alice); !errors.Is(err, broken.err) || c != (auth.Challenge{}) {
		t.Errorf("%+v, %v", c, err)
	}
	working, _ := newSessions()
	if session, err := s.Open(challenge(t, working, alice)); !errors.Is(err, broken.err) || session != (auth.Session{}) {
		t.Errorf("%+v, %v", session, err)
	}
}
