package limit_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/limit"
)

// Linux answers on all of 127.0.0.0/8, so every client can have an address.
const (
	proxyHost = "127.0.0.1"
	honest    = "127.0.0.2"
	liar      = "127.0.0.3"
)

// TestBehindReverseProxy sends requests through a real proxy to a real server.
func TestBehindReverseProxy(t *testing.T) {
	for name, test := range map[string]struct {
		trusted              []netip.Prefix
		fromHonest, fromLiar string
	}{
		"trusted":   {mustParse(t, proxyHost), honest, liar},
		"untrusted": {nil, proxyHost, proxyHost},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, limit.ClientAddr(r.RemoteAddr, r.Header["X-Forwarded-For"], test.trusted))
			}))
			t.Cleanup(server.Close)
			url := startProxy(t, server.URL)
			for _, forged := range []string{"", honest, proxyHost, "unknown", "198.51.100.9, " + honest} {
				if got := get(t, url, honest, ""); got != test.fromHonest {
					t.Errorf("%s is seen as %s, want %s", honest, got, test.fromHonest)
				}
				if got := get(t, url, liar, forged); got != test.fromLiar {
					t.Errorf("%s, which sends %q, is seen as %s, want %s", liar, forged, got, test.fromLiar)
				}
				if got := get(t, server.URL, liar, forged); got != liar {
					t.Errorf("%s, which sends %q past the proxy, is seen as %s", liar, forged, got)
				}
			}
		})
	}
}

// startProxy adds to X-Forwarded-For what it sees, behind what it was sent.
func startProxy(t *testing.T, target string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// get makes a request from an address of this machine.
func get(t *testing.T, url, from, forwarded string) string {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if forwarded != "" {
		request.Header.Set("X-Forwarded-For", forwarded)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return string(body)
}
