package backend_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

func TestValidKey(t *testing.T) {
	long := strings.Repeat("abcdefg/", 63)
	for key, want := range map[string]bool{
		"a":                             true,
		"shares/0a/version":             true,
		"A-Z_a.z/0":                     true,
		"a..b/c.":                       true,
		"integrity-canary":              true,
		"a/x.key":                       true,
		"x.keys":                        true,
		"key":                           true,
		strings.Repeat("a", 200):        true,
		strings.Repeat("a", 201):        false,
		"a/" + strings.Repeat("a", 201): false,
		long + "abcdefgh":               true,
		long + "abcdefgh/":              false,
		long + "abcdefghi":              false,
		"":                              false,
		"/":                             false,
		"/a":                            false,
		"a/":                            false,
		"a//b":                          false,
		".":                             false,
		"..":                            false,
		"a/../b":                        false,
		".tmp/a":                        false,
		"a/.b":                          false,
		"x.key":                         false,
		"x.key/a":                       false,
		".key":                          false,
		"a b":                           false,
		"a\\b":                          false,
		"a\x00":                         false,
		"caf\u00e9":                     false,
		"a\xff":                         false,
	} {
		if got := backend.ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %v", key, got)
		}
	}
}

// FuzzValidKey compares with the grammar written once more.
func FuzzValidKey(f *testing.F) {
	const segment = `[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}`
	grammar := regexp.MustCompile(`\A` + segment + `(/` + segment + `)*\z`)
	for _, seed := range []string{"a", "a/b", "a.key", "a/b.key", ".a", "a/.b", "a//b", "../a", "\u00e9", strings.Repeat("a/", 256)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		first, _, _ := strings.Cut(key, "/")
		want := len(key) <= 512 && grammar.MatchString(key) && !strings.HasSuffix(first, ".key")
		if got := backend.ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %v, want %v", key, got, want)
		}
	})
}

func TestRevision(t *testing.T) {
	one := backend.NewRevision("one")
	for _, test := range []struct {
		name      string
		rev       backend.Revision
		zero, any bool
		token     string
	}{
		{"zero", backend.Revision{}, true, false, ""},
		{"any", backend.AnyRevision, false, true, ""},
		{"of a backend", one, false, false, "one"},
	} {
		if test.rev.IsZero() != test.zero || test.rev.IsAny() != test.any || test.rev.Token() != test.token {
			t.Errorf("%s: IsZero %v, IsAny %v, Token %q", test.name, test.rev.IsZero(), test.rev.IsAny(), test.rev.Token())
		}
	}
	if one != backend.NewRevision("one") || one == backend.NewRevision("two") || backend.AnyRevision == (backend.Revision{}) {
		t.Error("revisions do not compare by ==")
	}
}
