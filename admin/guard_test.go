package admin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/admin"
)

func TestLoopback(t *testing.T) {
	for bind, ok := range map[string]bool{
		"127.0.0.1:9090":        true,
		"127.8.9.10:0":          true,
		"[::1]:9090":            true,
		"[::ffff:127.0.0.1]:1":  true,
		"localhost:9090":        true,
		"LocalHost:9090":        true,
		"0.0.0.0:9090":          false,
		"[::]:9090":             false,
		":9090":                 false,
		"10.0.0.1:9090":         false,
		"[::ffff:10.0.0.1]:1":   false,
		"192.168.1.1:9090":      false,
		"guardian:9090":         false,
		"localhost.evil.org:1":  false,
		"127.0.0.1.evil.org:1":  false,
		"127.0.0.1":             false,
		"localhost":             false,
		"":                      false,
		"::1:9090":              false,
		"0x7f000001:9090":       false,
		"127.1:9090":            false,
		"http://127.0.0.1:9090": false,
	} {
		if admin.Loopback(bind) != ok {
			t.Errorf("%q: %v", bind, !ok)
		}
	}
}

// A page that had its name resolve to loopback sends its name.
func TestHosts(t *testing.T) {
	p := start(t, reloaded)
	for host, ok := range map[string]bool{
		"127.0.0.1:9090":         true,
		"127.0.0.1":              true,
		"10.1.2.3:9090":          true,
		"[::1]:9090":             true,
		"[::1]":                  true,
		"localhost":              true,
		"LOCALHOST:9090":         true,
		"evil.example":           false,
		"evil.example:9090":      false,
		"localhost.evil.example": false,
		"evil.localhost":         false,
		"localhost.":             false,
		"127.0.0.1.evil.example": false,
		"127.0.0.1.:9090":        false,
		"evil.example:127.0.0.1": false,
		"[evil.example]:9090":    false,
		"2130706433":             false,
		"0x7f000001":             false,
		"guardian":               false,
	} {
		for _, path := range []string{"/metrics", "/debug/pprof/goroutine", "/", "/nothing"} {
			request := p.request(t, http.MethodGet, path, "")
			request.Host = host
			got := p.do(t, request)
			if !ok {
				got.refused(t, http.StatusForbidden, "forbidden_host")
			} else if path != "/nothing" && got.status != http.StatusOK {
				t.Errorf("%s of host %q answered %d %.100q", path, host, got.status, got.body)
			}
		}
	}
}

// net/http's client always sends a host; HTTP/1.0 needs none.
func TestNoHost(t *testing.T) {
	p := start(t, reloaded)
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(p.url, "http://"), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /metrics HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(text), "403 Forbidden") || !strings.Contains(string(text), "forbidden_host") {
		t.Errorf("answered %s, %v", text, err)
	}
}

func TestCrossOrigin(t *testing.T) {
	var reloads atomic.Int64
	p := start(t, func(ctx context.Context) (admin.Reloaded, error) {
		reloads.Add(1)
		return reloaded(ctx)
	})
	for name, test := range map[string]struct {
		header map[string]string
		ok     bool
	}{
		"no browser":            {nil, true},
		"same origin":           {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": p.url}, true},
		"typed in":              {map[string]string{"Sec-Fetch-Site": "none"}, true},
		"old browser, same":     {map[string]string{"Origin": p.url}, true},
		"cross-site":            {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		"another port":          {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, false},
		"old browser, cross":    {map[string]string{"Origin": "https://evil.example"}, false},
		"sandboxed":             {map[string]string{"Origin": "null"}, false},
		"same host, other port": {map[string]string{"Origin": "http://127.0.0.1:1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := reloads.Load()
			request := p.request(t, http.MethodPost, "/admin/reload", "")
			for key, value := range test.header {
				request.Header.Set(key, value)
			}
			got := p.do(t, request)
			if !test.ok {
				got.refused(t, http.StatusForbidden, "forbidden_origin")
			} else if got.status != http.StatusOK {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			if did := reloads.Load() > before; did != test.ok {
				t.Errorf("reloaded is %v", did)
			}
		})
	}
}

// A link on another page may lead here, and no answer invites scripts to read.
func TestCrossOriginRead(t *testing.T) {
	p := start(t, reloaded)
	request := p.request(t, http.MethodGet, "/metrics", "")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	request.Header.Set("Origin", "https://evil.example")
	got := p.do(t, request)
	if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("answered %d with %v", got.status, got.header)
	}
}
