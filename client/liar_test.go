package client_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

func flipABit(answer *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(answer.Share)
	share[1] ^= 0x40
	answer.Share = base64.StdEncoding.EncodeToString(share)
}

func flipAnother(answer *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(answer.Share)
	share[2] ^= 0x40
	answer.Share = base64.StdEncoding.EncodeToString(share)
}

// atPoint2 claims the point of guardian 1 with bytes of its own.
func atPoint2(answer *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(answer.Share)
	share[0] = 2
	answer.Share = base64.StdEncoding.EncodeToString(share)
}

func TestOneWrongShareIsFound(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(*api.PullResponse){"changed": flipABit, "point taken": atPoint2} {
		cluster := guardiantest.New(t, 6)
		vault := newVault(t, cluster.URLs(), 0)
		mustPush(t, vault, "secret")
		cluster.Front(2, changingAnswers(lie))
		report := mustPull(t, vault, "secret")
		if report.Used != 5 || !report.Checked { // 5 = 2K-1
			t.Errorf("%s: report %+v", name, report)
		}
		for i, guardian := range report.Guardians {
			if wrong := guardian.State == client.StateWrong; wrong != (i == 2) || wrong != (guardian.Err != nil) {
				t.Errorf("%s: guardian %d: %+v", name, i, guardian)
			}
		}
	}
}

func TestWrongSharesThatCannotBeFound(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*guardiantest.Cluster){
		"one of K+1":      func(c *guardiantest.Cluster) { c.Stop(0) },
		"two of K+2":      func(c *guardiantest.Cluster) { c.Front(3, changingAnswers(flipAnother)) },
		"a point of K+1":  func(c *guardiantest.Cluster) { c.Stop(0); c.Front(2, changingAnswers(atPoint2)) },
		"a point and one": func(c *guardiantest.Cluster) { c.Front(3, changingAnswers(atPoint2)) },
	} {
		cluster := guardiantest.New(t, 5)
		vault := newVault(t, cluster.URLs(), 0)
		mustPush(t, vault, "secret")
		cluster.Front(2, changingAnswers(flipABit))
		spoil(cluster)
		secret, _, err := vault.Pull(t.Context(), identity)
		if !errors.Is(err, client.ErrInconsistent) || secret != nil {
			t.Errorf("%s: Pull: %q, %v", name, secret, err)
			continue
		}
		if !strings.Contains(err.Error(), cluster.URLs()[2]) {
			t.Errorf("%s: %q does not name the guardians asked", name, err)
		}
	}
}

// TestTwoLiarsAreNotTakenForChecked: two of five that lie together can make one
// honest share look wrong; what they then change must not count as checked.
func TestTwoLiarsAreNotTakenForChecked(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "secret")
	cluster.Front(2, changingAnswers(flipABit))
	cluster.Front(3, changingAnswers(flipABit))
	secret, report, err := vault.Pull(t.Context(), identity)
	if err == nil && report.Checked {
		t.Errorf("Pull: %q counts as checked", secret)
	}
}

func TestASuccessMustSayWhatWasDone(t *testing.T) {
	t.Parallel()
	version := uint64(7)
	for _, test := range []struct {
		body           string
		push, deletion bool // whether it acknowledges
	}{
		{`{"status":"stored"}`, true, false},
		{`{"status":"deleted","version":7}`, false, true},
		{`{"status":"deleted","version":6}`, false, false},
		{`{"status":"deleted"}`, false, false},
		{`{"status":"ok","version":7}`, false, false},
		{`{"error":"internal server error","code":"internal"}`, false, false},
		{`null`, false, false},
		{`{}`, false, false},
	} {
		guardian, url := guardianAt(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(test.body)) })
		for what, call := range map[string]struct {
			err  error
			done bool
		}{
			"push":   {guardian.Push(t.Context(), api.PushRequest{Identity: identity, Version: &version}), test.push},
			"delete": {guardian.Delete(t.Context(), api.DeleteRequest{Identity: identity, Version: &version}), test.deletion},
		} {
			if (call.err == nil) != call.done || call.err != nil && !strings.Contains(call.err.Error(), url) {
				t.Errorf("%s answered with %s: %v", what, test.body, call.err)
			}
		}
	}
}

// TestNotFoundIsMoreThanLiarsCanSay: an acknowledged secret is with four of five,
// so two that hold nothing, K-1, may be lying, and three may have two liars
// among them.
func TestNotFoundIsMoreThanLiarsCanSay(t *testing.T) {
	t.Parallel()
	for absent := range 6 {
		cluster := guardiantest.New(t, 5)
		vault := newVault(t, cluster.URLs(), 0)
		mustPush(t, vault, "secret")
		for i := range 5 {
			if i >= absent {
				cluster.Corrupt(i, identity)
				continue
			}
			cluster.Front(i, answering(http.StatusNotFound, `{"error":"share not found","code":"not_found"}`))
		}
		_, _, err := vault.Pull(t.Context(), identity)
		if errors.Is(err, api.ErrNotFound) != (absent >= 4) {
			t.Errorf("%d of five hold nothing, the others' shares are damaged: %v", absent, err)
		}
	}
}

func answering(status int, body string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
}

// TestNothingOfABrokenAnswerIsRepeated: net/http quotes what it cannot read.
func TestNothingOfABrokenAnswerIsRepeated(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\n\x1b[31m%s no colon\r\n\r\n",
		"HTTP/1.1 \x1b[31m%s OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x1b%s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x%s\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: ht tp://%s\x1b\r\nContent-Length: 0\r\n\r\n",
		"%s\r\n\r\n",
	} {
		guardian, url := guardianAt(t, func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			_, _ = fmt.Fprintf(connection, raw, r.Header.Get("Authorization"))
		})
		err := pull(t, guardian)
		if err == nil || !strings.Contains(err.Error(), url) {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if strings.Contains(err.Error(), token) || strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("%q: the error repeats it: %q", raw, err)
		}
	}
}
