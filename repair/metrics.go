package repair

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the metrics of scrub and queue, to be registered once.
func (r *Repairer) Collector() prometheus.Collector { return &collector{r} }

// collector reads the figures when it is asked for them.
type collector struct{ of *Repairer }

// figure is one metric; labelled ones have a value for each label.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

var (
	queueLength = figure{prometheus.NewDesc("guardian_repair_queue_length", "Slots that wait for repair.", nil, nil), prometheus.GaugeValue}
	repairs     = figure{prometheus.NewDesc("guardian_repairs_total", "Repairs that ended, by outcome.", []string{"outcome"}, nil), prometheus.CounterValue}
	repairBytes = figure{prometheus.NewDesc("guardian_repair_bytes_total", "Bytes of shares that repair sent and received.", nil, nil), prometheus.CounterValue}

	movedRounds = figure{prometheus.NewDesc("guardian_refresh_rounds_total", "Rounds of refresh and redistribution that this process led, by outcome.", []string{"outcome"}, nil), prometheus.CounterValue}
	forks       = figure{prometheus.NewDesc("guardian_refresh_forks_total", "Times that a record was refused as another one was committed over the same shares. Alarm on any.", nil, nil), prometheus.CounterValue}

	scrubRunning  = figure{prometheus.NewDesc("guardian_scrub_running", "1 while this process scrubs.", nil, nil), prometheus.GaugeValue}
	scrubSlots    = figure{prometheus.NewDesc("guardian_scrub_slots_total", "Slots that this process has scrubbed.", nil, nil), prometheus.CounterValue}
	scrubFinished = figure{prometheus.NewDesc("guardian_scrub_last_finished_timestamp_seconds", "When the last whole scrub of the storage ended; 0 before the first.", nil, nil), prometheus.GaugeValue}
	scrubFound    = figure{prometheus.NewDesc("guardian_scrub_found", "What the last whole scrub found, by state.", []string{"state"}, nil), prometheus.GaugeValue}
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range []figure{queueLength, repairs, repairBytes, movedRounds, forks, scrubRunning, scrubSlots, scrubFinished, scrubFound} {
		descs <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(into chan<- prometheus.Metric) {
	r := c.of
	put := func(f figure, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	}
	queued, totals := r.queue.figures()
	put(queueLength, float64(queued))
	for outcome, n := range map[string]int64{
		OutcomeRepaired: totals.Repaired, OutcomeVerified: totals.Verified, OutcomeUnknown: totals.Unknown, OutcomeFailed: totals.Failed,
	} {
		put(repairs, float64(n), outcome)
	}
	put(repairBytes, float64(totals.Bytes))
	put(movedRounds, float64(r.rounds.committed.Load()), "committed")
	put(movedRounds, float64(r.rounds.failed.Load()), "failed")
	put(forks, float64(r.forks.Load()))
	collectScrub(r.scrubber.progress(), put)
}

func collectScrub(p ScrubProgress, put func(figure, float64, ...string)) {
	running := 0.0
	if p.Here {
		running = 1
	}
	put(scrubRunning, running)
	put(scrubSlots, float64(p.Scrubbed))
	put(scrubFinished, float64(p.Last.FinishedNS)/1e9)
	for state, n := range map[string]int64{
		"good": p.Last.Good, "corrupt": p.Last.Corrupt, "missing": p.Last.Missing, "stale": p.Last.Stale, "lacking": p.Last.Lacking,
		"deleted": p.Last.Deleted, "moved": p.Last.Moved, "orphaned": p.Last.Orphaned, "alone": p.Last.Alone, "without_manifest": p.Last.WithoutManifest,
	} {
		put(scrubFound, float64(n), state)
	}
}
