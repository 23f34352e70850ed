package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/vault-guardian/guardian/repair"
)

// An admin plane for other machines asks for a token, and shows a certificate.
func TestAdminTokenAndTLS(t *testing.T) {
	t.Parallel()
	const token = "the-token-itself"
	p := newFakePlane(t, map[string]func(int) (int, any){getRepair: in(200, repair.Status{})})
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid bearer token","code":"token_invalid"}`)
			return
		}
		p.ServeHTTP(w, r)
	})
	behind := httptest.NewUnstartedServer(guarded)
	behind.Config.ErrorLog = log.New(io.Discard, "", 0)
	behind.StartTLS()
	t.Cleanup(behind.Close)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: behind.Certificate().Raw})))
	good, wrong, odd := file("token", token+"\n"), file("wrong", "another"), file("odd", "two\ntokens")
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"both":              {[]string{"--admin-ca-file", ca, "--admin-token-file", good}, exitOK, ""},
		"no token":          {[]string{"--admin-ca-file", ca}, exitFailure, "next: pass --admin-token-file"},
		"another token":     {[]string{"--admin-ca-file", ca, "--admin-token-file", wrong}, exitFailure, "the guardian answered: invalid bearer token"},
		"another authority": {[]string{"--admin-token-file", good}, exitFailure, "next: name the authority that signed its certificate with --admin-ca-file"},
		"no such token":     {[]string{"--admin-ca-file", ca, "--admin-token-file", good + "x"}, exitFailure, "next: make --admin-token-file a readable file"},
		"more than a token": {[]string{"--admin-ca-file", ca, "--admin-token-file", odd}, exitUsage, "odd holds no bearer token"},
		"no authority":      {[]string{"--admin-ca-file", good, "--admin-token-file", good}, exitUsage, "token holds no certificate"},
	} {
		_, errs := guardianctl(t, test.code, append([]string{"repair", "status", "--admin", behind.URL}, test.args...)...)
		if wantText(t, errs, test.want); t.Failed() {
			t.Fatal(name)
		}
	}
	_, errs := guardianctl(t, exitUsage, "repair", "status", "--admin", "http://guardian.example:9090", "--admin-token-file", good)
	wantText(t, errs, "through TLS only", "next: name it with https://")
	plain := httptest.NewServer(guarded)
	t.Cleanup(plain.Close)
	guardianctl(t, exitOK, "repair", "status", "--admin", plain.URL, "--admin-token-file", good)
	guardianctl(t, exitOK, "repair", "status", "--admin", p.URL)
}
