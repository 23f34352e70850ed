package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/admin"
)

func TestReload(t *testing.T) {
	p := start(t, reloaded)
	got := p.reload(t)
	if want := `{"status":"reloaded","primary_key_id":"k2"}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
		t.Errorf("answered %d %s, want %s", got.status, got.body, want)
	}
}

func TestReloadThatFails(t *testing.T) {
	p := start(t, func(context.Context) (admin.Reloaded, error) {
		return admin.Reloaded{PrimaryKeyID: "k1"}, errors.New("the secret is gone")
	})
	got := p.reload(t)
	want := `{"error":"reloading failed, the last good state stays in use: the secret is gone","code":"reload_failed"}`
	if got.status != http.StatusServiceUnavailable || strings.TrimSpace(got.body) != want {
		t.Errorf("answered %d %s, want %s", got.status, got.body, want)
	}
}

func TestReloadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := admin.New(admin.Config{
			Registry: admin.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
			Reload: func(ctx context.Context) (admin.Reloaded, error) {
				<-ctx.Done()
				return admin.Reloaded{}, ctx.Err()
			},
		})
		began := time.Now()
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, httptest.NewRequest(http.MethodPost, "http://127.0.0.1/admin/reload", nil))
		answer{status: recorded.Code, body: recorded.Body.String()}.refused(t, http.StatusServiceUnavailable, "reload_failed")
		if limit := admin.NewServer(handler, slog.Default()).WriteTimeout; time.Since(began) >= limit {
			t.Errorf("answered after %v, when the connection may write for %v", time.Since(began), limit)
		}
	})
}

func TestPanics(t *testing.T) {
	indexes := []int{}
	for name, test := range map[string]struct {
		panics func()
		logged string
	}{
		"value":   {func() { panic("a secret") }, "panic with a string"},
		"error":   {func() { panic(errors.New("a secret")) }, "panic with a *errors.errorString"},
		"runtime": {func() { indexes[0]++ }, "index out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, func(context.Context) (admin.Reloaded, error) {
				test.panics()
				return admin.Reloaded{}, nil
			})
			got := p.reload(t)
			got.refused(t, http.StatusInternalServerError, "internal")
			id, log := got.failure(t).RequestID, p.log.String()
			if id == "" || !strings.Contains(log, "request_id="+id) || !strings.Contains(log, test.logged) {
				t.Errorf("the log does not say %q of request %q: %s", test.logged, id, log)
			}
			if strings.Contains(got.body+log, "a secret") {
				t.Errorf("the value is repeated: %s %s", got.body, log)
			}
			if p.get(t, "/").status != http.StatusOK {
				t.Error("the plane is gone")
			}
		})
	}
}

func TestRoutesThatAreNot(t *testing.T) {
	p := start(t, reloaded)
	for _, test := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/nothing", 404, "no_route", ""},
		{"GET", "/metrics/", 404, "no_route", ""},
		{"POST", "/admin/freeze", 404, "no_route", ""},
		{"GET", "/debug/pprof/cmdline", 404, "no_route", ""},
		{"GET", "/debug/pprof/%63mdline", 404, "no_route", ""},
		{"GET", "/debug/pprof//cmdline", 404, "no_route", ""},
		{"GET", "/debug/pprof/nothing", 404, "no_route", ""},
		{"GET", "/admin/reload", 405, "method_not_allowed", "OPTIONS, POST"},
		{"POST", "/metrics", 405, "method_not_allowed", "OPTIONS, GET"},
		{"POST", "/debug/pprof/symbol", 405, "method_not_allowed", "OPTIONS, GET"},
		{"DELETE", "/debug/pprof/heap", 405, "method_not_allowed", "OPTIONS, GET"},
	} {
		got := p.do(t, p.request(t, test.method, test.path, ""))
		got.refused(t, test.status, test.code)
		if allow := got.header.Get("Allow"); allow != test.allow {
			t.Errorf("%s %s: Allow is %q, want %q", test.method, test.path, allow, test.allow)
		}
	}
}

// The list names what there is: another method on it is refused as such.
func TestRoutes(t *testing.T) {
	p := start(t, reloaded)
	got := p.get(t, "/routes")
	if got.status != http.StatusOK || strings.Contains(got.body, "cmdline") {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
	endpoints := 0
	for line := range strings.Lines(got.body) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[1], "/") {
			continue
		}
		endpoints++
		other := p.do(t, p.request(t, http.MethodDelete, fields[1], ""))
		if other.status != http.StatusMethodNotAllowed || !strings.Contains(other.header.Get("Allow"), fields[0]) {
			t.Errorf("DELETE %s answered %d, allowed is %q", fields[1], other.status, other.header.Get("Allow"))
		}
	}
	if want := 12; endpoints != want {
		t.Errorf("%d endpoints, want %d:\n%s", endpoints, want, got.body)
	}
}

func TestManyAtOnce(t *testing.T) {
	p := start(t, reloaded)
	var group sync.WaitGroup
	for _, request := range []struct{ method, path string }{
		{"GET", "/metrics"},
		{"GET", "/metrics"},
		{"GET", "/metrics"},
		{"GET", "/metrics"},
		{"GET", "/"},
		{"POST", "/admin/reload"},
		{"POST", "/admin/reload"},
		{"GET", "/debug/pprof/heap"},
		{"GET", "/debug/pprof/goroutine?debug=2"},
		{"GET", "/debug/pprof/"},
	} {
		group.Go(func() {
			for range 20 {
				if got := p.do(t, p.request(t, request.method, request.path, "")); got.status != http.StatusOK {
					t.Errorf("%s answered %d %s", request.path, got.status, got.body)
				}
			}
		})
	}
	group.Wait()
}

func TestEveryPhaseHasATimeout(t *testing.T) {
	server := admin.NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	const longest = 5 * time.Minute
	for name, timeout := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "read": server.ReadTimeout,
		"write": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if timeout <= 0 || timeout > longest {
			t.Errorf("%s timeout is %v", name, timeout)
		}
	}
}
