package httpapi

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/audit"
)

// buckets are finest below the second that alerts look at, and end behind
// storageDeadline.
var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, .75, 1, 2.5, 5}

// The reasons of refused callers that have no code of their own.
const (
	sessionRequired = "session_required"
	sessionInvalid  = "session_invalid"
)

// Metrics are the metrics of a client plane. It is a [prometheus.Collector], to
// be registered once, and safe for concurrent use. Every series that can occur
// is there, at 0, from the start. No label holds what a caller sent.
type Metrics struct {
	pushes, pulls callMetrics
	rollbacks     prometheus.Counter
	refused       *prometheus.CounterVec
	connections   prometheus.Gauge
}

// callMetrics are those of one kind of call.
type callMetrics struct {
	ended  prometheus.Counter
	failed *prometheus.CounterVec
	took   prometheus.Histogram
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	m := &Metrics{
		pushes: newCallMetrics("push", "pushes"),
		pulls:  newCallMetrics("pull", "pulls"),
		rollbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "guardian_rollbacks_rejected_total",
			Help: "Pushes refused because their version is not above the current one. Repeats of what is stored are left out.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guardian_auth_failures_total",
			Help: "Calls refused for want of a valid token, session or proof of ownership, by reason.",
		}, []string{"reason"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "guardian_active_connections",
			Help: "Open connections of the client plane, idle ones included.",
		}),
	}
	for _, row := range api.ErrorTable {
		if row.Status == http.StatusUnauthorized {
			m.refused.WithLabelValues(row.Code)
		}
	}
	m.refused.WithLabelValues(sessionRequired)
	m.refused.WithLabelValues(sessionInvalid)
	return m
}

func newCallMetrics(one, many string) callMetrics {
	m := callMetrics{
		ended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "guardian_" + many + "_total",
			Help: "Answered " + many + " of shares and secrets, refused and failed ones included.",
		}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guardian_" + one + "_failures_total",
			Help: "Answered " + many + " that were refused or failed, by the code of the answer.",
		}, []string{"code"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "guardian_" + one + "_duration_seconds",
			Help:    "How long " + many + " took from the whole request to the answer, failed ones included. Those refused before the request was read are left out.",
			Buckets: buckets,
		}),
	}
	for _, row := range api.ErrorTable {
		m.failed.WithLabelValues(row.Code)
	}
	return m
}

// of returns the metrics of an action, nil for one that is neither a push nor a
// pull.
func (m *Metrics) of(action audit.Action) *callMetrics {
	switch action {
	case audit.Push, audit.Put:
		return &m.pushes
	case audit.Pull, audit.Get:
		return &m.pulls
	}
	return nil
}

// counted counts a call by what it came to.
func (s *server) counted(action audit.Action) echo.MiddlewareFunc {
	calls := s.metrics.of(action)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if reason := refusalReason(err); reason != "" {
				s.metrics.refused.WithLabelValues(reason).Inc()
			}
			if calls == nil {
				return err
			}
			calls.ended.Inc()
			if err != nil {
				body, _ := describe(err, c)
				calls.failed.WithLabelValues(body.Code).Inc()
			}
			if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && !conflict.Stored {
				s.metrics.rollbacks.Inc()
			}
			return err
		}
	}
}

// timed comes after the body was read: how fast a caller sends is not how fast
// the guardian is.
func (s *server) timed(action audit.Action) echo.MiddlewareFunc {
	calls := s.metrics.of(action)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if calls == nil {
			return next
		}
		return func(c echo.Context) error {
			began := time.Now()
			defer func() { calls.took.Observe(time.Since(began).Seconds()) }()
			return next(c)
		}
	}
}

// refusalReason is what was wrong with who the caller claims to be, "" if nothing
// was.
func refusalReason(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, api.ErrSessionRequired):
		return sessionRequired
	case errors.Is(err, api.ErrSessionInvalid):
		return sessionInvalid
	}
	if row := api.RowOf(err); row.Status == http.StatusUnauthorized {
		return row.Code
	}
	return ""
}

// Connection is for [http.Server.ConnState].
func (m *Metrics) Connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		m.connections.Inc()
	case http.StateClosed, http.StateHijacked:
		m.connections.Dec()
	}
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
	return []prometheus.Collector{
		m.pushes.ended, m.pushes.failed, m.pushes.took,
		m.pulls.ended, m.pulls.failed, m.pulls.took,
		m.rollbacks, m.refused, m.connections,
	}
}

var _ prometheus.Collector = (*Metrics)(nil)
