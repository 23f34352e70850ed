package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/limit"
)

// newRefusals counts the calls that came too soon, by the limit that said so.
func newRefusals() *prometheus.CounterVec {
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guardian_rate_limited_total", Help: "Calls refused by a limit.",
	}, []string{"limit"})
	for _, name := range limit.Names {
		refusals.WithLabelValues(name)
	}
	return refusals
}

// auditMetrics are the numbers of the audit log.
func auditMetrics(log *audit.Log) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "guardian_audit_backlog_bytes", Help: "Audit lines that wait to be stored.",
		}, func() float64 { return float64(log.Stats().BacklogBytes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "guardian_audit_lost_lines_total", Help: "Audit lines that were dropped because too many waited.",
		}, func() float64 { return float64(log.Stats().Lost) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "guardian_audit_failures_total", Help: "Failed attempts at storing audit lines.",
		}, func() float64 { return float64(log.Stats().Failures) }),
	}
}
