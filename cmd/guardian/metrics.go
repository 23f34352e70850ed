package main

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/limit"
)

// collectors are the metrics of a node and of what it stands on.
func (o *opened) collectors() []prometheus.Collector {
	all := []prometheus.Collector{o.metrics, o.calls, o.refusals, o.damages, newFrozen(o.writes), newBackupTime(o.backup), keyInfo{o.sealer}}
	if o.database != nil {
		all = append(all, o.database)
	}
	all = append(all, auditMetrics(o.audit)...)
	all = append(all, nodeMetrics(o.node)...)
	return append(all, memoryMetrics()...)
}

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

// newDamages counts what failed its check, whoever read it.
func newDamages() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "guardian_integrity_failures_total", Help: "Reads of stored objects, by calls, scrub and repair, that failed their integrity check.",
	})
}

func newGauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// newFrozen is 1 while an operator has frozen writes.
func newFrozen(writes *freeze.Switch) prometheus.Collector {
	return newGauge("guardian_frozen", "1 while an operator has frozen writes, else 0.", func() float64 {
		if writes.Frozen() {
			return 1
		}
		return 0
	})
}

// newBackupTime is when the last backup ended, 0 where none is known.
func newBackupTime(backup *last.Watch) prometheus.Collector {
	return newGauge("guardian_backup_last_success_timestamp_seconds", "When the last backup of what is stored ended well; 0 if there never was one, or none that is believed.",
		func() float64 { return float64(backup.State().FinishedNS) / float64(time.Second) })
}

// auditMetrics are the numbers of the audit log.
func auditMetrics(log *audit.Log) []prometheus.Collector {
	return []prometheus.Collector{
		newGauge("guardian_audit_backlog_bytes", "Audit lines that wait to be stored.",
			func() float64 { return float64(log.Stats().BacklogBytes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "guardian_audit_lost_lines_total", Help: "Audit lines that were dropped because too many waited.",
		}, func() float64 { return float64(log.Stats().Lost) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "guardian_audit_failures_total", Help: "Failed attempts at storing audit lines.",
		}, func() float64 { return float64(log.Stats().Failures) }),
	}
}

// nodeMetrics are about what is stored.
func nodeMetrics(node *guardian.Node) []prometheus.Collector {
	return []prometheus.Collector{
		newGauge("guardian_shares", "Identities and secrets with a current share, as far as this process knows.",
			func() float64 { count, _ := node.ShareCount(); return float64(count) }),
		newGauge("guardian_quarantined_shares", "Identities and secrets in quarantine, as far as this process knows.",
			func() float64 { return float64(node.Quarantined()) }),
		newGauge("guardian_stored_threshold", "Largest threshold of the current shares, as far as this process knows; 0 while it knows none.",
			func() float64 { return float64(node.HighestThreshold()) }),
	}
}

// memoryMetrics are what the runtime holds, and what it may.
func memoryMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		newGauge("guardian_memory_usage_bytes", "Memory that the Go runtime holds.", memoryUsage),
		newGauge("guardian_memory_limit_bytes", "GOMEMLIMIT, below which the Go runtime tries to stay: nine tenths of the cgroup's limit unless set; +Inf without one.", memoryLimit),
	}
}

// memoryUsage is what the runtime compares with its limit.
func memoryUsage() float64 {
	read := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(read)
	return float64(read[0].Value.Uint64() - read[1].Value.Uint64())
}

func memoryLimit() float64 {
	const ask = -1
	if limit := debug.SetMemoryLimit(ask); limit < math.MaxInt64 {
		return float64(limit)
	}
	return math.Inf(1)
}

var keyInfoDesc = prometheus.NewDesc("guardian_key_info",
	"Always 1, for each integrity key that this process has; its labels name the key and say whether it is the one that seals.", []string{"id", "primary"}, nil)

// keyInfo tells of the keys as they are when it is asked.
type keyInfo struct{ sealer *integrity.Sealer }

// Describe implements [prometheus.Collector].
func (k keyInfo) Describe(descs chan<- *prometheus.Desc) { descs <- keyInfoDesc }

// Collect implements [prometheus.Collector].
func (k keyInfo) Collect(into chan<- prometheus.Metric) {
	primary, ids := k.sealer.KeyIDs()
	for _, id := range ids {
		into <- prometheus.MustNewConstMetric(keyInfoDesc, prometheus.GaugeValue, 1, id, strconv.FormatBool(id == primary))
	}
}
