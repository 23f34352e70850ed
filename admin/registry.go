package admin

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/vault-guardian/guardian/api"
)

// NewRegistry returns a registry of the collectors given, those of the Go
// runtime and the process, and guardian_build_info. Collectors that clash are a
// mistake in the program: it panics.
func NewRegistry(given ...prometheus.Collector) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(given...)
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newBuildInfo(),
	)
	return registry
}

// newBuildInfo is the gauge whose labels say which build runs; it is always 1.
func newBuildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "guardian_build_info",
		Help:        "Always 1; its labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": api.Version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
