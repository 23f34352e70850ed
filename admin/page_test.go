package admin_test

import (
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/freeze"
)

// aCluster has five members, of whom so many are dead and suspect.
func aCluster(dead, suspect int) cluster.View {
	const members = 5
	v := cluster.View{Registry: true, Reached: true, Alive: members - dead - suspect, Threshold: 3, WriteQuorum: 4, Index: 1}
	for i := range members {
		m := cluster.MemberView{Self: i == 0, State: cluster.Alive, Heard: true, Silent: 1500 * time.Millisecond, Shares: 12}
		m.NodeID, m.Index, m.FailureDomain = string(rune('a'+i))+"-guardian", i+1, "eu-central"
		switch {
		case i >= members-dead:
			m.State = cluster.Dead
		case i >= members-dead-suspect:
			m.State = cluster.Suspect
		}
		v.Members = append(v.Members, m)
	}
	return v
}

// shown is the page over what it shows.
func shown(t *testing.T, cfg admin.Config) answer {
	t.Helper()
	cfg.Registry, cfg.Logger = admin.NewRegistry(), slog.New(slog.DiscardHandler)
	got := call(admin.New(cfg), http.MethodGet, "/", func(r *http.Request) { r.Host = "127.0.0.1:9090" })
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
	return got
}

func TestPage(t *testing.T) {
	t.Parallel()
	writes, err := freeze.Open(t.Context(), backendtest.NewMemory(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writes.Freeze(t.Context(), "admin-anna"); err != nil {
		t.Fatal(err)
	}
	of := func(v cluster.View) func() cluster.View { return func() cluster.View { return v } }
	for name, test := range map[string]struct {
		cfg     admin.Config
		want    []string
		without string
	}{
		"bare":     {admin.Config{}, []string{"this guardian is alone", "Nothing needs attention."}, "Dead"},
		"alone":    {admin.Config{Members: of(cluster.View{Alive: 1, Threshold: 1, WriteQuorum: 1})}, []string{"this guardian is alone", "Nothing needs attention."}, "too few"},
		"healthy":  {admin.Config{Members: of(aCluster(0, 0))}, []string{"5 of 5", "2 more are alive", "1 more are alive", "a-guardian", "this one", "1s ago", "Nothing needs attention."}, "too few"},
		"one dead": {admin.Config{Members: of(aCluster(1, 0))}, []string{"4 of 5", "1 more are alive", "0 more are alive", "Dead: e-guardian."}, "Nothing needs attention."},
		"degraded": {admin.Config{Members: of(aCluster(2, 1))}, []string{"2 of 5", "Only 2 guardians are alive, and 3 are needed to rebuild", "Only 2 guardians are alive, and 4 are needed to store", "Dead: d-guardian, e-guardian.", "Suspect: c-guardian.", "too few are alive"}, "Nothing needs attention."},
		"no list":  {admin.Config{Members: of(cluster.View{Registry: true, Alive: 1, Threshold: 1, WriteQuorum: 1})}, []string{"The registry has not answered"}, "Nothing needs attention."},
		"silent":   {admin.Config{Ready: func() error { return errors.New("storage failed: gone") }}, []string{"takes no requests: storage failed: gone"}, "Nothing needs attention."},
		"frozen":   {admin.Config{Freeze: writes}, []string{"Writes are frozen", "by admin-anna"}, "Nothing needs attention."},
	} {
		body := shown(t, test.cfg).body
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in\n%s", name, want, body)
			}
		}
		if strings.Contains(body, test.without) {
			t.Errorf("%s: %q is in\n%s", name, test.without, body)
		}
	}
}

// Whatever other guardians are called, it stays text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const evil = `</style><script>alert(1)</script><img src=x onerror="alert(1)">'"&{{.}}`
	v := aCluster(1, 0)
	for i := range v.Members {
		v.Members[i].NodeID, v.Members[i].FailureDomain, v.Members[i].State = evil, evil, cluster.State(evil)
	}
	v.Members[4].State = cluster.Dead
	body := shown(t, admin.Config{
		Members: func() cluster.View { return v },
		Ready:   func() error { return errors.New(evil) },
	}).body
	if strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Count(body, "</style>") != 1 {
		t.Errorf("it is more than text:\n%s", body)
	}
	if !strings.Contains(body, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Errorf("the name is not shown:\n%s", body)
	}
}

// Nothing but the page's own style may be used, and it needs nothing else.
func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	got := shown(t, admin.Config{Members: func() cluster.View { return aCluster(0, 0) }})
	policy := got.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, without %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script") {
		t.Errorf("the policy is %q", policy)
	}
	for _, link := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(got.body, -1) {
		if link[1] != "data:," && !strings.HasPrefix(link[1], "/") {
			t.Errorf("it leads to %q", link[1])
		}
	}
	for _, forbidden := range []string{"<script", "<form", "<iframe", "style=", "onclick", "@import", "url("} {
		if strings.Contains(got.body, forbidden) {
			t.Errorf("it has %s", forbidden)
		}
	}
	if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers are %v", got.header)
	}
}

// A browser shows it anew by itself unless it is told not to.
func TestPageIsLive(t *testing.T) {
	t.Parallel()
	handler := admin.New(admin.Config{Registry: admin.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	for path, live := range map[string]bool{"/": true, "/?live=on": true, "/?live=off": false} {
		got := call(handler, http.MethodGet, path, func(r *http.Request) { r.Host = "localhost" })
		if strings.Contains(got.body, `http-equiv="refresh" content="10"`) != live {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

// Who may only watch may see the page.
func TestPageForWatchers(t *testing.T) {
	t.Parallel()
	handler, _ := guarded(t)
	if got := call(handler, http.MethodGet, "/", basic("prometheus", scraperToken)); got.status != http.StatusOK {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	call(handler, http.MethodGet, "/routes", bearer(scraperToken)).refused(t, http.StatusForbidden, "forbidden")
}
