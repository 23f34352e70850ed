package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardiantest"
)

// What a guardian says, or who is in its place, is not for the terminal to act upon.
func TestDoctorOfTheHostile(t *testing.T) {
	t.Parallel()
	c := guardiantest.New(t, 5)
	c.Front(1, func(own http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteReadyz {
				own.ServeHTTP(w, r)
				return
			}
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, err = io.WriteString(connection, "HTTP/1.1 503 \x1b[2J\u009b2J\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if err := errors.Join(err, connection.Close()); err != nil {
				t.Error(err)
			}
		})
	})
	urls, now := c.URLs(), time.Now()
	urls[3], _ = behindCertificate(t, urls[3], now, now.Add(day), "\x1b[2J.example")
	urls[3] = strings.Replace(urls[3], "127.0.0.1", "localhost", 1)
	out, _ := guardianctl(t, exitVerification, "doctor", "--guardians", strings.Join(urls, ","))
	wantText(t, out, "not ready: 503", "certificate is valid for")
	_, errs := guardianctl(t, exitFailure, "freeze", "--admin", urls[3])
	wantText(t, errs, "certificate is valid for")
	if !printableText([]byte(out + errs)) {
		t.Errorf("%q", out+errs)
	}
}

// All files with secrets that a guardian's environment names are examined.
func TestDoctorOfAnEnvironment(t *testing.T) {
	secrets := []string{
		"GUARDIAN_INTEGRITY_KEY_FILE", "GUARDIAN_NODE_KEY_FILE", "GUARDIAN_SERVER_BEARER_TOKENS_FILE", "GUARDIAN_TLS_KEY_FILE",
		"GUARDIAN_ADMIN_TOKENS_FILE", "GUARDIAN_ADMIN_TLS_KEY_FILE",
	}
	for _, variable := range secrets {
		t.Setenv(variable, secretIn(t, 0o644))
	}
	d := examined(t, exitVerification, guardiantest.New(t, 5).URLs())
	for _, variable := range secrets {
		d.finds(t, verdictFail, "files", os.Getenv(variable), "others may use it (mode 0644)", "chmod 600")
	}
}
