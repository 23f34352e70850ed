package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/httpapi"
)

// segments is where the audit lines of a test go; it can be made to fail.
type segments struct {
	failing atomic.Bool
	mu      sync.Mutex
	text    strings.Builder
}

func (s *segments) PutSegment(_ context.Context, _ string, data []byte) error {
	if s.failing.Load() {
		return errors.New("the audit store is out of order")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(data)
	return nil
}

func (s *segments) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func openAudit(t *testing.T, store *segments, required bool) *audit.Log {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	l, err := audit.Open(audit.Config{
		Mode: audit.ToStore, Required: required, NodeID: "local", Program: "test",
		Sealer: newSealer(t, "local", testKey, log), Store: store, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil && !store.failing.Load() {
			t.Error(err)
		}
	})
	return l
}

func withAudit(l *audit.Log) option { return func(c *httpapi.Config, _ *slog.LevelVar) { c.Audit = l } }

func TestEveryDecisionHasALine(t *testing.T) {
	store := &segments{}
	p := start(t, nil, withTokens(t, map[string]string{"alice": token}), withAudit(openAudit(t, store, true)))
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	id := identity("a")
	for _, call := range []struct {
		route, body string
		header      http.Header
		line        []string
	}{
		{pushRoute, pushBody(id, testShare, "1"), bearer, []string{`"push"`, `"alice"`, `"ok"`, "200"}},
		{pushRoute, pushBody(id, "b3RoZXI=", "1"), bearer, []string{`"push"`, `"version_conflict"`, "400"}},
		{pullRoute, pullBody(id), bearer, []string{`"pull"`, `"ok"`}},
		{pullRoute, pullBody(identity("b")), bearer, []string{`"pull"`, `"not_found"`, "404"}},
		{pullRoute, pullBody(id), http.Header{"Authorization": {"Bearer wrong"}}, []string{`"pull"`, `"token_invalid"`, "401"}},
		{pullRoute, `{"identity":"short"}`, bearer, []string{`"pull"`, `"invalid_identity"`}},
		{deleteCall, `{"identity":"` + id + `","version":1}`, bearer, []string{`"delete"`, `"ok"`}},
		{api.RouteChallenge, pullBody(id), bearer, []string{`"challenge"`, `"ok"`}},
	} {
		before := store.String()
		p.do(t, http.MethodPost, call.route, call.body, call.header)
		line := strings.TrimPrefix(store.String(), before)
		for _, part := range append(call.line, "127.0.0.1") {
			if !strings.Contains(line, part) {
				t.Errorf("%s %s: the line lacks %s: %s", call.route, call.body, part, line)
			}
		}
	}
	if all := store.String(); strings.Contains(all, id) || strings.Contains(all, token) || strings.Contains(all, testShare) {
		t.Errorf("an identity, a token or a share is in the lines:\n%s", all)
	}
}

// A call whose line must be kept and cannot is not acknowledged, and says why;
// where lines are not required, calls go on.
func TestFailingAuditStore(t *testing.T) {
	for _, required := range []bool{true, false} {
		store := &segments{}
		l := openAudit(t, store, required)
		p := start(t, nil, withAudit(l))
		store.failing.Store(true)
		got := p.post(t, pushRoute, pushBody(identity("a"), testShare, "1"))
		switch {
		case !required && got.status != http.StatusOK:
			t.Errorf("not required: %d %s", got.status, got.body)
		case required && (got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), "audit log unavailable")):
			t.Errorf("required: %d %s", got.status, got.body)
		}
		if required && !strings.Contains(p.log.String(), "the audit store is out of order") {
			t.Errorf("the log does not say why:\n%s", p.log)
		}
		eventually(t, func() bool { return l.Stats().Failures > 0 })
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to this")
		}
	}
}
