package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/awssecrets/secretstest"
)

// Tokens in variables are taken, or put aside by a source that goes before
// them; in the configuration only digests are left of them.
func TestTokensInVariables(t *testing.T) {
	const (
		one    = "GUARDIAN_SERVER_BEARER_TOKEN=plain-one"
		inline = `GUARDIAN_SERVER_BEARER_TOKENS_JSON={"a":"plain-a","b":"plain-b"}`
		file   = "GUARDIAN_SERVER_BEARER_TOKENS_FILE=tokens.json"
		secret = "GUARDIAN_SERVER_BEARER_TOKENS_AWS_SECRET=tokens"
	)
	for _, test := range []struct {
		environ []string
		taken   map[string]string
		ignored []string
	}{
		{nil, nil, nil},
		{[]string{one}, map[string]string{"plain-one": "default"}, nil},
		{[]string{inline}, map[string]string{"plain-a": "a", "plain-b": "b"}, nil},
		{[]string{inline, one}, map[string]string{"plain-a": "a", "plain-b": "b", "plain-one": "default"}, nil},
		{[]string{file, one}, map[string]string{"plain-one": "default"}, nil},
		{[]string{file, inline}, nil, []string{"GUARDIAN_SERVER_BEARER_TOKENS_JSON"}},
		{[]string{file, "GUARDIAN_SERVER_BEARER_TOKENS_JSON=not even JSON"}, nil, []string{"GUARDIAN_SERVER_BEARER_TOKENS_JSON"}},
		{
			[]string{secret, file, inline, one},
			nil,
			[]string{"GUARDIAN_SERVER_BEARER_TOKENS_FILE", "GUARDIAN_SERVER_BEARER_TOKENS_JSON", "GUARDIAN_SERVER_BEARER_TOKEN"},
		},
	} {
		cfg, err := load(flags{}, noFlags, test.environ)
		if err != nil || !slices.Equal(cfg.ignoredTokens, test.ignored) {
			t.Errorf("%q: ignored %q, %v", test.environ, cfg.ignoredTokens, err)
		}
		for _, token := range []string{"plain-one", "plain-a", "plain-b"} {
			if actor, _ := cfg.fixedTokens.Actor(token); actor != test.taken[token] {
				t.Errorf("%q: %s is of %q", test.environ, token, actor)
			}
		}
		if all := fmt.Sprintf("%+v", *cfg); strings.Contains(all, "plain-") {
			t.Errorf("%q: a token is still there: %s", test.environ, all)
		}
	}
}

func TestBadTokensAreNamed(t *testing.T) {
	for _, test := range []struct{ environ, variable string }{
		{"GUARDIAN_SERVER_BEARER_TOKEN= ", "GUARDIAN_SERVER_BEARER_TOKEN"},
		{"GUARDIAN_SERVER_BEARER_TOKEN=sec\u200bret", "GUARDIAN_SERVER_BEARER_TOKEN"},
		{`GUARDIAN_SERVER_BEARER_TOKENS_JSON=secret`, "GUARDIAN_SERVER_BEARER_TOKENS_JSON"},
		{`GUARDIAN_SERVER_BEARER_TOKENS_JSON={}`, "GUARDIAN_SERVER_BEARER_TOKENS_JSON"},
		{`GUARDIAN_SERVER_BEARER_TOKENS_JSON={"":"secret"}`, "GUARDIAN_SERVER_BEARER_TOKENS_JSON"},
		{`GUARDIAN_SERVER_BEARER_TOKENS_JSON={"a":"secret","b":"secret"}`, "GUARDIAN_SERVER_BEARER_TOKENS_JSON"},
	} {
		_, err := load(flags{}, noFlags, []string{test.environ})
		if err == nil || !strings.HasPrefix(err.Error(), test.variable+": ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", test.environ, err)
		}
	}
}

