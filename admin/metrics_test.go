package admin_test

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/metered"
)

func TestMetrics(t *testing.T) {
	p := start(t, reloaded)
	storage := metered.New()
	p.registry.MustRegister(storage)
	storage.Request("GetObject")
	got := p.get(t, "/metrics")
	if got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("answered %d, %v", got.status, got.header)
	}
	for _, line := range []string{
		`guardian_build_info{goversion="` + runtime.Version() + `",version="` + api.Version + `"} 1`,
		`storage_requests_total{op="GetObject"} 1`,
		`storage_operations_total{op="list_segments"} 0`,
		`promhttp_metric_handler_errors_total{cause="gathering"} 0`,
		"# TYPE go_goroutines gauge",
		"# TYPE process_start_time_seconds gauge",
	} {
		if !strings.Contains(got.body, line+"\n") {
			t.Errorf("missing %s in\n%s", line, got.body)
		}
	}
}

func TestLint(t *testing.T) {
	registry := admin.NewRegistry(metered.New())
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// collector yields one metric, which collect makes.
type collector struct {
	desc    *prometheus.Desc
	collect func(*prometheus.Desc) prometheus.Metric
}

func newCollector(collect func(*prometheus.Desc) prometheus.Metric) collector {
	return collector{prometheus.NewDesc("test_state", "What a test makes of it.", nil, nil), collect}
}

func (c collector) Describe(descs chan<- *prometheus.Desc)   { descs <- c.desc }
func (c collector) Collect(metrics chan<- prometheus.Metric) { metrics <- c.collect(c.desc) }

func TestCollectorThatFails(t *testing.T) {
	p := start(t, reloaded)
	failing := newCollector(func(desc *prometheus.Desc) prometheus.Metric {
		return prometheus.NewInvalidMetric(desc, errors.New("no such device"))
	})
	p.registry.MustRegister(failing)
	if got := p.get(t, "/metrics"); got.status != http.StatusInternalServerError || !strings.Contains(got.body, "no such device") {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if !strings.Contains(p.log.String(), "no such device") {
		t.Errorf("the log does not say it: %s", p.log)
	}
	p.registry.Unregister(failing)
	const counted = `promhttp_metric_handler_errors_total{cause="gathering"} 1`
	if got := p.get(t, "/metrics"); got.status != http.StatusOK || !strings.Contains(got.body, counted) {
		t.Errorf("answered %d without %s", got.status, counted)
	}
}

func TestScrapesAreBounded(t *testing.T) {
	const atOnce = 4
	p := start(t, reloaded)
	entered, release := make(chan struct{}), make(chan struct{})
	p.registry.MustRegister(newCollector(func(desc *prometheus.Desc) prometheus.Metric {
		entered <- struct{}{}
		<-release
		return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1)
	}))
	var scrapes sync.WaitGroup
	for range atOnce {
		scrapes.Go(func() {
			if got := p.get(t, "/metrics"); got.status != http.StatusOK {
				t.Errorf("answered %d %s", got.status, got.body)
			}
		})
	}
	for range atOnce {
		select {
		case <-entered:
		case <-time.After(patience):
			t.Error("not all scrapes are under way")
		}
	}
	if got := p.get(t, "/metrics"); got.status != http.StatusServiceUnavailable {
		t.Errorf("one more answered %d %s", got.status, got.body)
	}
	close(release)
	scrapes.Wait()
}

func TestTwoPlanesOfOneRegistry(t *testing.T) {
	registry := admin.NewRegistry()
	for range 2 { // the second finds the endpoint's metrics registered
		admin.New(admin.Config{Registry: registry, Reload: reloaded, Logger: slog.New(slog.DiscardHandler)})
	}
}

func TestClashingCollectors(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a metric was registered twice")
		}
	}()
	admin.NewRegistry(metered.New(), metered.New())
}
