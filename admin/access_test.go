package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/integrity"
)

const operatorToken, scraperToken = "operator-token-of-the-test", "scraper-token-of-the-test"

// guarded is a plane that asks for tokens; what it audits is in the log.
func guarded(t *testing.T) (http.Handler, *logBuffer) {
	t.Helper()
	tokens, err := auth.NewTokens(map[string]string{"admin-anna": operatorToken, "prometheus": scraperToken})
	if err != nil {
		t.Fatal(err)
	}
	return guardedBy(t, auth.NewTokenSet(tokens))
}

func guardedBy(t *testing.T, tokens *auth.TokenSet) (http.Handler, *logBuffer) {
	t.Helper()
	lines := &logBuffer{}
	log := slog.New(slog.NewTextHandler(lines, nil))
	kept, err := audit.Open(audit.Config{Mode: audit.ToLog, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return admin.New(admin.Config{
		Registry: admin.NewRegistry(), Reload: reloaded, Tokens: tokens, Audit: kept, Logger: log,
	}), lines
}

// call asks by another name than an address, as through a load balancer.
func call(handler http.Handler, method, path string, with ...func(*http.Request)) answer {
	request := httptest.NewRequest(method, "https://guardian.example:9090"+path, nil)
	for _, w := range with {
		w(request)
	}
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, request)
	return answer{recorded.Code, recorded.Header(), recorded.Body.String()}
}

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func basic(name, token string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, token) }
}

func TestTokens(t *testing.T) {
	t.Parallel()
	nobody := func(*http.Request) {}
	for _, test := range []struct {
		method, path string
		with         func(*http.Request)
		status       int
		code         string
	}{
		{"GET", "/metrics", bearer(operatorToken), 200, ""},
		{"GET", "/", bearer(operatorToken), 200, ""},
		{"POST", "/admin/reload", bearer(operatorToken), 200, ""},
		{"POST", "/admin/reload", header("Authorization", "bearer  "+operatorToken+" "), 200, ""},
		{"POST", "/admin/reload", basic("admin-anna", operatorToken), 200, ""},
		{"POST", "/admin/reload", basic("", operatorToken), 200, ""},
		{"POST", "/admin/reload", basic("prometheus", operatorToken), 401, "token_invalid"},
		{"POST", "/admin/reload", basic("admin-anna", scraperToken), 401, "token_invalid"},
		{"POST", "/admin/reload", basic("admin-anna", ""), 401, "token_required"},
		{"GET", "/metrics", bearer(scraperToken), 200, ""},
		{"GET", "/metrics", basic("prometheus", scraperToken), 200, ""},
		{"POST", "/admin/reload", bearer(scraperToken), 403, "forbidden"},
		{"GET", "/debug/pprof/heap", bearer(scraperToken), 403, "forbidden"},
		{"GET", "/metrics/", bearer(scraperToken), 403, "forbidden"},
		{"GET", "/metrics/../debug/pprof/heap", bearer(scraperToken), 403, "forbidden"},
		{"GET", "/metrics", nobody, 401, "token_required"},
		{"GET", "/", nobody, 401, "token_required"},
		{"GET", "/nothing", nobody, 401, "token_required"},
		{"DELETE", "/metrics", nobody, 401, "token_required"},
		{"POST", "/admin/reload", bearer(""), 401, "token_required"},
		{"POST", "/admin/reload", header("Authorization", "Digest "+operatorToken), 401, "token_required"},
		{"POST", "/admin/reload", bearer(operatorToken + "x"), 401, "token_invalid"},
		{"POST", "/admin/reload", bearer("admin-anna"), 401, "token_invalid"},
	} {
		handler, _ := guarded(t)
		got := call(handler, test.method, test.path, test.with)
		if test.code != "" {
			got.refused(t, test.status, test.code)
		} else if got.status != test.status {
			t.Errorf("%s %s answered %d %.100q, want %d", test.method, test.path, got.status, got.body, test.status)
		}
		asks := strings.Join(got.header.Values("WWW-Authenticate"), " ")
		if want := got.status == http.StatusUnauthorized; strings.Contains(asks, "Bearer") != want || strings.Contains(asks, "Basic realm=") != want {
			t.Errorf("%s %s: asks for %q", test.method, test.path, asks)
		}
	}
}

