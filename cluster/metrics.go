package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one cluster. What can be seen at any moment is read from
// it when it is collected; the rest is counted. Labels are states and node ids
// of members, of which there are at most MaxIndex.
type metrics struct {
	cluster *Cluster

	members, age, threshold, writeQuorum *prometheus.Desc

	transitions            *prometheus.CounterVec
	sent, failed, received prometheus.Counter
	polls, pollsFailed     prometheus.Counter
}

func newMetrics(c *Cluster) *metrics {
	m := &metrics{
		cluster: c,
		members: prometheus.NewDesc("guardian_cluster_members",
			"Guardians of the cluster by state, this one included.", []string{"state"}, nil),
		age: prometheus.NewDesc("guardian_heartbeat_age_seconds",
			"Time since the last heartbeat of a guardian, or since it was listed.", []string{"node"}, nil),
		threshold: prometheus.NewDesc("guardian_threshold",
			"K for as many guardians as are alive.", nil, nil),
		writeQuorum: prometheus.NewDesc("guardian_write_quorum",
			"W for as many guardians as are alive.", nil, nil),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guardian_cluster_transitions_total",
			Help: "Changes of other guardians' state, by the state that they came to.",
		}, []string{"state"}),
		sent:        newCounter("guardian_cluster_heartbeats_sent_total", "Heartbeats sent to other guardians, failed ones included."),
		failed:      newCounter("guardian_cluster_heartbeats_failed_total", "Heartbeats that got no valid answer in time."),
		received:    newCounter("guardian_cluster_heartbeats_received_total", "Heartbeats of other guardians that were answered."),
		polls:       newCounter("guardian_cluster_registry_polls_total", "Fetches of the list of guardians, failed ones included."),
		pollsFailed: newCounter("guardian_cluster_registry_failures_total", "Fetches of the list of guardians that failed."),
	}
	for _, state := range States {
		m.transitions.WithLabelValues(string(state))
	}
	return m
}

func newCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Collector returns the cluster's metrics, to be registered once.
func (c *Cluster) Collector() prometheus.Collector { return c.metrics }

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{m.members, m.age, m.threshold, m.writeQuorum} {
		descs <- desc
	}
	for _, counter := range m.counters() {
		counter.Describe(descs)
	}
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(into chan<- prometheus.Metric) {
	v := m.cluster.View()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(m.threshold, float64(v.Threshold))
	gauge(m.writeQuorum, float64(v.WriteQuorum))
	states := map[State]int{}
	for _, member := range v.Members {
		states[member.State]++
		if !member.Self {
			gauge(m.age, member.Silent.Seconds(), member.NodeID)
		}
	}
	for _, state := range States {
		gauge(m.members, float64(states[state]), string(state))
	}
	for _, counter := range m.counters() {
		counter.Collect(into)
	}
}

func (m *metrics) counters() []prometheus.Collector {
	return []prometheus.Collector{m.transitions, m.sent, m.failed, m.received, m.polls, m.pollsFailed}
}
