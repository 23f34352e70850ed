package cluster

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// exposed is what Prometheus would read: value by series.
func (p *process) exposed() map[string]string {
	p.world.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(p.Collector())
	scraped := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	values := map[string]string{}
	for line := range strings.Lines(scraped.Body.String()) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && series != "#" {
			values[series] = value
		}
	}
	return values
}

func (p *process) wantExposed(want map[string]string) {
	p.world.t.Helper()
	got := p.exposed()
	for series, value := range want {
		if got[series] != value {
			p.world.t.Errorf("%s is %q, want %s", series, got[series], value)
		}
	}
}

func count(t *testing.T, value string) int {
	t.Helper()
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1 := w.start("g1")
		g1.wantExposed(map[string]string{
			`guardian_cluster_members{state="alive"}`:             "1",
			`guardian_cluster_members{state="suspect"}`:           "0",
			`guardian_cluster_members{state="dead"}`:              "0",
			`guardian_cluster_transitions_total{state="alive"}`:   "0",
			`guardian_cluster_transitions_total{state="suspect"}`: "0",
			`guardian_cluster_transitions_total{state="dead"}`:    "0",
			`guardian_cluster_heartbeats_sent_total`:              "0",
			`guardian_cluster_heartbeats_failed_total`:            "0",
			`guardian_cluster_heartbeats_received_total`:          "0",
			`guardian_cluster_registry_polls_total`:               "1",
			`guardian_cluster_registry_failures_total`:            "0",
			`guardian_threshold`:                                  "3",
			`guardian_write_quorum`:                               "1",
		})
		g2 := w.start("g2")
		pass(22 * time.Second)
		g2.end()
		pass(20 * time.Second)
		g1.registry.fails(http.ErrServerClosed)
		pass(time.Minute)
		g1.wantExposed(map[string]string{
			`guardian_cluster_members{state="alive"}`:             "1",
			`guardian_cluster_members{state="suspect"}`:           "0",
			`guardian_cluster_members{state="dead"}`:              "1",
			`guardian_cluster_transitions_total{state="alive"}`:   "0",
			`guardian_cluster_transitions_total{state="suspect"}`: "1",
			`guardian_cluster_transitions_total{state="dead"}`:    "1",
			`guardian_write_quorum`:                               "1",
		})
		got := g1.exposed()
		for _, series := range []string{
			"guardian_cluster_heartbeats_sent_total", "guardian_cluster_heartbeats_failed_total",
			"guardian_cluster_heartbeats_received_total", "guardian_cluster_registry_polls_total",
			"guardian_cluster_registry_failures_total", `guardian_heartbeat_age_seconds{node="g2"}`,
		} {
			if got[series] == "0" || got[series] == "" {
				t.Errorf("%s is %q", series, got[series])
			}
		}
		problems, err := testutil.CollectAndLint(g1.Collector())
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// Stopping is no failure of the others.
func TestStoppingFailsNoHeartbeat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2")
		pass(10 * time.Second)
		w.lose(func(string, string) bool { return true })
		time.Sleep(5500 * time.Millisecond) // a round is under way, or has been
		before := all[0].exposed()["guardian_cluster_heartbeats_failed_total"]
		all[0].end()
		if after := all[0].exposed()["guardian_cluster_heartbeats_failed_total"]; after != before {
			t.Errorf("%s failed, and when it was stopped %s", before, after)
		}
	})
}
