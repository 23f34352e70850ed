package bolt

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics make a Bolt a [prometheus.Collector].
type metrics struct {
	transactions prometheus.Histogram
	size, open   prometheus.GaugeFunc
}

func newMetrics(b *Bolt) *metrics {
	return &metrics{
		transactions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "storage_tx_duration_seconds",
			Help:    "How long a write transaction of the database took, failed ones included; it carries the writes of all who waited for it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		size: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "storage_db_size_bytes", Help: "Size of the database file.",
		}, b.fileSize),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "storage_db_open", Help: "1 while the database takes writes, 0 once writing is stopped.",
		}, b.takesWrites),
	}
}

func (b *Bolt) fileSize() float64 {
	info, err := b.file.Stat()
	if err != nil {
		return 0
	}
	return float64(info.Size())
}

func (b *Bolt) takesWrites() float64 {
	if b.stopped() != nil {
		return 0
	}
	return 1
}

func (m *metrics) observe(took time.Duration) { m.transactions.Observe(took.Seconds()) }

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, descs) }

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(into chan<- prometheus.Metric) {
	for _, collector := range []prometheus.Collector{m.transactions, m.size, m.open} {
		collector.Collect(into)
	}
}
