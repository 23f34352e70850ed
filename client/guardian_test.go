package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

const token = "a-token-of-the-tests"

// guardianAt is a client of a server that answers in just this way.
func guardianAt(t *testing.T, answer http.HandlerFunc) (*client.Guardian, string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	guardian, err := client.New(server.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	return guardian, server.URL
}

func pull(t *testing.T, guardian *client.Guardian) error {
	t.Helper()
	_, err := guardian.Pull(t.Context(), api.PullRequest{Identity: identity})
	return err
}

func TestEveryRowOfTheErrorTableArrives(t *testing.T) {
	t.Parallel()
	for _, row := range api.ErrorTable {
		guardian, url := guardianAt(t, func(w http.ResponseWriter, _ *http.Request) {
			body, status := api.NewErrorResponse(fmt.Errorf("doing something: %w", row.Err))
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		})
		err := pull(t, guardian)
		if !errors.Is(err, row.Err) {
			t.Errorf("%s arrived as %v", row.Code, err)
		}
		if failure, ok := errors.AsType[*client.Error](err); !ok || failure.Guardian != url || failure.Status != row.Status {
			t.Errorf("%s arrived as %#v", row.Code, err)
		}
	}
}

func TestConflictCarriesItsVersion(t *testing.T) {
	t.Parallel()
	const version = 9007199254740993 // not exact as a double
	guardian, _ := guardianAt(t, func(w http.ResponseWriter, _ *http.Request) {
		body, status := api.NewErrorResponse(&api.VersionConflictError{Current: version, Stored: true})
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	})
	conflict, ok := errors.AsType[*api.VersionConflictError](pull(t, guardian))
	if !ok || conflict.Current != version || !conflict.Stored {
		t.Fatalf("arrived as %+v", conflict)
	}
}

func TestALimitSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"3": 3 * time.Second, "0": 0, "": 0, "-1": 0, "soon": 0, "1e3": 0, "99999999999": 0,
		"Wed, 21 Oct 2065 07:28:00 GMT": 0,
	} {
		guardian, _ := guardianAt(t, func(w http.ResponseWriter, _ *http.Request) {
			body, status := api.NewErrorResponse(api.ErrRateLimited)
			w.Header().Set("Retry-After", header)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		})
		err := pull(t, guardian)
		limited, ok := errors.AsType[*api.RateLimitedError](err)
		if !ok || limited.RetryAfter != want || !errors.Is(err, api.ErrRateLimited) {
			t.Errorf("Retry-After %q: %+v, %v", header, limited, err)
		}
	}
}

func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"garbage":            {200, "<html>hello</html>", "is there a guardian behind this URL?"},
		"nothing":            {200, "", "is there a guardian behind this URL?"},
		"half":               {200, `{"share":"`, "is there a guardian behind this URL?"},
		"an array":           {200, `[]`, "is there a guardian behind this URL?"},
		"too much":           {200, `{"share":"` + strings.Repeat("A", 2<<20) + `"}`, "longer than 1048576 bytes"},
		"a proxy's error":    {502, "Bad Gateway " + token, "HTTP 502 without a guardian's error"},
		"a code unknown":     {418, `{"error":"no tea","code":"teapot"}`, "no tea"},
		"our token":          {400, `{"error":"you sent ` + token + `","code":"invalid_share"}`, "invalid share"},
		"terminal control":   {400, `{"error":"\u001b[2Jgone","code":"invalid_share"}`, "invalid share"},
		"a share":            {400, `{"error":"you sent ` + strings.Repeat("QUFB", 40) + `","code":"invalid_share"}`, "invalid share"},
		"a text without end": {400, `{"error":"` + strings.Repeat("so ", 200) + `","code":"invalid_share"}`, "invalid share"},
	} {
		guardian, url := guardianAt(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = w.Write([]byte(test.body))
		})
		err := pull(t, guardian)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(err.Error()) > 300 || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: the error repeats too much: %q", name, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		guardian, _ := guardianAt(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		})
		if err := pull(t, guardian); err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if followed.Load() != 0 {
		t.Errorf("%d redirects were followed", followed.Load())
	}
}

func TestAServerThatDoesNotAnswerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	guardian, url := guardianAt(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := guardian.Status(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), url) {
		t.Fatalf("Status: %v", err)
	}
}

func TestTokenIsSentAndWanted(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.NewWithToken(t, 3, token)
	with, err := client.NewVault(cluster.URLs(), []string{token}, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustPush(t, with, "secret")
	mustPull(t, with, "secret")
	for wrong, want := range map[string]error{"": api.ErrTokenRequired, "another-token": api.ErrTokenInvalid} {
		without, err := client.NewVault(cluster.URLs(), []string{wrong}, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = without.Push(t.Context(), identity, 2, []byte("secret"))
		wantQuorumError(t, err, 3, 0, cluster.URLs()...)
		if !errors.Is(err, want) {
			t.Errorf("token %q: %v", wrong, err)
		}
	}
}

// TestTokenEach: every guardian is sent its own token and no other.
func TestTokenEach(t *testing.T) {
	t.Parallel()
	first, second := guardiantest.NewWithToken(t, 2, "token-a"), guardiantest.NewWithToken(t, 1, "token-b")
	urls := append(first.URLs(), second.URLs()...)
	vault, err := client.NewVault(urls, []string{"token-a", "token-a", "token-b"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	mustPush(t, vault, "secret")
	mustPull(t, vault, "secret")
	if _, err := client.NewVault(urls, []string{"token-a", "token-b"}, 0); err == nil {
		t.Error("two tokens for three guardians were taken")
	}
}

func TestOpenCalls(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 1)
	guardian, err := client.New(cluster.URLs()[0], "")
	if err != nil {
		t.Fatal(err)
	}
	health, err := guardian.Health(t.Context())
	if err != nil || health.Status != "ok" || health.Version != api.Version {
		t.Errorf("Health: %+v, %v", health, err)
	}
	status, err := guardian.Status(t.Context())
	if err != nil || status.NodeID != "node-0" {
		t.Errorf("Status: %+v, %v", status, err)
	}
	known, err := guardian.Guardians(t.Context())
	if err != nil || known.Total != 1 {
		t.Errorf("Guardians: %+v, %v", known, err)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://127.0.0.1:7500":            "http://127.0.0.1:7500",
		" https://Guardian.Example:7500/ ": "https://guardian.example:7500",
		"https://example.org/guardian/1/":  "https://example.org/guardian/1",
		"127.0.0.1:7500":                   "http://127.0.0.1:7500",
		"localhost:7500":                   "http://localhost:7500",
		"[::1]:7500":                       "http://[::1]:7500",
		"http://[::1]:80":                  "http://[::1]",
		"https://example.org:443/a":        "https://example.org/a",
		"https://example.org:80":           "https://example.org:80",
	} {
		guardian, err := client.New(raw, "")
		if err != nil || guardian.URL() != want {
			t.Errorf("New(%q): %v, want %s", raw, err, want)
		}
	}
	for raw, want := range map[string]string{
		"":                          "http:// or https://",
		"guardian.example:7500":     "http:// or https://",
		"10.0.0.1:7500":             "http:// or https://",
		"localhost":                 "http:// or https://",
		"ftp://example.org":         "not http or https",
		"http://":                   "host is missing",
		"http://:7500":              "host is missing",
		"http://me:pw@example.org":  "must not hold a user name or password",
		"http://me:p%zz@example":    "not a URL",
		"https://example.org/?a=b":  "no ? and no #",
		"https://example.org/#part": "no ? and no #",
	} {
		_, err := client.New(raw, "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%q): %v, want %q", raw, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "p%zz")) {
			t.Errorf("New(%q) repeats the password: %v", raw, err)
		}
	}
}