// statusWith is what a pull is answered that carries a token.
func statusWith(t *testing.T, p *process, token string) int {
	t.Helper()
	body := `{"identity":"` + strings.Repeat("a", 64) + `"}`
	request, err := http.NewRequest(http.MethodPost, "http://"+p.address+"/v1/vault/pull", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestTokensFromSecretsManager(t *testing.T) {
	secrets := secretstest.New(t)
	secrets.Put("guardian/tokens", `{"alice":"token-of-alice","bob":"token-of-bob"}`)
	environ := bareEnvironment(append(secrets.Environ(), "GUARDIAN_BIND=127.0.0.1:0",
		"GUARDIAN_SERVER_BEARER_TOKENS_AWS_SECRET=guardian/tokens", "GUARDIAN_SERVER_BEARER_TOKEN=token-of-default")...)
	p, err := launch(thisProgram(t), t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	expect := func(when string, want map[string]int) {
		t.Helper()
		for token, status := range want {
			if got := statusWith(t, p, token); got != status {
				t.Errorf("%s: %s is answered %d, want %d", when, token, got, status)
			}
		}
	}
	reload := func(says string) {
		t.Helper()
		before := strings.Count(p.stderr.String(), says)
		if err := p.signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, says, func() bool { return strings.Count(p.stderr.String(), says) > before })
	}
	const known, unknown = http.StatusNotFound, http.StatusUnauthorized
	expect("at start", map[string]int{"token-of-alice": known, "token-of-bob": known, "token-of-default": unknown, "": unknown})

	secrets.Put("guardian/tokens", `{"bob":"token-of-bob","carol":"token-of-carol"}`)
	reload("bearer tokens reloaded")
	after := map[string]int{"token-of-alice": unknown, "token-of-bob": known, "token-of-carol": known, "": unknown}
	expect("rotated", after)

	const kept = "reloading the set of bearer tokens failed, keeping the last good one"
	for name, spoil := range map[string]func(){
		"emptied":   func() { secrets.Put("guardian/tokens", "{}") },
		"malformed": func() { secrets.Put("guardian/tokens", "token-of-carol") },
		"twice":     func() { secrets.Put("guardian/tokens", `{"x":"token-of-x","x":"token-of-y"}`) },
		"binary":    func() { secrets.PutBinary("guardian/tokens", []byte("token-of-x")) },
		"removed":   func() { secrets.Remove("guardian/tokens") },
		"denied":    func() { secrets.Fail("AccessDeniedException", http.StatusBadRequest) },
	} {
		spoil()
		reload(kept)
		expect(name, after)
		secrets.Fail("", 0)
	}
	if said := p.stderr.String(); strings.Contains(said, "token-of") || !strings.Contains(said, "GUARDIAN_SERVER_BEARER_TOKEN: ignored") {
		t.Errorf("it quotes tokens, or does not say what it ignores:\n%s", said)
	}
}

func TestNoStartWithoutTheTokensOfTheSecret(t *testing.T) {
	secrets := secretstest.New(t)
	environ := bareEnvironment(append(secrets.Environ(), "GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_UNAUTHENTICATED=1",
		"GUARDIAN_SERVER_BEARER_TOKENS_AWS_SECRET=tokens", "GUARDIAN_SERVER_BEARER_TOKEN=token-of-default")...)
	for _, test := range []struct {
		name  string
		spoil func()
		code  int
		says  string
	}{
		{"missing", func() {}, exitUnavailable, `secret "tokens" is not in AWS Secrets Manager`},
		{"empty", func() { secrets.Put("tokens", "{}") }, exitConfig, `secret "tokens" is no set of bearer tokens`},
		{"bare", func() { secrets.Put("tokens", "token-of-bob") }, exitConfig, `store {"actor":"token"} in it`},
		{"binary", func() { secrets.PutBinary("tokens", []byte{1}) }, exitUnavailable, "store it as text"},
		{"denied", func() { secrets.Fail("AccessDeniedException", http.StatusBadRequest) }, exitUnavailable, "secretsmanager:GetSecretValue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spoil()
			said := refused(t, test.code, environ)
			if !strings.Contains(said, test.says) || strings.Contains(said, "token-of") {
				t.Errorf("got %s", said)
			}
		})
	}
}

// A poll says something when tokens have changed or cannot be had, and nothing
// otherwise.
func TestPollOfTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"alice":"one"}`)
	fixed, err := auth.NewTokens(map[string]string{"default": "fixed"})
	if err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	bearers, err := openBearers(t.Context(), &Config{BearerTokensFile: path, fixedTokens: fixed}, log)
	if err != nil {
		t.Fatal(err)
	}
	reloads := &reloader{bearers: bearers, log: log}
	for _, step := range []struct{ text, token, actor, says string }{
		{`{"alice":"one"}`, "one", "alice", ""},
		{`{"alice":"two"}`, "two", "alice", "bearer tokens changed"},
		{`{"alice":"two"}`, "one", "", ""},
		{`{"alice":"two","bob":"fixed"}`, "fixed", "default", "duplicate actor or token"},
		{`{"bob":"two"}`, "two", "bob", "bearer tokens changed"},
		{strings.Repeat(" ", auth.MaxTokensSize) + `{"carol":"two"}`, "two", "bob", "longer than 65536 bytes"},
		{`{"bob":"two"}`, "fixed", "default", ""},
	} {
		write(step.text)
		before := len(said.String())
		reloads.pollTokens(t.Context())
		now := said.String()[before:]
		if actor, _ := bearers.set.Actor(step.token); actor != step.actor || !strings.Contains(now, step.says) || (step.says == "") != (now == "") {
			t.Errorf("%.40s: %s is of %q; it says %q", step.text, step.token, actor, now)
		}
	}
}
