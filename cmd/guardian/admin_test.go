package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Beyond loopback there is no admin plane without tokens and TLS.
func TestAdminBeyondLoopback(t *testing.T) {
	const tokens, certificate, key = "GUARDIAN_ADMIN_TOKENS_FILE=t.json", "GUARDIAN_ADMIN_TLS_CERT_FILE=c.pem", "GUARDIAN_ADMIN_TLS_KEY_FILE=k.pem"
	for _, test := range []struct {
		bind string
		vars []string
		want []string // of the error, each once
	}{
		{"127.0.0.1:9090", nil, nil},
		{"[::1]:0", nil, nil},
		{"localhost:9090", []string{tokens}, nil},
		{"127.0.0.1:9090", []string{certificate, key}, nil},
		{"127.0.0.1:9090", []string{certificate}, []string{"GUARDIAN_ADMIN_TLS_KEY_FILE: needed with GUARDIAN_ADMIN_TLS_CERT_FILE"}},
		{"0.0.0.0:9090", []string{tokens, certificate, key}, nil},
		{":9090", []string{tokens, certificate, key}, nil},
		{"0.0.0.0:9090", nil, []string{"GUARDIAN_ADMIN_TOKENS_FILE: needed where", "GUARDIAN_ADMIN_TLS_CERT_FILE: needed where"}},
		{"[::]:9090", []string{tokens}, []string{"GUARDIAN_ADMIN_TLS_CERT_FILE: needed where"}},
		{"10.0.0.1:9090", []string{certificate, key}, []string{"GUARDIAN_ADMIN_TOKENS_FILE: needed where"}},
		{"guardian:9090", []string{tokens, key}, []string{"GUARDIAN_ADMIN_TLS_CERT_FILE: needed with GUARDIAN_ADMIN_TLS_KEY_FILE"}},
		{"9090", []string{tokens, certificate, key}, []string{"GUARDIAN_ADMIN_BIND: not host:port"}},
	} {
		_, err := loadEnv(append(test.vars, "GUARDIAN_ADMIN_BIND="+test.bind)...)
		if (err == nil) != (len(test.want) == 0) {
			t.Errorf("%s %v: %v", test.bind, test.vars, err)
			continue
		}
		for _, want := range test.want {
			if strings.Count(err.Error(), want) != 1 {
				t.Errorf("%s %v: not %q once: %v", test.bind, test.vars, want, err)
			}
		}
	}
}

// A process whose admin plane is for other machines: TLS, tokens, both reloaded
// by SIGHUP.
func TestAdminPlaneForOthers(t *testing.T) {
	first, second := newPair(t), newPair(t)
	dir := t.TempDir()
	first.write(t, dir)
	writeTokens := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokens.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeTokens(`{"admin":"first-token-of-the-test"}`)
	p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_ADMIN_BIND=0.0.0.0:0", "GUARDIAN_ADMIN_TOKENS_FILE=tokens.json",
		"GUARDIAN_ADMIN_TLS_CERT_FILE=live.pem", "GUARDIAN_ADMIN_TLS_KEY_FILE=live.key"),
		"--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	var address string
	eventually(t, "the address of the admin plane", func() bool {
		address = strings.ReplaceAll(p.printed("GUARDIAN_ADMIN_LISTEN_ADDR"), "[::]", "127.0.0.1")
		return address != ""
	})
	status := func(shown pair, token string) int {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(shown.certificate)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/admin/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: patience}
		response, err := client.Do(request)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if got := status(first, "first-token-of-the-test"); got != http.StatusOK {
		t.Fatalf("answered %d:\n%s", got, p.stderr)
	}
	if got := status(first, "second-token-of-the-test"); got != http.StatusUnauthorized {
		t.Errorf("a token that is not known is answered %d", got)
	}
	if response, err := http.Get("http://" + address + "/metrics"); err == nil {
		if response.Body.Close(); response.StatusCode == http.StatusOK {
			t.Error("it answers without TLS")
		}
	}
	second.write(t, dir)
	writeTokens(`{"admin":"second-token-of-the-test"}`)
	if err := p.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second token", func() bool { return status(second, "second-token-of-the-test") == http.StatusOK })
	if got := status(second, "first-token-of-the-test"); got != http.StatusUnauthorized {
		t.Errorf("the token that was taken away is answered %d", got)
	}
	writeTokens(`{}`)
	if got := status(second, "second-token-of-the-test"); got != http.StatusServiceUnavailable {
		t.Errorf("a reload of no token at all is answered %d", got)
	}
	if got := status(second, "second-token-of-the-test"); got != http.StatusServiceUnavailable {
		t.Errorf("the last good tokens are gone: %d", got)
	}
	for _, secret := range []string{"first-token", "second-token"} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Errorf("a token is in the log:\n%s", p.stderr)
		}
	}
}
