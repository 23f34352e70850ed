package metered

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// op is the value of a label: one method of a backend.
type op string

const (
	opGet          op = "get"
	opPut          op = "put"
	opDelete       op = "delete"
	opList         op = "list"
	opListSegments op = "list_segments"
	opCheck        op = "check"
)

// kindsOf are the operations and the errors that each can end with.
var kindsOf = map[op][]kind{
	opGet:          {timeout, cancelled, failed, invalidKey, tooLarge},
	opPut:          {timeout, cancelled, failed, invalidKey, tooLarge},
	opDelete:       {timeout, cancelled, failed, invalidKey},
	opList:         {timeout, cancelled, failed},
	opListSegments: {timeout, cancelled, failed},
	opCheck:        {timeout, cancelled, failed},
}

// otherRequest stands for every request that is none of knownRequests.
const otherRequest = "other"

// knownRequests are the requests that a storage of this project makes, by
// their names in the S3 API.
var knownRequests = []string{"DeleteObject", "GetObject", "HeadObject", "ListObjectsV2", "PutObject"}

// buckets end well behind the 4 s within which a request's storage work must
// be done.
var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Metrics are the metrics of a process's storage. It is a
// [prometheus.Collector], to be registered once, and safe for concurrent use.
// Every series that can occur is there, at 0, from the start.
type Metrics struct {
	reads, writes prometheus.Histogram
	operations    *prometheus.CounterVec
	errors        *prometheus.CounterVec
	conflicts     prometheus.Counter
	requests      *prometheus.CounterVec
}

// New returns metrics that are not registered yet.
func New() *Metrics {
	m := &Metrics{
		reads: newHistogram("storage_read_duration_seconds",
			"How long the storage took for a get or a listing, failed ones included."),
		writes: newHistogram("storage_write_duration_seconds",
			"How long the storage took for a put or a delete, failed ones included."),
		operations: newCounterVec("storage_operations_total",
			"Storage calls that have ended, by operation.", "op"),
		errors: newCounterVec("storage_errors_total",
			"Storage calls that could not be carried out, by operation and kind. An absent key and a conflict are answers, not errors.", "op", "kind"),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "storage_conflicts_total",
			Help: "Conditional puts and deletes that lost to another writer.",
		}),
		requests: newCounterVec("storage_requests_total",
			"HTTP requests made to a storage over a network, retries included, by S3 operation.", "op"),
	}
	m.startAtZero()
	return m
}

func newHistogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func newCounterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// startAtZero makes the series, so that the first event of a kind is seen as a
// rate and not only as a series that appears.
func (m *Metrics) startAtZero() {
	for op, kinds := range kindsOf {
		m.operations.WithLabelValues(string(op))
		for _, kind := range kinds {
			m.errors.WithLabelValues(string(op), string(kind))
		}
	}
	for _, request := range knownRequests {
		m.requests.WithLabelValues(request)
	}
	m.requests.WithLabelValues(otherRequest)
}

// Request counts one HTTP request that a storage makes, retries included. The
// operation is named as in the S3 API, such as "PutObject"; any other name is
// counted as "other", so that the number of series stays bounded.
func (m *Metrics) Request(op string) {
	if !slices.Contains(knownRequests, op) {
		op = otherRequest
	}
	m.requests.WithLabelValues(op).Inc()
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, collector := range m.collectors() {
		collector.Describe(descs)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, collector := range m.collectors() {
		collector.Collect(metrics)
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.reads, m.writes, m.operations, m.errors, m.conflicts, m.requests}
}

// ended counts one call that has ended.
func (m *Metrics) ended(op op, took time.Duration, err error) {
	m.operations.WithLabelValues(string(op)).Inc()
	switch op {
	case opGet, opList, opListSegments:
		m.reads.Observe(took.Seconds())
	case opPut, opDelete:
		m.writes.Observe(took.Seconds())
	}
	switch kind := kindOf(err); kind {
	case answered:
	case conflict:
		m.conflicts.Inc()
	default:
		m.errors.WithLabelValues(string(op), string(kind)).Inc()
	}
}
