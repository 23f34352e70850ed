package httpapi_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
)

func withMetrics(m *httpapi.Metrics) option {
	return func(c *httpapi.Config, _ *slog.LevelVar) { c.Metrics = m }
}

// wantMetrics compares all series that are not 0 with lines of the text format.
func wantMetrics(t *testing.T, m *httpapi.Metrics, want ...string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			line := strings.TrimPrefix(family.GetName(), "guardian_")
			for _, label := range metric.GetLabel() {
				line += " " + label.GetValue()
			}
			if value != 0 {
				got = append(got, line+" "+strings.Repeat("I", int(value)))
			}
		}
	}
	if got, want := strings.Join(got, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("counted\n%s\nnot\n%s", got, want)
	}
}

func TestCallsAreCounted(t *testing.T) {
	m := httpapi.NewMetrics()
	p := start(t, nil, withMetrics(m))
	p.post(t, pushRoute, pushBody(id, testShare, "2"))
	p.post(t, pushRoute, pushBody(id, testShare, "2")) // a repeat
	p.post(t, pushRoute, pushBody(id, testShare, "1"))
	p.post(t, pushRoute, `{`)
	p.post(t, pullRoute, pullBody(id))
	p.post(t, pullRoute, pullBody(identity("b")))
	p.post(t, deleteCall, `{"identity":"`+id+`","version":1}`) // refused, and no push
	p.do(t, http.MethodPost, pullRoute, pullBody(id), http.Header{"Content-Type": {"text/plain"}})
	http.DefaultClient.CloseIdleConnections()
	wantMetrics(t, m,
		"pull_duration_seconds II",
		"pull_failures_total not_found I",
		"pull_failures_total unsupported_media_type I",
		"pulls_total III",
		"push_duration_seconds IIII",
		"push_failures_total invalid_json I",
		"push_failures_total version_conflict II",
		"pushes_total IIII",
		"rollbacks_rejected_total I",
	)
}

func TestSecretsAreCounted(t *testing.T) {
	m := httpapi.NewMetrics()
	p := start(t, nil, withMetrics(m), withOwnership(guardian.OwnershipRequired))
	for _, route := range []string{api.RouteSecrets + "/x", api.RouteSecrets + "/a/b"} {
		p.do(t, http.MethodPut, route, "{}", nil)
		p.do(t, http.MethodGet, route, "", nil)
	}
	p.do(t, http.MethodGet, api.RouteSecrets, "", nil) // no pull
	p.do(t, http.MethodGet, api.RouteSecrets, "", http.Header{api.HeaderSession: {"x"}})
	wantMetrics(t, m,
		"auth_failures_total session_invalid I",
		"auth_failures_total session_required III",
		"pull_duration_seconds II",
		"pull_failures_total invalid_name I",
		"pull_failures_total token_required I",
		"pulls_total II",
		"push_duration_seconds II",
		"push_failures_total invalid_name I",
		"push_failures_total token_required I",
		"pushes_total II",
	)
}

func TestRefusedCallersAreCounted(t *testing.T) {
	m := httpapi.NewMetrics()
	p := start(t, nil, withMetrics(m), withTokens(t, map[string]string{"a": token}), withOwnership(guardian.OwnershipRequired))
	p.post(t, pullRoute, pullBody(id))
	p.do(t, http.MethodPost, deleteCall, "", http.Header{"Authorization": {"Bearer wrong"}})
	authorized := http.Header{"Authorization": {"Bearer " + token}}
	p.do(t, http.MethodPost, api.RouteHistory, pullBody(id), authorized)
	p.do(t, http.MethodPost, api.RouteHistory, `{"identity":"`+id+`","pubkey":"00","signature":"00"}`, authorized)
	wantMetrics(t, m,
		"auth_failures_total ownership_invalid I",
		"auth_failures_total ownership_required I",
		"auth_failures_total token_invalid I",
		"auth_failures_total token_required I",
		"pull_failures_total token_required I",
		"pulls_total I",
	)
}

func TestConnectionsAreCounted(t *testing.T) {
	m := httpapi.NewMetrics()
	server := httpapi.NewServer(newPlane(t).handler, time.Second, slog.New(slog.DiscardHandler))
	server.ConnState = m.Connection
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	for range 2 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	reach := func(most string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for testutil.CollectAndCompare(m, strings.NewReader(connectionsAre+most+"\n"), "guardian_active_connections") != nil {
			if time.Now().After(deadline) {
				t.Fatalf("there are never %s connections", most)
			}
			time.Sleep(time.Millisecond)
		}
	}
	reach("2")
	_ = server.Close()
	reach("0")
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

const connectionsAre = `# HELP guardian_active_connections Open connections of the client plane, idle ones included.
# TYPE guardian_active_connections gauge
guardian_active_connections `
