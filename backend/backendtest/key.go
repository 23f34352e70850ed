package backendtest

import (
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

var invalidKeys = []string{
	"", ".", "..", "../a", "a/..", "a/../b", "a/./b", "/", "/a", "a/", "a//b",
	".a", ".tmp/a", "a/.b", "a/.b/c", "a.key", ".key", "a.key/b",
	"a b", "a\\b", "..\\a", "a\x00b", "a\nb", "a:b", "a%2fb", "a*", "a?b", "~a+b",
	"caf\u00e9", "\u202ea", "a\xff", "\u2215a",
	strings.Repeat("a", 201), "a/" + strings.Repeat("a", 201),
	strings.Repeat("abcdefg/", 64) + "a",
}

var validKeys = []string{
	"a", "0", "-", "_", "a..b", "a.", "-a", "_a", "x.keys", "x.key.", "d/x.key", "key", "d/key",
	"A-Z_a.z/0", "con", "d/nul", strings.Repeat("b", 200),
	"c/" + strings.Repeat("abcdefg/", 63) + "abcdef",
}

var keyTests = []conformanceTest{
	{"valid keys are taken and listed", func(t *testing.T, s storage) {
		b := s.open(t)
		for _, key := range validKeys {
			b.create(t, key, "at "+brief([]byte(key)))
		}
		for _, key := range validKeys {
			b.mustHold(t, key, "at "+brief([]byte(key)))
		}
		wantKeys(t, b.mustList(t, "", ""), validKeys)
		for _, key := range validKeys {
			b.mustDelete(t, key, backend.AnyRevision)
		}
		wantKeys(t, b.mustList(t, "", ""), nil)
	}},
	{"invalid key is refused and changes nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "b", "one")
		for _, key := range invalidKeys {
			b.mustRefuse(t, key, "two", backend.Revision{}, backend.ErrInvalidKey)
			b.mustRefuse(t, key, "two", backend.AnyRevision, backend.ErrInvalidKey)
			wantError(t, b.Delete(t.Context(), key, backend.AnyRevision), backend.ErrInvalidKey)
			_, _, err := b.Get(t.Context(), key)
			wantError(t, err, backend.ErrInvalidKey)
		}
		wantKeys(t, b.mustList(t, "", ""), []string{"b"})
	}},
	{"prefix of no valid key lists nothing", func(t *testing.T, s storage) {
		b := s.open(t)
		b.create(t, "a/b/c", "one")
		for _, prefix := range []string{"/", "..", "../", "./", "a//", "a/../", "a/./", "a/b/..", ".tmp/", "a\x00", "a.key/", "a/b/c/", "a/b/c/d", "z/y/"} {
			wantKeys(t, b.mustList(t, prefix, ""), nil)
			wantKeys(t, b.mustListSegments(t, prefix, ""), nil)
		}
	}},
}
