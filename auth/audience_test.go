package auth_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/vault-guardian/guardian/auth"
)

func TestParseAudience(t *testing.T) {
	for text, want := range map[string]string{
		"g1.example.com:7500":   "g1.example.com:7500",
		"G1.Example.COM:7500":   "g1.example.com:7500",
		"guardian_1:1":          "guardian_1:1",
		"127.0.0.1:65535":       "127.0.0.1:65535",
		"g1:07500":              "g1:7500",
		"[2001:DB8::1]:7500":    "[2001:db8::1]:7500",
		"[::]:7500":             "[::]:7500",
		"[::ffff:10.0.0.1]:443": "[::ffff:10.0.0.1]:443",
	} {
		got, err := auth.ParseAudience(text)
		if err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
		if again, err := auth.ParseAudience(want); err != nil || again != want {
			t.Errorf("%q is no audience as it stands: %q, %v", want, again, err)
		}
	}
	for _, text := range []string{
		"", ":", ":7500", "g1", "g1:", "g1:0", "g1:65536", "g1:-1", "g1:+1", "g1:http", "g1:75:00", "2001:db8::1:7500",
		"[2001:db8::1]", "[fe80::1%eth0]:7500", "[a:b]:7500", "http://g1:7500", "g1:7500/", "g 1:7500", "g1:7500 ", "ä:7500", "g1\n:7500",
	} {
		if got, err := auth.ParseAudience(text); !errors.Is(err, auth.ErrAudienceMalformed) || got != "" {
			t.Errorf("%q was taken for %q, %v", text, got, err)
		}
	}
}

func TestAudienceOf(t *testing.T) {
	for dialled, want := range map[string]string{
		"http://127.0.0.1:7500":           "127.0.0.1:7500",
		"https://Vault.Example.com":       "vault.example.com:443",
		"http://vault.example.com":        "vault.example.com:80",
		"https://vault.example.com:80/x/": "vault.example.com:80",
		"HTTPS://[2001:DB8::1]":           "[2001:db8::1]:443",
		"http://[::1]:7500/":              "[::1]:7500",
	} {
		u, err := url.Parse(dialled)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auth.AudienceOf(u); err != nil || got != want {
			t.Errorf("%s has audience %q, %v; want %q", dialled, got, err, want)
		}
	}
	for _, dialled := range []string{"", "g1:7500", "/path", "ftp://g1", "http://", "http://:7500", "http://g1:0", "http://[fe80::1%25eth0]:7500"} {
		u, err := url.Parse(dialled)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auth.AudienceOf(u); !errors.Is(err, auth.ErrAudienceMalformed) {
			t.Errorf("%s has audience %q, %v", dialled, got, err)
		}
	}
}