// A browser sends the password that it remembers with whatever a page asks for.
func TestPageOfAnotherOriginHasNoUseOfARememberedToken(t *testing.T) {
	t.Parallel()
	handler, _ := guarded(t)
	call(handler, "POST", "/admin/reload", basic("admin-anna", operatorToken), header("Sec-Fetch-Site", "cross-site")).
		refused(t, http.StatusForbidden, "forbidden_origin")
}

func TestNoTokensLetNobodyIn(t *testing.T) {
	t.Parallel()
	handler, _ := guardedBy(t, auth.NewTokenSet(nil))
	for _, with := range []func(*http.Request){bearer("x"), basic("", "x"), func(*http.Request) {}} {
		if got := call(handler, "GET", "/metrics", with); got.status != http.StatusUnauthorized {
			t.Errorf("answered %d", got.status)
		}
	}
}

// Whoever guesses is soon told to wait; who knows a token is not.
func TestGuessesAreBounded(t *testing.T) {
	t.Parallel()
	handler, lines := guarded(t)
	refused, last := 0, answer{}
	for i := range 1000 {
		if last = call(handler, "GET", "/metrics", bearer(fmt.Sprintf("guess-%d", i))); last.status == http.StatusUnauthorized {
			refused++
		}
	}
	last.refused(t, http.StatusTooManyRequests, "rate_limited")
	if refused < 100 || refused > 400 || last.header.Get("Retry-After") == "" {
		t.Errorf("%d guesses were looked at, Retry-After is %q", refused, last.header.Get("Retry-After"))
	}
	if got := strings.Count(lines.String(), "msg=audit"); got != refused {
		t.Errorf("%d audit lines of %d guesses that were looked at", got, refused)
	}
	if got := call(handler, "GET", "/metrics", bearer(scraperToken)); got.status != http.StatusOK {
		t.Errorf("a known token is answered %d", got.status)
	}
}

func TestAuditLines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, token string
		want                []string // nil for no line
	}{
		"a change":          {"POST", "/admin/reload", operatorToken, []string{"actor=admin-anna", `action="POST /admin/reload"`, "code=admitted", "remote=192.0.2.1"}},
		"a refused change":  {"POST", "/admin/reload", scraperToken, []string{"actor=prometheus", `action="POST /admin/reload"`, "code=forbidden", "status=403"}},
		"a refused look":    {"GET", "/debug/pprof/heap", scraperToken, []string{"actor=prometheus", "code=forbidden"}},
		"a token not known": {"POST", "/admin/reload", "not-a-token", []string{"code=token_invalid", "status=401"}},
		"a look":            {"GET", "/metrics", scraperToken, nil},
	} {
		handler, lines := guarded(t)
		call(handler, test.method, test.path, bearer(test.token))
		text := lines.String()
		if got := strings.Contains(text, "msg=audit"); got != (test.want != nil) {
			t.Errorf("%s: audited is %v: %s", name, got, text)
		}
		for _, part := range test.want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s in %s", name, part, text)
			}
		}
		if strings.Contains(text, test.token) {
			t.Errorf("%s: the token is in the log: %s", name, text)
		}
	}
}

// Where lines are required, nothing is done without one.
func TestNoChangeWithoutItsLine(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: strings.Repeat("0f", 32)}, log)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := audit.Open(audit.Config{Mode: audit.ToStore, Required: true, NodeID: "g1", Sealer: sealer, Store: nowhere{}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler := admin.New(admin.Config{Registry: admin.NewRegistry(), Audit: closed, Logger: log, Reload: func(context.Context) (admin.Reloaded, error) {
		t.Error("reloaded")
		return admin.Reloaded{}, nil
	}})
	local := func(r *http.Request) { r.Host = "127.0.0.1:9090" }
	call(handler, "POST", "/admin/reload", local).refused(t, http.StatusServiceUnavailable, "storage_unavailable")
	if got := call(handler, "GET", "/metrics", local); got.status != http.StatusOK {
		t.Errorf("a look is answered %d", got.status)
	}
}

type nowhere struct{}

func (nowhere) PutSegment(context.Context, string, []byte) error { return nil }
